package wechatv2

import (
	"cmp"
	"errors"
	"strings"

	"github.com/orderfsm/orderfsm/refund"
)

// The values of return_code and result_code.
const (
	success = "SUCCESS"
	fail    = "FAIL"
)

// verify returns the fields of an answer after it has checked its form, return_code, signature and
// merchant. A holder of the API key has made these fields for this merchant.
func (g *Gateway) verify(body []byte) (fields, error) {
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

// returnFail classifies an unsigned refusal of the message by its text. It never decides the
// refund, because nobody has signed the refusal.
func (g *Gateway) returnFail(f fields) error {
	err := &APIError{Msg: clip(f["return_msg"], 256)}
	for _, text := range []string{
		"签名", "证书", "参数格式", "缺少参数", "XML格式", "非法的请求参数", "appid", "mch_id", "商户号", "沙箱",
	} {
		if strings.Contains(err.Msg, text) {
			return g.setup(err)
		}
	}
	return err
}

// refusal returns nil for an answer with result_code SUCCESS, else the error that its code stands
// for.
func (g *Gateway) refusal(f fields, req refund.Request) error {
	if f["result_code"] == success {
		return nil
	}
	if err := matchRefusal(f, req); err != nil {
		return err
	}
	err := &APIError{Code: clip(f["err_code"], 64), Msg: clip(f["err_code_des"], 256)}
	switch m := meanings[err.Code]; m.class {
	case classSetup:
		return g.setup(err)
	case classBusy:
		return &refund.BusyError{After: m.after, Account: m.account, Err: err}
	case classUnknown, classDeclined, classEcho, classNotFound:
	}
	return err
}

// match returns a *refund.MismatchError if want and got differ.
func match(field, want, got string) error {
	if want == got {
		return nil
	}
	return &refund.MismatchError{Field: field, Want: want, Got: clip(got, 64)}
}

// matchMerchant checks that an answer or a notification is for this merchant. In service-provider
// mode only an answer with a result must name the sub-merchant, and none must name its application.
// A plain merchant has neither.
func (g *Gateway) matchMerchant(f fields) error {
	err := errors.Join(match("app_id", g.appID, f["appid"]), match("mch_id", g.mchID, f["mch_id"]))
	if id := f["sub_mch_id"]; id != "" || g.subMchID != "" && f["result_code"] == success {
		err = errors.Join(err, match("sub_mch_id", g.subMchID, id))
	}
	if id := f["sub_appid"]; id != "" && g.subAppID != "" {
		err = errors.Join(err, match("sub_app_id", g.subAppID, id))
	}
	return err
}

// matchRefusal checks that a refusal contradicts its request nowhere. It need not name the refund.
func matchRefusal(f fields, req refund.Request) error {
	for _, n := range []struct{ field, name, want string }{
		{"refund_no", "out_refund_no", req.RefundNo},
		{"payment_id", "transaction_id", req.PaymentID},
		{"order_id", "out_trade_no", orderAsked(req)},
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

// orderAsked is the order number that a request sends and its answer must repeat. It is empty if
// the request names the order by PaymentID: WeChat Pay takes one of the two, and the answer may
// then have another order number.
func orderAsked(req refund.Request) string {
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

// matchOrder checks that an answer is about the order of the request.
func matchOrder(f fields, req refund.Request) error {
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
	return match("currency", currency, cmp.Or(f["fee_type"], currency))
}

// matchRefund checks that an answer is about the refund of the request. suffix selects the row of a
// query's answer.
func matchRefund(f fields, req refund.Request, suffix string) error {
	if err := match("refund_no", req.RefundNo, f["out_refund_no"+suffix]); err != nil {
		return err
	}
	return match("amount", amount(req.Amount), f["refund_fee"+suffix])
}
