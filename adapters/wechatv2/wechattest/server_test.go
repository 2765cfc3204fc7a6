package wechattest_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

func TestRefundAndQuery(t *testing.T) {
	t.Parallel()
	for _, hmac := range []bool{false, true} {
		now := time.Date(2026, 1, 1, 17, 0, 0, 0, time.UTC)
		m := newMerchant(t, wechattest.Options{Now: func() time.Time { return now }})
		m.srv.SetBalance(1000)
		m.hmac = hmac
		requireCode(t, m.query("out_refund_no", "R1"), "REFUNDNOTEXIST")
		ans := m.refund("R1", 30, "refund_desc", "<&>中")
		requireCode(t, ans, "")
		require.Equal(t, "R1", ans["out_refund_no"])
		require.Equal(t, "30", ans["refund_fee"])
		require.Equal(t, "42001", ans["transaction_id"])
		again := m.refund("R1", 30)
		require.Equal(t, ans["refund_id"], again["refund_id"])
		require.EqualValues(t, 970, m.srv.Balance())
		require.Equal(t, []wechattest.Entry{{
			OutRefundNo: "R1", RefundID: ans["refund_id"], OutTradeNo: "O1",
			Amount: 30, Status: wechattest.StatusProcessing, Payments: 1, AcceptedAt: now,
		}}, m.srv.Ledger())

		for _, by := range []string{
			"out_refund_no", "refund_id", "out_trade_no",
			"transaction_id",
		} {
			number := map[string]string{
				"out_refund_no": "R1", "refund_id": ans["refund_id"],
				"out_trade_no": "O1", "transaction_id": "42001",
			}[by]
			row := m.query(by, number)
			requireCode(t, row, "")
			require.Equal(t, "1", row["refund_count"])
			require.Equal(t, "R1", row["out_refund_no_0"])
			require.Equal(t, "SUCCESS", row["refund_status_0"])
			require.Equal(t, "2026-01-02 01:00:00", row["refund_success_time_0"])
		}
		require.Equal(t, now, m.srv.Ledger()[0].EndedAt)
		require.EqualValues(t, 30, m.srv.Paid("R1"))
		require.EqualValues(t, 30, m.srv.PaidTotal("O1"))
		require.Zero(t, m.srv.Paid("R2"))
		require.Zero(t, m.srv.PaidTotal("O2"))
		require.Equal(t, 2, m.srv.Calls(wechattest.PathRefund))
		require.Equal(t, 5, m.srv.Calls(wechattest.PathQuery))
	}
}

// TestConfigIsReadyForNew checks that a gateway with the server's Config refunds, and that the
// caller may change the Config.
func TestConfigIsReadyForNew(t *testing.T) {
	t.Parallel()
	for _, opts := range []wechattest.Options{
		{},
		{SubMchID: "1900000109"},
		{SubMchID: "1900000109", SubAppID: "wxsub"},
		{AppID: "wx2", MchID: "2", APIKey: "abcdefghijklmnopqrstuvwxyz012345"},
	} {
		m := newMerchant(t, opts)
		spoilt := m.srv.Config()
		clear(spoilt.CertPEM)
		clear(spoilt.KeyPEM)
		spoilt.RootCAs.AddCert(&x509.Certificate{Raw: []byte("x")})
		require.False(t, spoilt.RootCAs.Equal(m.srv.Config().RootCAs))

		g, err := wechatv2.New(m.srv.Config())
		require.NoError(t, err)
		t.Cleanup(g.CloseIdleConnections)
		res, err := g.Refund(context.Background(), refund.Request{
			OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "CNY",
		})
		require.NoError(t, err)
		require.Equal(t, refund.OutcomeAccepted, res.Outcome)
		require.EqualValues(t, 30, m.srv.Paid("R1"))
	}
}

// TestChecksFollowTheServicesOrder checks requests in the order of the service's checks.
func TestChecksFollowTheServicesOrder(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 17, 0, 0, 0, time.UTC)
	m := newMerchant(t, wechattest.Options{
		Now: func() time.Time { return now }, Spacing: time.Minute,
	})
	m.srv.SetBalance(1000)
	require.NoError(t, m.srv.AddOrder(wechattest.Order{OutTradeNo: "O2", TotalFee: 100}))
	require.NoError(t,
		m.srv.AddOrder(wechattest.Order{
			OutTradeNo: "OLD", TotalFee: 100,
			PaidAt: now.AddDate(-2, 0, 0),
		}))

	for name, change := range map[string][]string{
		"缺少参数":               {"out_refund_no", ""},
		"参数格式校验错误":           {"refund_fee", "1.5"},
		"参数格式校验错误 ":          {"refund_desc", strings.Repeat("a", 81)},
		"参数格式校验错误  ":         {"out_refund_no", "R/1"},
		"参数格式校验错误   ":        {"refund_fee_type", "USD"},
		"参数格式校验错误    ":       {"refund_account", "MINE"},
		"参数格式校验错误     ":      {"notify_url", "https://h/?a=1"},
		"参数格式校验错误      ":     {"sign_type", "SHA1"},
		"XML格式错误":            {"refund_desc", "😀"},
		"签名错误":               {"sign", "AA"},
		"invalid refund_fee": {"refund_fee", "101"},
	} {
		ans := m.refund("R0", 30, change...)
		require.Equal(t, "FAIL", ans["return_code"], name)
		require.Contains(t, ans["return_msg"], strings.TrimSpace(name))
	}
	requireCode(t, m.refund("R0", 30, "appid", "wx2"), "APPID_NOT_EXIST")
	requireCode(t, m.refund("R0", 30, "mch_id", "2"), "MCHID_NOT_EXIST")
	requireCode(t, m.refund("R0", 30, "out_trade_no", "O9"), "ORDERNOTEXIST")
	requireCode(t, m.refund("R0", 30, "total_fee", "99"), "REFUND_FEE_MISMATCH")
	requireCode(t, m.refund("R0", 30, "out_trade_no", "OLD"), "TRADE_OVERDUE")

	requireCode(t, m.refund("R1", 60), "")
	requireCode(t, m.refund("R1", 50), "REFUND_FEE_MISMATCH")
	ans := m.refund("R1", 60, "out_trade_no", "O2")
	requireCode(t, ans, "ERROR")
	require.Contains(t, ans["err_code_des"], "支付单号校验不一致")
	requireCode(t, m.refund("R2", 60), "INVALID_REQUEST")
	requireCode(t, m.refund("R2", 40), "FREQUENCY_LIMITED")
	requireCode(t, m.refund("R1", 60), "") // a known number comes before all limits
	m.srv.Advance(time.Minute)
	m.srv.SetBalance(39)
	requireCode(t, m.refund("R2", 40), "NOTENOUGH")
	m.srv.SetBalance(40)
	// NOTENOUGH left the number unused
	requireCode(t, m.refund("R2", 40, "out_trade_no", "", "transaction_id", "42001"), "")
	require.Zero(t, m.srv.Balance())
	ans = m.refund("R3", 1)
	requireCode(t, ans, "ERROR")
	require.Contains(t, ans["err_code_des"], "已全额退款")
	requireCode(t, m.refund("R2", 40), "") // still the same refund
	require.EqualValues(t, 100, m.srv.PaidTotal("O1"))
	require.Zero(t, m.srv.PaidTotal("O2"))
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	for _, body := range []string{
		"", "x", "<xml></xml>", "<root><a>1</a></root>", "<xml><a>1</a>",
		"<xml><a>1</a><a>1</a></xml>",
		"<xml><a><b>1</b></a></xml>", "<!DOCTYPE xml><xml><a>1</a></xml>",
	} {
		status, raw, err := m.post(wechattest.PathRefund, body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, msg{"return_code": "FAIL", "return_msg": "XML格式错误"}, read(t, raw), body)
	}
	status, _, err := m.post(wechattest.PathRefund, strings.Repeat("x", 1<<17))
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _, err = m.post("/pay/orderquery", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status)
	resp, err := m.http.Get(m.cfg.BaseURL + wechattest.PathQuery)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestRefundNeedsTheMerchantsCertificate(t *testing.T) {
	t.Parallel()
	m, other := newMerchant(t, wechattest.Options{}), newMerchant(t, wechattest.Options{})
	own := m.http
	m.http = newClient(m.srv, nil)
	status, page, err := m.post(wechattest.PathRefund, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(page), "No required SSL certificate was sent")
	requireCode(t, m.query("out_refund_no", "R1"), "REFUNDNOTEXIST") // a query needs none

	m.http = newClient(m.srv, certificate(t, other.cfg))
	status, page, err = m.post(wechattest.PathRefund, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(page), "The SSL certificate error")

	m.http = own
	requireCode(t, m.refund("R1", 30), "")
}

func TestRefundsEndAsConfigured(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{SettleAfter: time.Hour})
	m.srv.SetBalance(100)
	status := func(number string) string {
		return m.query("out_refund_no", number)["refund_status_0"]
	}

	requireCode(t, m.refund("R1", 10), "")
	require.Equal(t, "PROCESSING", status("R1"))
	m.srv.Advance(time.Hour / 2)
	require.Equal(t, "PROCESSING", status("R1"), "not yet")
	m.srv.Advance(time.Hour / 2)
	require.Equal(t, "SUCCESS", status("R1"))

	m.srv.Inject(wechattest.EndsAs(wechattest.StatusClosed))
	requireCode(t, m.refund("R2", 10), "")
	require.EqualValues(t, 80, m.srv.Balance())
	require.NoError(t, m.srv.Settle("R2", wechattest.StatusClosed))
	require.Equal(t, "REFUNDCLOSE", status("R2"))
	require.EqualValues(t, 90, m.srv.Balance(), "the money came back")
	require.Zero(t, m.srv.Paid("R2"))
	requireCode(t, m.refund("R2", 10), "")
	require.Zero(t, m.srv.Paid("R2"), "a closed number pays nothing")

	requireCode(t, m.refund("R3", 10), "")
	require.NoError(t, m.srv.Settle("R3", wechattest.StatusChange))
	require.Equal(t, "CHANGE", status("R3"))
	require.EqualValues(t, 80, m.srv.Balance(), "the money is away")
	require.EqualValues(t, 10, m.srv.Paid("R3"))
	require.NoError(t, m.srv.Settle("R3", wechattest.StatusSuccess))
	require.Equal(t, "SUCCESS", status("R3"))

	require.Error(t, m.srv.Settle("R3", wechattest.StatusClosed), "has ended")
	require.Error(t, m.srv.Settle("R9", wechattest.StatusSuccess), "unknown")
	requireCode(t, m.refund("R4", 10), "")
	require.Error(t, m.srv.Settle("R4", wechattest.StatusProcessing), "not an end")
}

func TestQueriesArePaged(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	for i := range 50 {
		requireCode(t, m.refund(fmt.Sprintf("R%02d", i), 1), "")
	}
	requireCode(t, m.refund("R50", 1), "INVALID_REQUEST")
	ans := m.query("out_trade_no", "O1")
	require.Equal(t, "10", ans["refund_count"])
	require.Equal(t, "50", ans["total_refund_count"])
	require.Equal(t, "R09", ans["out_refund_no_9"])
	ans = m.query("out_trade_no", "O1", "offset", "45")
	require.Equal(t, "5", ans["refund_count"])
	require.Equal(t, "R45", ans["out_refund_no_0"])
	require.Equal(t, "50", ans["refund_fee"], "the sum is of all pages")
	require.NotContains(t, m.query("out_refund_no", "R49", "offset", "9"), "total_refund_count")
	require.Equal(t, "0", m.query("transaction_id", "42001", "offset", "50")["refund_count"])
	requireCode(t, m.query("out_trade_no", "O1", "offset", "51"), "PARAM_ERROR")
	require.Equal(t, "FAIL", m.query("out_trade_no", "O1", "offset", "-1")["return_code"])
	require.Equal(t, "FAIL", m.query()["return_code"])
}

func TestAddOrderRefusesUnusableOrders(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	for _, o := range []wechattest.Order{
		{},
		{OutTradeNo: "O1", TotalFee: 1},
		{OutTradeNo: "O2", TotalFee: 0},
		{OutTradeNo: "O/2", TotalFee: 1},
		{OutTradeNo: "O2", TotalFee: 1, TransactionID: "42001"},
	} {
		require.Error(t, m.srv.AddOrder(o))
	}
}

// TestConcurrentRequestsPayOnce checks that ten clients with the same ten refunds pay each once.
func TestConcurrentRequestsPayOnce(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, wechattest.Options{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 10 {
				f := msg{
					"appid": m.cfg.AppID, "mch_id": m.cfg.MchID, "nonce_str": "n",
					"out_trade_no":  "O1",
					"out_refund_no": fmt.Sprintf("R%d", i), "total_fee": "100", "refund_fee": "10",
				}
				f["sign"] = m.sign(f)
				if _, _, err := m.post(wechattest.PathRefund, f.xml()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	require.EqualValues(t, 100, m.srv.PaidTotal("O1"))
	require.Len(t, m.srv.Ledger(), 10)
	for _, e := range m.srv.Ledger() {
		require.Equal(t, 1, e.Payments)
	}
}

// TestCloseEndsAllGoroutines counts goroutines, so it is not parallel.
func TestCloseEndsAllGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	srv, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	held := make(chan struct{})
	srv.Inject(wechattest.Fault{}.Before(func(ctx context.Context) { close(held); <-ctx.Done() }))
	client := newClient(srv, nil)
	failed := make(chan error)
	go func() {
		url, body := srv.Config().BaseURL+wechattest.PathQuery, strings.NewReader("<xml><a>1</a></xml>")
		_, err := client.Post(url, "text/xml", body) //nolint:bodyclose // fails
		failed <- err
	}()
	<-held
	srv.Close()
	require.Error(t, <-failed)
	srv.Close()
	client.CloseIdleConnections()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 3*time.Minute,
		time.Millisecond)
}
