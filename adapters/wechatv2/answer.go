package wechatv2

import (
	"errors"
	"strconv"
	"strings"

	"github.com/orderfsm/orderfsm/refund"
)

// The values of return_code and result_code.
const (
	success = "SUCCESS"
	fail    = "FAIL"
)

// open turns an answer's body into its fields, as far as it can be believed: form, return_code, signature,
// merchant. What it returns without an error was made by a holder of the API key for this merchant.
func (g *Gateway) open(body []byte) (fields, error) {
	f, err := decode(body)
	if err != nil {
		return nil, unusable("%v", err)
	}
	switch f["return_code"] {
	case success:
	case fail:
		return nil, g.returnFail(f)
	default:
		return nil, unusable("no return_code")
	}
	if !g.signer.signed(f) {
		return nil, ErrSignature
	}
	if err := g.matchMerchant(f); err != nil {
		return nil, err
	}
	if r := f["result_code"]; r != success && r != fail {
		return nil, unusable("no result_code")
	}
	return f, nil
}

// returnFail classifies an unsigned refusal of the message by its text. It never decides the refund: nobody
// has signed for it.
func (g *Gateway) returnFail(f fields) error {
	err := apiError(f)
	err.Code, err.Msg = "", "" // not part of such an answer
	for _, text := range []string{"签名", "证书", "参数格式", "缺少参数", "XML格式", "非法的请求参数", "appid", "mch_id", "商户号", "沙箱"} {
		if strings.Contains(err.ReturnMsg, text) {
			return g.setup(err)
		}
	}
	return err
}

// codeError is the error for an answer with an err_code.
func (g *Gateway) codeError(err *APIError) error {
	a, _ := Explain(err.Code)
	switch a.Class {
	case ClassSetup:
		return g.setup(err)
	case ClassBusy:
		return &refund.BusyError{After: a.After, Account: a.Account, Err: err}
	case ClassUnknown, ClassDeclined, ClassEcho, ClassNotFound:
	}
	return err
}

// match returns a *refund.MismatchError where want and got differ.
func match(field, want, got string) error {
	if want == got {
		return nil
	}
	return &refund.MismatchError{Field: field, Want: want, Got: clip(got, 64)}
}

// matchMerchant checks whom an answer or a notification is for. The sub-merchant, in service-provider mode, need
// be named by an answer with a result only, its application by none; a plain merchant has neither.
func (g *Gateway) matchMerchant(f fields) error {
	err := errors.Join(match("app_id", g.appID, f["appid"]), match("mch_id", g.mchID, f["mch_id"]))
	if no := f["sub_mch_id"]; no != "" || g.subMchID != "" && f["result_code"] == success {
		err = errors.Join(err, match("sub_mch_id", g.subMchID, no))
	}
	if id := f["sub_appid"]; id != "" && g.subAppID != "" {
		err = errors.Join(err, match("sub_app_id", g.subAppID, id))
	}
	return err
}

// matchRefusal checks that a refusal contradicts its question in nothing: it need not name what it is about.
func matchRefusal(f fields, req refund.Request) error {
	for _, n := range []struct{ field, name, want string }{
		{"refund_no", "out_refund_no", req.RefundNo},
		{"payment_id", "transaction_id", req.PaymentID},
		{"order_id", "out_trade_no", orderUnlessPaid(req)},
		{"total", "total_fee", positive(req.Total)},
		{"amount", "refund_fee", positive(req.Amount)},
	} {
		if got := f[n.name]; got != "" && n.want != "" {
			if err := match(n.field, n.want, got); err != nil {
				return err
			}
		}
	}
	return nil
}

// orderUnlessPaid is the order's number where the question was asked by it. Beside the payment's number it may be
// the shop's own.
func orderUnlessPaid(req refund.Request) string {
	if req.PaymentID != "" {
		return ""
	}
	return req.OrderID
}

func positive(fen int64) string {
	if fen <= 0 {
		return ""
	}
	return amount(fen)
}

// matchOrder checks that an answer is about the order that was asked about.
func matchOrder(f fields, req refund.Request) error {
	// The payment's number is what was sent, and what wins.
	name, want, got := "payment_id", req.PaymentID, f["transaction_id"]
	if req.PaymentID == "" {
		name, want, got = "order_id", req.OrderID, f["out_trade_no"]
	}
	if err := match(name, want, got); err != nil {
		return err
	}
	if err := match("total", amount(req.Total), f["total_fee"]); err != nil {
		return err
	}
	return match("currency", currency, or(f["fee_type"], currency))
}

// matchRow checks that it is about the refund. suffix selects the row of a query's answer.
func matchRow(f fields, req refund.Request, suffix string) error {
	if err := match("refund_no", req.RefundNo, f["out_refund_no"+suffix]); err != nil {
		return err
	}
	return match("amount", amount(req.Amount), f["refund_fee"+suffix])
}

func amount(fen int64) string { return strconv.FormatInt(fen, 10) }
