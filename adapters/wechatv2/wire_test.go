package wechatv2_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// newWeb starts a TLS server with a handler, and returns the Config of a gateway for it.
func newWeb(t *testing.T, handler http.HandlerFunc) wechatv2.Config {
	t.Helper()
	web := httptest.NewTLSServer(handler)
	t.Cleanup(web.Close)
	return webConfig(t, web)
}

// webConfig returns the Config of a gateway for a TLS server.
func webConfig(t *testing.T, web *httptest.Server) wechatv2.Config {
	t.Helper()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(web.Certificate())
	cfg.BaseURL = web.URL
	return cfg
}

// TestRequestsHaveTheDocumentedFields checks requests field by field.
func TestRequestsHaveTheDocumentedFields(t *testing.T) {
	t.Parallel()
	type sent struct {
		header http.Header
		method string
		path   string
		body   []byte
		length int64 // as announced
	}
	requests := make(chan sent, 1)
	cfg := newWeb(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- sent{r.Header, r.Method, r.URL.Path, body, r.ContentLength}
	})
	full := cfg
	full.SignType = wechatv2.SignHMACSHA256
	full.OpUserID, full.NotifyURL = "op1", "https://shop.example/refunds"
	full.RefundAccount = wechatv2.RefundAccountRecharge
	paid := request()
	paid.PaymentID = "42001"
	tests := []struct {
		name string
		call func() error
		path string
		want map[string]string
	}{
		{
			"refund by order",
			func() error {
				_, err := newGateway(t, cfg).Refund(context.Background(), request())
				return err
			},
			wechattest.PathRefund,
			map[string]string{
				"out_trade_no": "O1", "out_refund_no": "R1", "total_fee": "100", "refund_fee": "30",
				"refund_fee_type": "CNY",
				"refund_desc":     "不想要了 <&> \"'", "op_user_id": cfg.MchID, "sign_type": "MD5",
			},
		},
		{
			"refund by payment",
			func() error {
				_, err := newGateway(t, full).Refund(context.Background(), paid)
				return err
			},
			wechattest.PathRefund,
			map[string]string{
				"transaction_id": "42001", "out_refund_no": "R1", "total_fee": "100",
				"refund_fee": "30", "refund_fee_type": "CNY",
				"refund_desc": "不想要了 <&> \"'", "op_user_id": "op1", "sign_type": "HMAC-SHA256",
				"notify_url":     "https://shop.example/refunds",
				"refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
			},
		},
		{
			"query",
			func() error {
				_, err := newGateway(t, full).Query(context.Background(), paid)
				return err
			},
			wechattest.PathQuery,
			map[string]string{
				"out_refund_no": "R1", "sign_type": "HMAC-SHA256",
			},
		},
	}
	nonces := map[string]bool{}
	for _, tt := range tests {
		require.ErrorIs(t, tt.call(), wechatv2.ErrAnswer, tt.name) // the answer is empty
		got := <-requests
		require.Equal(t, http.MethodPost, got.method)
		require.Equal(t, tt.path, got.path)
		require.EqualValues(t, len(got.body), got.length, "not in chunks")
		require.Equal(t, "text/xml; charset=utf-8", got.header.Get("Content-Type"))
		require.Empty(t, got.header.Get("Accept-Encoding"), "no compressed answers")
		f, err := wechatv2.Decode(got.body)
		require.NoError(t, err)
		require.True(t, wechatv2.Signed(f, cfg.APIKey, wechatv2.SignType(f["sign_type"])))
		require.Regexp(t, "^[A-Z2-7]{26}$", f["nonce_str"])
		nonces[f["nonce_str"]] = true
		require.Equal(t, []string{cfg.AppID, cfg.MchID}, []string{f["appid"], f["mch_id"]})
		for _, name := range []string{"sign", "nonce_str", "appid", "mch_id"} {
			delete(f, name)
		}
		require.Equal(t, tt.want, f, tt.name)
	}
	require.Len(t, nonces, len(tests), "a fresh nonce each time")
}

// recorder is a listener whose connections record what the client sends.
type recorder struct {
	net.Listener
	mu   sync.Mutex
	sent []byte
}

type recordedConn struct {
	net.Conn
	to *recorder
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	return recordedConn{conn, r}, err
}

func (c recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.sent = append(c.to.sent, b[:n]...)
	return n, err
}

// take returns the bytes since the last take.
func (r *recorder) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.sent
	r.sent = nil
	return sent
}

// TestRequestIsOneTLSRecord checks that a request's header and body are sent together. Two records
// are two writes, which costs a refund over loopback about 5 % of its time.
func TestRequestIsOneTLSRecord(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	client := &recorder{Listener: web.Listener}
	web.Listener = client
	web.StartTLS()
	t.Cleanup(web.Close)
	g := newGateway(t, webConfig(t, web))
	call := func() {
		_, err := g.Refund(context.Background(), request())
		require.ErrorIs(t, err, wechatv2.ErrAnswer) // the answer is empty
	}
	call()
	require.NotEmpty(t, client.take(), "the handshake and the first request")

	const head = 5 // type, version, length
	call()
	sent := client.take()
	require.Greater(t, len(sent), head)
	require.EqualValues(t, 23, sent[0], "application data")
	require.EqualValues(t, len(sent)-head, binary.BigEndian.Uint16(sent[3:]), "one record")
}

// TestAnswerSizeIsBounded checks the size limits of answers to the byte.
func TestAnswerSizeIsBounded(t *testing.T) {
	t.Parallel()
	size := make(chan int, 1)
	g := newGateway(t, newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		// Without a Content-Length, so that only reading shows the size.
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, strings.Repeat(" ", <-size))
	}))
	for _, limit := range []int{64 << 10, 1 << 20} {
		call := func() error { _, err := g.Refund(context.Background(), request()); return err }
		if limit > 64<<10 {
			call = func() error { _, err := g.Query(context.Background(), request()); return err }
		}
		size <- limit
		require.ErrorContains(t, call(), "no <xml> element")
		size <- limit + 1
		require.ErrorContains(t, call(), "body of more than ")
	}
}
