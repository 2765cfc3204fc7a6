package wechattest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// raw posts a correctly signed refund of 30 fen and returns the answer.
func (m *merchant) raw(number string) (int, string, error) {
	f := msg{
		"appid": m.cfg.AppID, "mch_id": m.cfg.MchID, "nonce_str": "n", "out_trade_no": "O1",
		"out_refund_no": number, "total_fee": "100", "refund_fee": "30",
	}
	f["sign"] = m.sign(f)
	status, body, err := m.post(wechattest.PathRefund, f.xml())
	return status, string(body), err
}

func TestEachFaultPaysAndAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault    wechattest.Fault
		paid     int64
		status   int // 0: no answer
		contains string
	}{
		"none":          {wechattest.Fault{}, 30, 200, "<refund_fee><![CDATA[30]]>"},
		"answer lost":   {wechattest.LoseAnswer(), 30, 0, ""},
		"failed before": {wechattest.LoseAnswer().NotExecuted(), 0, 0, ""},
		"broken off":    {wechattest.BreakOff(), 30, 0, ""},
		"502":           {wechattest.Status(http.StatusBadGateway), 30, 502, "<html>"},
		"502, not done": {
			wechattest.Status(http.StatusBadGateway).NotExecuted(), 0, 502,
			"<html>",
		},
		"garbage":   {wechattest.Body([]byte("garbage")), 30, 200, "garbage"},
		"empty":     {wechattest.Body(nil), 30, 200, ""},
		"truncated": {wechattest.Truncate(), 30, 200, "<xml>"},
		"other number": {
			wechattest.Fault{}.Field("out_refund_no", "R2"), 30, 200,
			"<out_refund_no><![CDATA[R2]]>",
		},
		"other amount": {
			wechattest.Fault{}.Field("refund_fee", "31"), 30, 200,
			"<refund_fee><![CDATA[31]]>",
		},
		"field": {
			wechattest.Fault{}.Field("x", "]]>").Field("y", "2"), 30, 200,
			"<x><![CDATA[]]]]><![CDATA[>]]></x>\n<y><![CDATA[2]]></y>",
		},
		"code, executed": {
			wechattest.ErrCode("SYSTEMERROR", "System Error", true), 30, 200,
			"<err_code><![CDATA[SYSTEMERROR]]>",
		},
		"code": {
			wechattest.ErrCode("SYSTEMERROR", "System Error", false), 0, 200,
			"<err_code><![CDATA[SYSTEMERROR]]>",
		},
		"refusal": {
			wechattest.ReturnFail("system error", false), 0, 200,
			"<return_msg><![CDATA[system error]]>",
		},
		"refusal, done": {
			wechattest.ReturnFail("system error", true), 30, 200,
			"<return_msg><![CDATA[system error]]>",
		},
		"ends as": {
			wechattest.EndsAs(wechattest.StatusChange), 30, 200,
			"<refund_fee><![CDATA[30]]>",
		},
		"of another path": {
			wechattest.LoseAnswer().On(wechattest.PathQuery), 30, 200,
			"<refund_fee><![CDATA[30]]>",
		},
		"no field": {
			wechattest.Fault{}.Field("nonce_str", ""), 30, 200, "</mch_id>\n<out_refund_no>",
		},
		"wrong signature":  {wechattest.WrongSign(), 30, 200, "<sign>"},
		"no signature":     {wechattest.NoSign(), 30, 200, "<sign><![CDATA[]]></sign>"},
		"signed otherwise": {wechattest.OtherSign(), 30, 200, "<sign>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMerchant(t, wechattest.Options{})
			m.srv.Inject(tt.fault)
			status, body, err := m.raw("R1")
			if tt.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Equal(t, tt.status, status)
				require.Contains(t, body, tt.contains)
			}
			require.Equal(t, tt.paid, m.srv.Paid("R1"))
		})
	}
}

// TestSignatureFaultsSignAsDocumented checks the signature of each fault.
func TestSignatureFaultsSignAsDocumented(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	m.srv.Inject(wechattest.Fault{}, wechattest.WrongSign(), wechattest.OtherSign(),
		wechattest.NoSign())
	var got []msg
	for range 4 {
		_, body, err := m.raw("R1")
		require.NoError(t, err)
		got = append(got, read(t, []byte(body)))
	}
	require.Equal(t, m.sign(got[0]), got[0]["sign"])
	require.NotEqual(t, m.sign(got[1]), got[1]["sign"])
	require.Len(t, got[1]["sign"], 32)
	m.hmac = true
	require.Equal(t, m.sign(got[2]), got[2]["sign"])
	require.Empty(t, got[3]["sign"])
}

func TestScript(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	m.srv.Inject(
		wechattest.ErrCode("REFUNDNOTEXIST", "x", false).On(wechattest.PathQuery),
		wechattest.ErrCode("FIRST", "x", false).On(wechattest.PathRefund),
	)
	m.srv.Inject(wechattest.ErrCode("SECOND", "x", false),
		wechattest.Fault{}.Field("refund_status_0", "NEW").On(wechattest.PathQuery))
	requireCode(t, m.refund("R1", 30), "FIRST")
	requireCode(t, m.refund("R1", 30), "SECOND")
	requireCode(t, m.refund("R1", 30), "")
	requireCode(t, m.query("out_refund_no", "R1"), "REFUNDNOTEXIST")
	require.Equal(t, "NEW", m.query("out_refund_no", "R1")["refund_status_0"])
	require.Equal(t, "SUCCESS", m.query("out_refund_no", "R1")["refund_status_0"])
}

// TestFaultsHoldACall checks that faults hold a call before it pays and before it is answered.
func TestFaultsHoldACall(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	paid := make(chan int64, 2)
	look := func(context.Context) { paid <- m.srv.Paid("R1") }
	m.srv.Inject(wechattest.Fault{}.Before(look).After(look))
	requireCode(t, m.refund("R1", 30), "")
	require.Zero(t, <-paid)
	require.EqualValues(t, 30, <-paid)
}
