package wechattest_test

import (
	"context"
	"crypto/aes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

const ack = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"

// inbox is a merchant's notification endpoint.
type inbox struct {
	mu     sync.Mutex
	answer string
	status int
	got    []msg
}

func newInbox(t *testing.T) (*inbox, string) {
	t.Helper()
	in := &inbox{answer: ack, status: http.StatusOK}
	web := httptest.NewServer(in)
	t.Cleanup(web.Close)
	return in, web.URL + "/refunds"
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	in.mu.Lock()
	defer in.mu.Unlock()
	if f, err := parseXML(body); err == nil && r.Method == http.MethodPost &&
		r.Header.Get("Content-Type") == "text/xml" {
		in.got = append(in.got, f)
	}
	w.WriteHeader(in.status)
	_, _ = io.WriteString(w, in.answer)
}

// open decrypts a notification's content.
func open(t *testing.T, outer msg, apiKey string) msg {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(outer["req_info"])
	require.NoError(t, err)
	require.Zero(t, len(data)%16)
	sum := md5.Sum([]byte(apiKey))
	block, err := aes.NewCipher([]byte(hex.EncodeToString(sum[:])))
	require.NoError(t, err)
	for rest := data; len(rest) > 0; rest = rest[16:] {
		block.Decrypt(rest, rest)
	}
	return read(t, data[:len(data)-int(data[len(data)-1])])
}

// TestNoticesFollowTheSchedule checks a notification from the end of its refund to the
// acknowledgement.
func TestNoticesFollowTheSchedule(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	in, url := newInbox(t)
	now := time.Date(2026, 1, 1, 17, 0, 0, 0, time.UTC)
	m := newMerchant(t,
		wechattest.Options{Now: func() time.Time { return now }, SettleAfter: time.Hour})
	requireCode(t, m.refund("R1", 30, "notify_url", url), "")
	requireCode(t, m.refund("R2", 30), "") // no address: no notification
	require.Empty(t, m.srv.Deliver(ctx))
	m.srv.Advance(time.Hour)

	in.answer = "ok"
	at := now.Add(time.Hour)
	for i, wait := range []time.Duration{
		15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute,
		20 * time.Minute,
		30 * time.Minute, 30 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour,
		3 * time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour, 0,
	} {
		tried := m.srv.Deliver(ctx)
		require.Len(t, tried, 1)
		require.Error(t, tried[0].Err)
		tried[0].Err = nil
		want := wechattest.Delivery{OutRefundNo: "R1", Status: "SUCCESS", Attempt: i + 1, At: at}
		if wait > 0 {
			want.Next = at.Add(wait)
			m.srv.Advance(wait - time.Second)
			require.Empty(t, m.srv.Deliver(ctx), "not yet")
			m.srv.Advance(time.Second)
		}
		require.Equal(t, want, tried[0])
		at = want.Next
	}
	m.srv.Advance(48 * time.Hour)
	require.Empty(t, m.srv.Deliver(ctx), "given up")
	require.Len(t, in.got, 16)

	outer := in.got[0]
	require.Equal(t, msg{"return_code": "SUCCESS", "appid": m.cfg.AppID, "mch_id": m.cfg.MchID},
		fields(outer, "return_code", "appid", "mch_id", "sign"))
	require.NotEqual(t, outer["nonce_str"], in.got[1]["nonce_str"])
	inner := open(t, outer, m.cfg.APIKey)
	require.Equal(t, msg{
		"transaction_id": "42001", "out_trade_no": "O1", "refund_id": m.srv.Ledger()[0].RefundID,
		"out_refund_no": "R1",
		"total_fee":     "100", "refund_fee": "30", "settlement_refund_fee": "30",
		"refund_status": "SUCCESS",
		"success_time":  "2026-01-02 02:00:00", "refund_recv_accout": "支付用户零钱",
		"refund_account":        "REFUND_SOURCE_RECHARGE_FUNDS",
		"refund_request_source": "API",
	}, inner)
	body, err := m.srv.Notification("R1")
	require.NoError(t, err)
	require.Equal(t, inner, open(t, read(t, body), m.cfg.APIKey))
	_, err = m.srv.Notification("R9")
	require.Error(t, err)
}

// TestOnlyTheDocumentedAcknowledgementCounts checks that only the documented answer is an
// acknowledgement.
func TestOnlyTheDocumentedAcknowledgementCounts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		status int
		ok     bool
	}{
		"as documented": {ack, 200, true},
		"JSON":          {`{"code":"SUCCESS"}`, 200, false},
		"plain text":    {"SUCCESS", 200, false},
		"HTML":          {"<html><body>ok</body></html>", 200, false},
		"a refusal":     {"<xml><return_code>FAIL</return_code></xml>", 200, false},
		"nothing":       {"", 200, false},
		"an error page": {ack, 500, false},
		"a redirect":    {ack, 302, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, url := newInbox(t)
			in.answer, in.status = tt.answer, tt.status
			m := newMerchant(t, wechattest.Options{NotifyURL: url})
			require.NoError(t, m.srv.RefundInConsole("O1", "C1", 30))
			tried := m.srv.Deliver(context.Background())
			require.Len(t, tried, 1)
			require.Equal(t, tt.ok, tried[0].Err == nil, tried[0].Err)
			require.Equal(t, tt.ok, tried[0].Next.IsZero())
			require.Equal(t, "VENDOR_PLATFORM",
				open(t, in.got[0], m.cfg.APIKey)["refund_request_source"])
		})
	}
}

// TestEachNoticeFaultBreaksADelivery checks each fault of a delivery.
func TestEachNoticeFaultBreaksADelivery(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	in, url := newInbox(t)
	otherKey := "another key of thirty-two bytes."
	m := newMerchant(t, wechattest.Options{NotifyURL: url})
	require.NoError(t, m.srv.RefundInConsole("O1", "C1", 30))
	m.srv.InjectNotice(
		wechattest.LoseNotice(), wechattest.FailEnvelope("x"), wechattest.WrongKey(otherKey),
		wechattest.EnvelopeField("mch_id", "1"), wechattest.ContentField("refund_fee", "31"),
		wechattest.TwiceAtOnce(),
	)
	in.answer = "again"
	var lost []wechattest.Delivery
	for range 6 {
		tried := m.srv.Deliver(ctx)
		require.Len(t, tried, 1)
		lost = append(lost, tried...)
		m.srv.Advance(time.Hour)
	}
	require.ErrorContains(t, lost[0].Err, "lost")
	require.Len(t, in.got, 6, "one was lost, one came twice")
	require.Equal(t, msg{"return_code": "FAIL", "return_msg": "x"}, in.got[0])
	require.Equal(t, "30", open(t, in.got[1], otherKey)["refund_fee"])
	require.Equal(t, "1", in.got[2]["mch_id"])
	require.Equal(t, "31", open(t, in.got[3], m.cfg.APIKey)["refund_fee"])
	require.Equal(t, in.got[4], in.got[5])

	// A refund that ends as CHANGE and is then completed by a person has two notifications.
	in.answer = ack
	m.srv.Inject(wechattest.EndsAs(wechattest.StatusChange))
	requireCode(t, m.refund("R2", 30), "")
	m.srv.Advance(24 * time.Hour)
	for _, d := range m.srv.Deliver(ctx) {
		require.NoError(t, d.Err)
	}
	require.Equal(t, "CHANGE", open(t, in.got[len(in.got)-1], m.cfg.APIKey)["refund_status"])
	require.NoError(t, m.srv.Settle("R2", wechattest.StatusSuccess))
	require.Len(t, m.srv.Deliver(ctx), 1)
	require.Equal(t, "SUCCESS", open(t, in.got[len(in.got)-1], m.cfg.APIKey)["refund_status"])

	// A closed receiver, an invalid address, an ended context.
	for _, url := range []string{"http://127.0.0.1:1/refunds", "nowhere"} {
		m := newMerchant(t, wechattest.Options{NotifyURL: url})
		require.NoError(t, m.srv.RefundInConsole("O1", "C1", 30))
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		require.Empty(t, m.srv.Deliver(cancelled))
		require.Error(t, m.srv.Deliver(ctx)[0].Err)
	}
}
