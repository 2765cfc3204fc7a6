package wechatv2_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// codeTests holds every documented code with the expected class.
var codeTests = []struct {
	code  string
	class wechatv2.Class
	after time.Duration
	all   bool // the whole account waits
}{
	{"SYSTEMERROR", wechatv2.ClassUnknown, 0, false},
	{"BIZERR_NEED_RETRY", wechatv2.ClassBusy, 5 * time.Second, false},
	{"FREQUENCY_LIMITED", wechatv2.ClassBusy, time.Minute, false},
	{"INVALID_REQ_TOO_MUCH", wechatv2.ClassBusy, time.Minute, true},
	{"ORDER_NOT_READY", wechatv2.ClassBusy, time.Minute, false},
	{wechatv2.CodeNotEnough, wechatv2.ClassDeclined, 0, false},
	{"TRADE_OVERDUE", wechatv2.ClassDeclined, 0, false},
	{wechatv2.CodeUserAccountAbnormal, wechatv2.ClassDeclined, 0, false},
	{"ORDERNOTEXIST", wechatv2.ClassDeclined, 0, false},
	{"INVALID_TRANSACTIONID", wechatv2.ClassDeclined, 0, false},
	{"PARAM_ERROR", wechatv2.ClassDeclined, 0, false},
	{"ERROR", wechatv2.ClassEcho, 0, false},
	{"INVALID_REQUEST", wechatv2.ClassEcho, 0, false},
	{"REFUND_FEE_MISMATCH", wechatv2.ClassEcho, 0, false},
	{"REFUNDNOTEXIST", wechatv2.ClassNotFound, 0, false},
	{"APPID_NOT_EXIST", wechatv2.ClassSetup, 0, false},
	{"MCHID_NOT_EXIST", wechatv2.ClassSetup, 0, false},
	{"APPID_MCHID_NOT_MATCH", wechatv2.ClassSetup, 0, false},
	{"SIGNERROR", wechatv2.ClassSetup, 0, false},
	{"XML_FORMAT_ERROR", wechatv2.ClassSetup, 0, false},
	{"REQUIRE_POST_METHOD", wechatv2.ClassSetup, 0, false},
	{"NOAUTH", wechatv2.ClassSetup, 0, false},
	{"CERT_ERROR", wechatv2.ClassSetup, 0, false},
	{"SUCCESS", wechatv2.ClassUnknown, 0, false},
	{"", wechatv2.ClassUnknown, 0, false},
	{"NOTENOUGH2", wechatv2.ClassUnknown, 0, false},
	{"notenough", wechatv2.ClassUnknown, 0, false},
}

// TestEveryDocumentedCode checks the advice for the codes of the documents.
func TestEveryDocumentedCode(t *testing.T) {
	t.Parallel()
	codes := strings.Fields(`
		SYSTEMERROR BIZERR_NEED_RETRY FREQUENCY_LIMITED INVALID_REQ_TOO_MUCH ORDER_NOT_READY
		NOTENOUGH TRADE_OVERDUE USER_ACCOUNT_ABNORMAL ERROR INVALID_REQUEST REFUND_FEE_MISMATCH
		ORDERNOTEXIST INVALID_TRANSACTIONID PARAM_ERROR APPID_NOT_EXIST MCHID_NOT_EXIST
		APPID_MCHID_NOT_MATCH SIGNERROR XML_FORMAT_ERROR REQUIRE_POST_METHOD NOAUTH CERT_ERROR
		REFUNDNOTEXIST`)
	require.Len(t, codes, wechatv2.Codes)
	for _, code := range codes {
		a, known := wechatv2.Explain(code)
		require.True(t, known, code)
		require.True(t, strings.HasSuffix(a.Text, "."), code)
		// A refund that has failed or needs another set-up does not go on without a person.
		class, after, _ := wechatv2.Meaning(code)
		if class == wechatv2.ClassDeclined || class == wechatv2.ClassEcho ||
			class == wechatv2.ClassSetup {
			require.True(t, a.Person, code)
		}
		require.Equal(t, class == wechatv2.ClassBusy, after > 0, code)
	}
}

func TestEveryCodeIsClassified(t *testing.T) {
	t.Parallel()
	require.Len(t, codeTests, wechatv2.Codes+4, "every code is tested")
	for _, tt := range codeTests {
		a, known := wechatv2.Explain(tt.code)
		class, after, all := wechatv2.Meaning(tt.code)
		require.Equal(t, tt.class, class, tt.code)
		require.Equal(t, tt.after, after, tt.code)
		require.Equal(t, tt.all, all, tt.code)
		require.NotEmpty(t, a.Text, tt.code)
		require.Equal(t, len(tt.code) > 3 && tt.code != "SUCCESS" && tt.code != "NOTENOUGH2" &&
			tt.code != "notenough", known, tt.code)
	}
}

func TestRefundErrorCodesHaveTheirOutcome(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	for _, tt := range codeTests {
		srv.Inject(wechattest.ErrCode(tt.code, "余额", false))
		queries := srv.Calls(wechattest.PathQuery)
		res, err := g.Refund(context.Background(), request())
		switch tt.class {
		case wechatv2.ClassDeclined, wechatv2.ClassEcho:
			require.NoError(t, err, tt.code)
			require.Equal(t, refund.Result{
				Outcome: refund.OutcomeDeclined, Code: tt.code,
				Message: "余额",
			}, res)
		case wechatv2.ClassUnknown, wechatv2.ClassNotFound, wechatv2.ClassSetup, wechatv2.ClassBusy:
			requireCodeError(t, err, tt.code, tt.class, tt.after, tt.all)
			require.Zero(t, res)
		}
		asked := 0
		if tt.class == wechatv2.ClassEcho {
			asked = 1
		}
		require.Equal(t, asked, srv.Calls(wechattest.PathQuery)-queries,
			"%s: an echo is queried", tt.code)
	}
	require.Zero(t, srv.Paid("R1"))
}

// TestNoQueryErrorCodeFailsARefund checks that no code of a query fails a refund.
func TestNoQueryErrorCodeFailsARefund(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	for _, tt := range codeTests {
		srv.Inject(wechattest.ErrCode(tt.code, "x", false))
		res, err := g.Query(context.Background(), request())
		if tt.class == wechatv2.ClassNotFound {
			require.NoError(t, err)
			require.Equal(t, refund.Result{
				Outcome: refund.OutcomeNotFound, Code: "REFUNDNOTEXIST",
				Message: "x",
			}, res)
			continue
		}
		requireCodeError(t, err, tt.code, tt.class, tt.after, tt.all)
		require.Zero(t, res)
	}
}

func requireCodeError(
	t *testing.T, err error, code string, class wechatv2.Class, after time.Duration,
	all bool,
) {
	t.Helper()
	var apiErr *wechatv2.APIError
	require.ErrorAs(t, err, &apiErr, code)
	require.Equal(t, code, apiErr.Code)
	var setup *refund.SetupError
	var later *refund.BusyError
	if class == wechatv2.ClassSetup {
		require.ErrorAs(t, err, &setup, code)
		require.Equal(t, wechatv2.GatewayName, setup.Gateway)
		require.ErrorIs(t, err, refund.ErrSetup)
	} else {
		require.NotErrorIs(t, err, refund.ErrSetup, code)
	}
	if class == wechatv2.ClassBusy {
		require.ErrorAs(t, err, &later, code)
		require.Equal(t, after, later.After)
		require.Equal(t, all, later.Account, code)
	} else {
		require.NotErrorIs(t, err, refund.ErrBusy, code)
	}
}

// TestEchoIsQueriedBeforeItIsBelieved checks that a refusal which may come from an earlier success
// of the same refund is queried before it is believed.
func TestEchoIsQueriedBeforeItIsBelieved(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ERROR", "INVALID_REQUEST", "REFUND_FEE_MISMATCH"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			srv := newServer(t, wechattest.Options{})
			g := newGateway(t, config(srv))
			echo := func() wechattest.Fault {
				return wechattest.ErrCode(code, "x", false).On(wechattest.PathRefund)
			}

			srv.Inject(wechattest.LoseAnswer(), echo())
			_, err := g.Refund(ctx, request())
			require.Error(t, err)
			require.EqualValues(t, 30, srv.Paid("R1"))
			res, err := g.Refund(ctx, request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
			require.Equal(t, srv2id(1), res.ProviderRefundID)

			// Without an answer to the query the outcome is unknown.
			srv.Inject(echo(), wechattest.LoseAnswer().On(wechattest.PathQuery))
			_, err = g.Refund(ctx, request())
			require.Error(t, err)
			var apiErr *wechatv2.APIError
			require.ErrorAs(t, err, &apiErr)

			// The number belongs to another refund.
			other := request()
			other.Amount = 31
			_, err = g.Refund(ctx, other)
			require.ErrorIs(t, err, refund.ErrMismatch)
		})
	}
}

func TestReturnFailDecidesNothing(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	tests := map[string]bool{
		"签名错误": true, "签名校验失败": true, "XML格式错误": true, "参数格式校验错误": true, "0参数格式错误": true,
		"缺少参数appid": true, "非法的请求参数": true, "证书已过期": true, "appid不存在": true, "mch_id参数错误": true,
		"沙箱支付金额不正确": true, "证书已作废": true,
		"invalid refund_fee": false, "system error": false, "系统繁忙": false, "基本账户余额不足": false,
		"": false, "订单已全额退款": false,
	}
	for text, setup := range tests {
		srv.Inject(wechattest.ReturnFail(text, false), wechattest.ReturnFail(text, false))
		_, err := g.Refund(context.Background(), request())
		_, queryErr := g.Query(context.Background(), request())
		for _, err := range []error{err, queryErr} {
			var apiErr *wechatv2.APIError
			require.ErrorAs(t, err, &apiErr, text)
			require.Equal(t, wechatv2.APIError{Msg: text}, *apiErr)
			if setup {
				require.ErrorIs(t, err, refund.ErrSetup, text)
			} else {
				require.NotErrorIs(t, err, refund.ErrSetup, text)
			}
		}
	}
}
