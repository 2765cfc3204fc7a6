package wechatv2_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// refusing holds the codes that lead to Declined.
var refusing = []string{
	"NOTENOUGH", "TRADE_OVERDUE", "USER_ACCOUNT_ABNORMAL", "ORDERNOTEXIST", "INVALID_TRANSACTIONID",
	"PARAM_ERROR",
	"ERROR", "INVALID_REQUEST", "REFUND_FEE_MISMATCH",
}

// signature makes the signature of a message.
type signature func(f map[string]string) string

// refusal returns a signed or unsigned answer with a code.
func refusal(srv *wechattest.Server, code string, sign signature) wechattest.Fault {
	return answerOf(srv, map[string]string{"result_code": "FAIL", "err_code": code}, sign)
}

// answerOf returns a fault that replaces the answer of srv: its common fields, changed by over,
// with a signature. The request is executed, so a refusal is a lie.
func answerOf(srv *wechattest.Server, over map[string]string, sign signature) wechattest.Fault {
	cfg := srv.Config()
	f := map[string]string{
		"return_code": "SUCCESS", "return_msg": "OK", "nonce_str": "n",
		"appid": cfg.AppID, "mch_id": cfg.MchID,
	}
	maps.Copy(f, over)
	for name, value := range f {
		if value == "" {
			delete(f, name)
		}
	}
	if sign != nil {
		f["sign"] = sign(f)
	}
	return wechattest.Body(wechatv2.Encode(f))
}

// signatures returns the signatures that somebody without the API key can make, and the right one.
func signatures(srv *wechattest.Server) (forged map[string]signature, right signature) {
	with := func(key string, kind wechatv2.SignType) signature {
		return func(f map[string]string) string { return wechatv2.Sign(f, key, kind) }
	}
	key := srv.Config().APIKey
	right = with(key, wechatv2.SignMD5)
	return map[string]signature{
		"none":                   nil,
		"empty":                  func(map[string]string) string { return "" },
		"of another key":         with("0123456789abcdef0123456789abcdef", wechatv2.SignMD5),
		"of no key":              with("", wechatv2.SignMD5),
		"by the other algorithm": with(key, wechatv2.SignHMACSHA256),
		"in lower case": func(f map[string]string) string {
			return strings.ToLower(right(f))
		},
		"cut":                func(f map[string]string) string { return right(f)[:31] },
		"with more behind":   func(f map[string]string) string { return right(f) + "0" },
		"of another message": func(map[string]string) string { return right(nil) },
		"without the result code": func(f map[string]string) string {
			return right(without(f, "result_code"))
		},
		"without the merchant": func(f map[string]string) string {
			return right(without(f, "mch_id"))
		},
	}, right
}

func without(f map[string]string, name string) map[string]string {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// lie replaces the answer to a refund, which is paid, and the answer to its query. It checks that
// both calls return an error, and that the next query finds the truth.
func lie(
	t *testing.T, srv *wechattest.Server, g *wechatv2.Gateway,
	toRefund, toQuery wechattest.Fault, is error,
) {
	t.Helper()
	srv.Inject(toRefund.On(wechattest.PathRefund), toQuery.On(wechattest.PathQuery))
	queries := srv.Calls(wechattest.PathQuery)
	res, err := g.Refund(context.Background(), request())
	requireDoubt(t, res, err, is)
	require.Equal(t, queries, srv.Calls(wechattest.PathQuery),
		"no query: an answer that is not believed is not an echo")
	res, err = g.Query(context.Background(), request())
	requireDoubt(t, res, err, is)
	res, err = g.Query(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
	require.EqualValues(t, 30, srv.PaidTotal("O1"))
}

// TestForgedRefusalsAreNotBelieved checks that no code and no "not found" is believed unless a
// holder of the API key has signed it.
func TestForgedRefusalsAreNotBelieved(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	forged, right := signatures(srv)
	for name, sign := range forged {
		for _, code := range append([]string{"REFUNDNOTEXIST"}, refusing...) {
			t.Run(code+", signature "+name, func(t *testing.T) {
				a := refusal(srv, code, sign)
				lie(t, srv, g, a, a, wechatv2.ErrSignature)
			})
		}
	}
	for _, code := range refusing { // the same message with the right signature is believed
		srv.Inject(refusal(srv, code, right).On(wechattest.PathRefund).NotExecuted())
		srv.Inject(notFound())
		other := request()
		other.RefundNo = "R2"
		res, err := g.Refund(context.Background(), other)
		require.NoError(t, err, code)
		require.Equal(t, refund.Result{Outcome: refund.OutcomeDeclined, Code: code}, res)
		_, _ = g.Query(context.Background(), other) // uses the fault that an echo has left
	}
}

// TestRefusalsOfAnotherRequestAreNotBelieved checks that a signed refusal decides nothing if one of
// its fields contradicts the request.
func TestRefusalsOfAnotherRequestAreNotBelieved(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, right := signatures(srv)
	for name, over := range map[string]map[string]string{
		"another refund":                    {"out_refund_no": "R2"},
		"another order":                     {"out_trade_no": "O2"},
		"another amount":                    {"refund_fee": "31"},
		"another spelling of the amount":    {"refund_fee": "30.0"},
		"another total":                     {"total_fee": "101"},
		"another merchant":                  {"mch_id": "1900000109"},
		"another application":               {"appid": "wx0000000000000009"},
		"a sub-merchant":                    {"sub_mch_id": "1900000109"},
		"no merchant":                       {"mch_id": ""},
		"no application":                    {"appid": ""},
		"a right refund of another order":   {"out_refund_no": "R1", "out_trade_no": "O2"},
		"a right order, and another refund": {"out_refund_no": "R2", "out_trade_no": "O1"},
	} {
		for _, code := range append([]string{"REFUNDNOTEXIST"}, refusing...) {
			t.Run(name+", "+code, func(t *testing.T) {
				f := map[string]string{"result_code": "FAIL", "err_code": code}
				maps.Copy(f, over)
				a := answerOf(srv, f, right)
				lie(t, srv, g, a, a, refund.ErrMismatch)
			})
		}
	}

	// By the payment's number, which alone is compared then.
	require.NoError(t,
		srv.AddOrder(wechattest.Order{OutTradeNo: "O3", TransactionID: "42007", TotalFee: 100}))
	req := request()
	req.RefundNo, req.OrderID, req.PaymentID = "R3", "the shop's own", "42007"
	f := map[string]string{
		"result_code": "FAIL", "err_code": "NOTENOUGH",
		"transaction_id": "42008",
	}
	srv.Inject(answerOf(srv, f, right))
	res, err := g.Refund(context.Background(), req)
	require.ErrorIs(t, err, refund.ErrMismatch)
	require.Zero(t, res)
}

// TestUndocumentedRefusalsAreNotBelieved checks that a signed refusal in a spelling that no
// document has decides nothing.
func TestUndocumentedRefusalsAreNotBelieved(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, right := signatures(srv)
	for _, result := range []string{
		"", "fail", "Fail", "FAILED", "FAIL ", " FAIL", "ERROR", "0", "false", "PENDING", "success",
		"SUCCESS ",
	} {
		for _, code := range append([]string{"REFUNDNOTEXIST"}, refusing...) {
			t.Run("result_code "+result+", "+code, func(t *testing.T) {
				a := answerOf(srv, map[string]string{"result_code": result, "err_code": code},
					right)
				lie(t, srv, g, a, a, wechatv2.ErrAnswer)
			})
		}
	}
	for _, known := range append([]string{"REFUNDNOTEXIST"}, refusing...) {
		for _, code := range []string{
			strings.ToLower(known), " " + known, known + " ", known + "\n", known + "_",
			"_" + known,
			known[:len(known)-1], known + known,
		} {
			t.Run("err_code "+code, func(t *testing.T) {
				a := refusal(srv, code, right)
				lie(t, srv, g, a, a, nil)
			})
		}
	}
	// An answer with result_code SUCCESS is not a refusal, whatever its err_code.
	for _, code := range refusing {
		srv.Inject(field("err_code", code))
		res, err := g.Refund(context.Background(), request())
		require.NoError(t, err)
		require.Equal(t, refund.OutcomeAccepted, res.Outcome)
	}
}

// TestUnsignedRefusalsAreNotBelieved checks that an answer with return_code FAIL decides nothing,
// with or without a signature: only its return_msg is read.
func TestUnsignedRefusalsAreNotBelieved(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, right := signatures(srv)
	for name, sign := range map[string]signature{"unsigned": nil, "signed": right} {
		for _, code := range append([]string{"REFUNDNOTEXIST"}, refusing...) {
			t.Run(name+", "+code, func(t *testing.T) {
				a := answerOf(srv, map[string]string{
					"return_code": "FAIL", "return_msg": "x", "result_code": "FAIL",
					"err_code": code,
				}, sign)
				lie(t, srv, g, a, a, nil)
			})
		}
	}
}

// TestStatusOfAnotherRefundIsNotBelieved checks that no status in a query's answer is believed if
// it is unsigned, or about another refund, amount, order or merchant. The refund is paid.
func TestStatusOfAnotherRefundIsNotBelieved(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	forged, right := signatures(srv)
	_, err := g.Refund(context.Background(), request())
	require.NoError(t, err)
	ended := func(status string, over map[string]string) map[string]string {
		f := map[string]string{
			"result_code": "SUCCESS", "out_trade_no": "O1", "transaction_id": "4200",
			"total_fee":    "100",
			"refund_count": "1", "out_refund_no_0": "R1", "refund_id_0": "50", "refund_fee_0": "30",
			"refund_status_0": status,
		}
		maps.Copy(f, over)
		return f
	}
	check := func(t *testing.T, f map[string]string, sign signature, is error) {
		t.Helper()
		srv.Inject(answerOf(srv, f, sign))
		res, err := g.Query(context.Background(), request())
		requireDoubt(t, res, err, is)
	}
	for _, status := range []string{"REFUNDCLOSE", "CHANGE", "SUCCESS"} {
		for name, sign := range forged {
			t.Run(status+", signature "+name, func(t *testing.T) {
				check(t, ended(status, nil), sign, wechatv2.ErrSignature)
			})
		}
		for name, over := range map[string]map[string]string{
			"another refund":      {"out_refund_no_0": "R2"},
			"another amount":      {"refund_fee_0": "31"},
			"no amount":           {"refund_fee_0": ""},
			"another order":       {"out_trade_no": "O2"},
			"another total":       {"total_fee": "101"},
			"another merchant":    {"mch_id": "1900000109"},
			"another application": {"appid": "wx0000000000000009"},
			"another currency":    {"fee_type": "USD"},
			"no row":              {"refund_count": "0"},
			"two rows of the number": {
				"refund_count": "2", "out_refund_no_1": "R1",
				"refund_fee_1": "30",
			},
			"the status of another row":   {"refund_status_0": "", "refund_status_1": status},
			"the amount of another row":   {"refund_fee_0": "", "refund_fee_1": "30"},
			"a status spelt otherwise":    {"refund_status_0": strings.ToLower(status)},
			"a status with a space":       {"refund_status_0": status + " "},
			"no result code":              {"result_code": ""},
			"the sum in place of its own": {"refund_fee_0": "", "refund_fee": "30"},
		} {
			t.Run(status+", "+name,
				func(t *testing.T) { check(t, ended(status, over), right, nil) })
		}
	}
	for status, want := range map[string]refund.Outcome{
		"REFUNDCLOSE": refund.OutcomeClosed, "CHANGE": refund.OutcomeAbnormal,
		"SUCCESS":    refund.OutcomeSucceeded,
		"PROCESSING": refund.OutcomeAccepted,
	} {
		// the same with the right signature is believed
		srv.Inject(answerOf(srv, ended(status, nil), right))
		res, err := g.Query(context.Background(), request())
		require.NoError(t, err)
		require.Equal(t, want, res.Outcome)
	}
}
