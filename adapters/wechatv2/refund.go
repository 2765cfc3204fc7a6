package wechatv2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/orderfsm/orderfsm/refund"
)

// Refund asks for a refund (/secapi/pay/refund, official document 4011935217). Acceptance is
// [refund.OutcomeAccepted]: only Query reports that money was returned. If a refusal may be the
// echo of an earlier success of the same refund, Refund queries the number before it returns
// [refund.OutcomeDeclined].
//
// Errors: those of Check; [*refund.SetupError]; [*refund.BusyError]; [*refund.MismatchError];
// [*APIError]; [ErrSignature]; [ErrAnswer]; errors of ctx and of the network. All leave the outcome
// unknown. An error wraps [refund.ErrNotSent] if there was no connection to send the request on.
// With [Config].WrapTransport the Gateway cannot know that, and only errors before the first call
// do.
func (g *Gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	res, err := g.refund(ctx, req)
	if err != nil {
		return refund.Result{}, fmt.Errorf("refund %s: %w", about(req), err)
	}
	return res, nil
}

// about names a refund in an error.
func about(req refund.Request) string {
	return clip(req.RefundNo, 64) + " of order " + clip(req.OrderID, 64)
}

func (g *Gateway) refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	f, err := g.sendRefund(ctx, req)
	if err != nil {
		return g.judgeRefusal(ctx, err, req)
	}
	return refund.Result{
		Outcome: refund.OutcomeAccepted, OrderID: orderAsked(req), RefundNo: req.RefundNo,
		Amount: req.Amount, ProviderRefundID: clip(f["refund_id"], 64),
	}, nil
}

// sendRefund makes one refund call. A refusal is an error that holds an *APIError.
func (g *Gateway) sendRefund(ctx context.Context, req refund.Request) (fields, error) {
	if err := g.Check(req); err != nil {
		return nil, fmt.Errorf("%w: %w", refund.ErrNotSent, err)
	}
	f, once, err := g.call(ctx, &g.refunds, g.refundMessage(req), req)
	var unsent *unsentError
	switch {
	case errors.As(err, &unsent):
		return nil, fmt.Errorf("%w: %w", refund.ErrNotSent, err)
	case err != nil:
		return nil, err
	}
	if err := g.refusal(f, req); err != nil {
		if !once {
			err = &doubtError{err}
		}
		return nil, err
	}
	// err_code is not read: WeChat Pay has sent one beside result_code SUCCESS.
	if err := matchOrder(f, req); err != nil {
		return nil, err
	}
	return f, matchRefund(f, req, "")
}

// refundMessage lists the elements in the order in which they are signed. It always has sign_type:
// without it WeChat Pay checks an HMAC signature as MD5.
func (g *Gateway) refundMessage(req refund.Request) message {
	return message{
		{"appid", g.appID},
		{"mch_id", g.mchID},
		{"nonce_str", rand.Text()},
		{"notify_url", g.notifyURL},
		{"op_user_id", g.opUserID},
		{"out_refund_no", req.RefundNo},
		{"out_trade_no", orderAsked(req)},
		{"refund_account", string(g.refundAccount)},
		{"refund_desc", refundDesc(req.Reason)},
		{"refund_fee", amount(req.Amount)},
		{"refund_fee_type", currency},
		{"sign", ""},
		{"sign_type", string(g.signer.kind)},
		{"sub_appid", g.subAppID},
		{"sub_mch_id", g.subMchID},
		{"total_fee", amount(req.Total)},
		{"transaction_id", req.PaymentID},
	}
}

// judgeRefusal returns OutcomeDeclined if err is a refusal by a code that moved nothing, what a
// query finds if the refusal may be an echo, and err in all other cases.
func (g *Gateway) judgeRefusal(
	ctx context.Context, err error, req refund.Request,
) (refund.Result, error) {
	var apiErr *APIError
	if !errors.As(err, &apiErr) {
		return refund.Result{}, err
	}
	var doubt *doubtError
	doubtful := errors.As(err, &doubt)
	switch c := meanings[apiErr.Code].class; c {
	case classDeclined, classEcho:
		if c == classDeclined && !doubtful {
			break
		}
		// This refund may have been paid before: then this is the echo of its success, or it took
		// the funds that are now missing.
		res, queryErr := g.query(ctx, req)
		if queryErr != nil {
			return refund.Result{}, fmt.Errorf("%w; query it: %w", err, queryErr)
		}
		if res.Outcome != refund.OutcomeNotFound {
			return res, nil
		}
		if doubtful { // an earlier sending may still be on its way
			return refund.Result{}, err
		}
	case classUnknown, classNotFound, classSetup, classBusy:
		return refund.Result{}, err
	}
	return coded(refund.OutcomeDeclined, apiErr), nil
}

// coded returns an outcome that WeChat Pay reports with an error code.
func coded(o refund.Outcome, err *APIError) refund.Result {
	return refund.Result{Outcome: o, Code: err.Code, Message: err.Msg}
}

// doubtError is the refusal of a request that may have been sent more than once: an earlier sending
// may have paid.
type doubtError struct{ refusal error }

// Error implements error.
func (e *doubtError) Error() string {
	return "the request cannot be shown to have been sent once: " + e.refusal.Error()
}

// Unwrap returns the refusal.
func (e *doubtError) Unwrap() error { return e.refusal }
