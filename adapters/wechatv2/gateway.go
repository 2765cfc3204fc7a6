package wechatv2

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	pathRefund = "/secapi/pay/refund"
	pathQuery  = "/pay/refundquery"
)

var (
	_ refund.RefundGateway = (*Gateway)(nil)
	_ refund.Checker       = (*Gateway)(nil)
	_ refund.Lister        = (*Gateway)(nil)
	_ refund.Limiter       = (*Gateway)(nil)
)

// Gateway returns money through WeChat Pay v2. It is safe for concurrent use, keeps its connections open
// between calls, and shows none of its secrets when it is printed, logged or marshalled.
type Gateway struct {
	name, appID, mchID string
	subAppID, subMchID string
	opUserID           string
	notifyURL          string
	refundAccount      RefundAccount
	signer             *signer
	info               func() cipher.Block // of notifications; a func, as in secret
	hosts              []string
	timeout, total     time.Duration
	limits             refund.Limits
	refundPace         *rate.Limiter
	queryPace          *rate.Limiter
	cert               *certificate
	transport          *transport
	client             *http.Client
	log                *slog.Logger
	shown              string
}

// New makes a Gateway. It reads the certificate and calls nobody. Its error joins all faults of the Config,
// each an [*order.InvalidError] that names the field in snake_case.
func New(c Config) (*Gateway, error) {
	c, err := c.withDefaults()
	cert, certErr := newCertificate(c)
	if err := errors.Join(err, certErr); err != nil {
		return nil, fmt.Errorf("configure the wechat pay gateway: %w", err)
	}
	info, err := aes.NewCipher(infoKey(c.APIKey))
	if err != nil {
		return nil, fmt.Errorf("configure the wechat pay gateway: %w", err)
	}
	transport := newTransport(c, cert)
	rt := http.RoundTripper(transport)
	if c.WrapTransport != nil {
		if rt = c.WrapTransport(transport); rt == nil {
			return nil, fmt.Errorf("configure the wechat pay gateway: %w", invalid("wrap_transport", "returned nil"))
		}
	}
	return &Gateway{
		name: c.Name, appID: c.AppID, mchID: c.MchID, subAppID: c.SubAppID, subMchID: c.SubMchID,
		opUserID: c.OpUserID, notifyURL: c.NotifyURL, refundAccount: c.RefundAccount,
		signer: newSigner(newSecret(c.APIKey), c.SignType), info: func() cipher.Block { return info },
		hosts: c.hosts(), timeout: c.Timeout, total: c.TotalTimeout, limits: *c.Limits,
		refundPace: newPace(c.RefundRate), queryPace: newPace(c.QueryRate),
		cert: cert, transport: transport, client: newClient(rt), log: c.Logger,
		shown: "wechatv2.Gateway{" + c.String() + "}",
	}, nil
}

// Refund asks for a refund (/secapi/pay/refund, official document 4011935217). An accepted one is
// [refund.OutcomeAccepted]: only Query tells that money was returned. A refusal that may be the echo of this
// refund's own earlier success is checked by a query before it is [refund.OutcomeDeclined].
//
// Errors: those of Check; [*refund.SetupError]; [*refund.BusyError]; [*refund.MismatchError];
// [*APIError]; [ErrSignature]; [ErrAnswer]; what ctx and the network report. All leave the outcome unknown.
func (g *Gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	res, err := g.refund(ctx, req)
	if err != nil {
		return refund.Result{}, fmt.Errorf("refund %s of order %s: %w", clip(req.RefundNo, 64), clip(req.OrderID, 64), err)
	}
	return res, nil
}

func (g *Gateway) refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	ans, err := g.sendRefund(ctx, req)
	if err != nil {
		return g.refused(ctx, err, req)
	}
	return result(refund.OutcomeAccepted, req, ans.RefundID), nil
}

// refused tells a refusal by its code from an error, which is returned as it is.
func (g *Gateway) refused(ctx context.Context, err error, req refund.Request) (refund.Result, error) {
	var apiErr *APIError
	if !errors.As(err, &apiErr) {
		return refund.Result{}, err
	}
	var doubt *doubtError
	doubtful := errors.As(err, &doubt)
	switch a, _ := Explain(apiErr.Code); a.Class {
	case ClassDeclined, ClassEcho:
		if a.Class == ClassDeclined && !doubtful {
			break
		}
		// It may be the echo of this refund's own success, or that took the funds which are now missing.
		res, queryErr := g.query(ctx, req)
		if queryErr != nil {
			return refund.Result{}, fmt.Errorf("%w; query it: %w", err, queryErr)
		}
		if res.Outcome != refund.OutcomeNotFound {
			return res, nil
		}
		if doubtful { // it may be on its way still
			return refund.Result{}, err
		}
	case ClassUnknown, ClassNotFound, ClassSetup, ClassBusy:
		return refund.Result{}, err
	}
	return refund.Result{Outcome: refund.OutcomeDeclined, Code: string(apiErr.Code), Message: apiErr.Msg}, nil
}

// doubtError is a refusal of a request of which an earlier sending may have paid.
type doubtError struct{ refusal error }

// Error implements error.
func (e *doubtError) Error() string {
	return "the request cannot be shown to have been sent once: " + e.refusal.Error()
}

// Unwrap implements what errors.Is and errors.As look for.
func (e *doubtError) Unwrap() error { return e.refusal }

func result(o refund.Outcome, req refund.Request, refundID string) refund.Result {
	res := refund.Result{Outcome: o, RefundNo: req.RefundNo, Amount: req.Amount, ProviderRefundID: clip(refundID, 64)}
	if req.PaymentID == "" {
		res.OrderID = req.OrderID // else the answer proves the payment's number, not the order's
	}
	return res
}

// call signs m, sends it and returns the answer's verified fields, and post's once. q is for the log.
func (g *Gateway) call(
	ctx context.Context, path string, m message, limit int64, req refund.Request,
) (f fields, once bool, err error) {
	for i := range m {
		if m[i].name == "sign" {
			m[i].value = g.signer.sign(m)
		}
	}
	answer, once, err := g.post(ctx, path, encode(m), limit)
	if err == nil {
		f, err = g.open(answer)
	}
	if g.log.Enabled(ctx, slog.LevelDebug) {
		g.logCall(ctx, path, f, err, req)
	}
	return f, once, err
}

func (g *Gateway) logCall(ctx context.Context, path string, f fields, err error, req refund.Request) {
	attrs := []slog.Attr{
		slog.String("path", path), slog.String("refund_no", req.RefundNo), slog.String("order_id", req.OrderID),
		slog.String("result_code", clip(f["result_code"], 32)), slog.String("err_code", clip(f["err_code"], 64)),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	g.log.LogAttrs(ctx, slog.LevelDebug, "wechat pay call", attrs...)
}

func newNonce() (string, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return "", fmt.Errorf("make a nonce: %w", err)
	}
	return hex.EncodeToString(nonce[:]), nil
}

// named is how a message names an order: by the payment's number where there is one, as WeChat Pay takes one of
// the two.
func named(orderID, paymentID string) (outTradeNo, transactionID string) {
	if paymentID != "" {
		return "", paymentID
	}
	return orderID, ""
}

// CloseIdleConnections closes the connections that are not in use. The Gateway stays usable.
func (g *Gateway) CloseIdleConnections() { g.transport.current.Load().CloseIdleConnections() }

// String describes the Gateway without its secrets.
func (g *Gateway) String() string { return g.shown }

// GoString is String.
func (g *Gateway) GoString() string { return g.shown }

// Format writes String, whatever the verb.
func (g *Gateway) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(g.shown)) }

// LogValue is String.
func (g *Gateway) LogValue() slog.Value { return slog.StringValue(g.shown) }

// MarshalText is String, so that the JSON of a Gateway is a text without secrets.
func (g *Gateway) MarshalText() ([]byte, error) { return []byte(g.shown), nil }
