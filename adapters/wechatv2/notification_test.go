package wechatv2_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

type infoVector struct {
	Name      string `json:"name"`
	APIKey    string `json:"api_key"`
	Key       string `json:"md5_hex_key"`
	Plaintext string `json:"plaintext"`
	Bytes     int    `json:"plaintext_bytes"`
	ReqInfo   string `json:"req_info"`
}

func infoVectors(t testing.TB) map[string]infoVector {
	t.Helper()
	raw, err := os.ReadFile("testdata/req_info.json")
	require.NoError(t, err)
	var file struct {
		ReqInfo []infoVector `json:"req_info"`
	}
	require.NoError(t, json.Unmarshal(raw, &file))
	m := map[string]infoVector{}
	for _, v := range file.ReqInfo {
		m[v.Name] = v
	}
	require.Len(t, m, 8)
	return m
}

// encryptInfo makes a req_info, as the provider does.
func encryptInfo(plain, apiKey string) string {
	return base64.StdEncoding.EncodeToString(encryptBlocks([]byte(plain), apiKey))
}

func encryptBlocks(plain []byte, apiKey string) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	return encryptECB(append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...), apiKey)
}

// encryptECB encrypts whole blocks.
func encryptECB(data []byte, apiKey string) []byte {
	block, err := aes.NewCipher(wechatv2.InfoKey(apiKey))
	if err != nil {
		panic(err)
	}
	data = bytes.Clone(data)
	for rest := data; len(rest) > 0; rest = rest[aes.BlockSize:] {
		block.Encrypt(rest, rest)
	}
	return data
}

func TestReqInfoVectorsDecrypt(t *testing.T) {
	t.Parallel()
	for name, v := range infoVectors(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, v.Key, string(wechatv2.InfoKey(v.APIKey)))
			plain, err := wechatv2.DecryptInfo(v.ReqInfo, wechatv2.InfoKey(v.APIKey))
			require.NoError(t, err)
			require.Equal(t, v.Plaintext, string(plain))
			require.Len(t, plain, v.Bytes)
			require.Equal(t, v.ReqInfo, encryptInfo(v.Plaintext, v.APIKey),
				"the tests' own encryption")
		})
	}
	require.Equal(t, "0149ee4840bbaf838affca6d31d25ee1",
		string(wechatv2.InfoKey("37381208bbce2acddc69e6aa2c6597d8")), "a leading zero stays")
	plain, err := wechatv2.DecryptInfo("pZwJZBLuy3mDACEQT4YTBw==",
		[]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(plain))
}

func TestMalformedReqInfoIsRefused(t *testing.T) {
	t.Parallel()
	v := infoVectors(t)["notify_success"]
	block := func(b ...byte) string { // one block that ends in b
		data := append(bytes.Repeat([]byte{'x'}, aes.BlockSize-len(b)), b...)
		return base64.StdEncoding.EncodeToString(encryptECB(data, v.APIKey))
	}
	for name, info := range map[string]string{
		"empty": "", "not base64": "*",
		"url alphabet":   strings.NewReplacer("+", "-", "/", "_").Replace(v.ReqInfo),
		"no padding":     strings.TrimRight(infoVectors(t)["tiny"].ReqInfo, "="),
		"cut base64":     v.ReqInfo[:len(v.ReqInfo)-3],
		"cut in a block": v.ReqInfo[:4*20], "a block less": v.ReqInfo[:64*4],
		"hex":      "00112233445566778899aabbccddeeff0",
		"pad of 0": block(0), "pad of 17": block(17), "pad of 255": block(255),
		"pad that differs": block(3, 2, 3), "pad of text": block(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wechatv2.DecryptInfo(info, wechatv2.InfoKey(v.APIKey))
			require.EqualError(t, err, "req_info does not decrypt")
		})
	}
	_, err := wechatv2.DecryptInfo(v.ReqInfo, wechatv2.InfoKey("another key"))
	require.Error(t, err)
	_, err = wechatv2.DecryptInfo(v.ReqInfo, []byte("short"))
	require.Error(t, err)
}

// newReader makes a gateway with the merchant and the application of the vectors.
func newReader(t testing.TB, apiKey string) *wechatv2.Gateway {
	t.Helper()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.AppID, cfg.MchID, cfg.APIKey = "wx0000000000000001", "1000000001", apiKey
	return newGateway(t, cfg)
}

func envelope(info string) map[string]string {
	return map[string]string{
		"return_code": "SUCCESS", "appid": "wx0000000000000001", "mch_id": "1000000001",
		"nonce_str": "0123456789abcdef0123456789abcdef", "req_info": info,
	}
}

func post(body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/refund/notify", bytes.NewReader(body))
	r.Header.Set("Content-Type", "text/xml")
	return r
}

// TestNotificationVectorsAreRead reads notifications that independent code has made or documents
// have published.
func TestNotificationVectorsAreRead(t *testing.T) {
	t.Parallel()
	vectors := infoVectors(t)
	read := func(name string) refund.Notification {
		v := vectors[name]
		body := wechatv2.Encode(envelope(v.ReqInfo))
		n, err := newReader(t, v.APIKey).ReadNotification(post(body))
		require.NoError(t, err, name)
		return n
	}
	want := refund.Notification{
		Result: refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundNo: "RF-1", OrderID: "ORD-1", Amount: 30,
			ProviderRefundID: "50000000000000000000000000001",
			Recipient:        "支付用户零钱", Settled: 30,
			RefundedAt: time.Date(2024, 1, 1, 19, 4, 5, 0, time.UTC),
		},
		PaymentID: "4200000000000000000000000001", Total: 100,
	}
	for _, name := range []string{
		"notify_success", "notify_block_aligned", "notify_md5_leading_zeros",
	} {
		require.Equal(t, want, read(name), name)
	}

	want.Result.RefundedAt, want.Result.Recipient, want.Result.Settled = time.Time{}, "", 0
	want.Result.Outcome = refund.OutcomeClosed
	require.Equal(t, want, read("notify_refundclose"), "no money has gone anywhere")
	want.Result.Outcome = refund.OutcomeAbnormal
	require.Equal(t, want, read("notify_change"))

	published := read("published_success")
	require.Equal(t, time.Date(2017, 11, 25, 7, 36, 17, 0, time.UTC), published.Result.RefundedAt)
	published = read("published_one_line")
	require.Equal(t, "4005302001201707272838220000", published.PaymentID)
	require.EqualValues(t, 1, published.Result.Amount)
}

const testKey = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

// innerFields returns the fields of a usual notification.
func innerFields() map[string]string {
	return map[string]string{
		"transaction_id": "4200000000000000000000000001", "out_trade_no": "ORD-1",
		"out_refund_no": "RF-1",
		"refund_id":     "50000000000000000000000000001", "total_fee": "100", "refund_fee": "30",
		"settlement_refund_fee": "30",
		"refund_status":         "SUCCESS", "success_time": "2024-01-02 03:04:05",
		"refund_recv_accout": "支付用户零钱",
		"refund_account":     "REFUND_SOURCE_RECHARGE_FUNDS", "refund_request_source": "API",
	}
}

func encodeRoot(f map[string]string) string {
	return "<root>" + strings.TrimSuffix(strings.TrimPrefix(string(wechatv2.Encode(f)), "<xml>"),
		"</xml>") + "</root>"
}

func TestNotificationNeedsItsFields(t *testing.T) {
	t.Parallel()
	g := newReader(t, testKey)
	tests := []struct {
		name, field, value string
		outcome            refund.Outcome
		fails              bool
	}{
		{name: "as it is", outcome: refund.OutcomeSucceeded},
		{name: "unknown status", field: "refund_status", value: "NOTSURE"},
		{name: "no status", field: "refund_status"},
		{name: "no transaction_id", field: "transaction_id", outcome: refund.OutcomeSucceeded},
		{
			name: "unreadable time", field: "success_time", value: "yesterday",
			outcome: refund.OutcomeSucceeded,
		},
		{name: "unknown field", field: "new_field", value: "1", outcome: refund.OutcomeSucceeded},
		{name: "whole order", field: "refund_fee", value: "100", outcome: refund.OutcomeSucceeded},
		{name: "no out_trade_no", field: "out_trade_no", fails: true},
		{name: "no out_refund_no", field: "out_refund_no", fails: true},
		{name: "odd out_refund_no", field: "out_refund_no", value: "R 1\n", fails: true},
		{
			name: "long out_refund_no", field: "out_refund_no", value: strings.Repeat("1", 65),
			fails: true,
		},
		{name: "odd transaction_id", field: "transaction_id", value: "1'--", fails: true},
		{name: "no total_fee", field: "total_fee", fails: true},
		{name: "no refund_fee", field: "refund_fee", fails: true},
		{name: "refund_fee of 0", field: "refund_fee", value: "0", fails: true},
		{name: "negative", field: "refund_fee", value: "-30", fails: true},
		{name: "with a sign", field: "refund_fee", value: "+30", fails: true},
		{name: "fraction", field: "refund_fee", value: "30.0", fails: true},
		{name: "above the total", field: "refund_fee", value: "101", fails: true},
		{name: "too large", field: "total_fee", value: "9223372036854775808", fails: true},
		{
			name: "odd settlement_refund_fee", field: "settlement_refund_fee", value: "1e3",
			outcome: refund.OutcomeSucceeded,
		},
		{
			name: "odd settlement_total_fee", field: "settlement_total_fee", value: "1e3",
			outcome: refund.OutcomeSucceeded,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := innerFields()
			if tt.field != "" {
				f[tt.field] = tt.value
			}
			n, err := g.ReadNotification(
				post(wechatv2.Encode(envelope(encryptInfo(encodeRoot(f), testKey)))))
			if tt.fails {
				require.ErrorIs(t, err, refund.ErrNotification)
				require.Zero(t, n)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.outcome, n.Result.Outcome)
		})
	}
}

func TestMalformedNotificationsAreRefused(t *testing.T) {
	t.Parallel()
	g := newReader(t, testKey)
	good := wechatv2.Encode(envelope(encryptInfo(encodeRoot(innerFields()), testKey)))
	_, err := g.ReadNotification(post(good))
	require.NoError(t, err)
	padding := bytes.Repeat([]byte(" "), refund.MaxNotification-len(good))
	_, err = g.ReadNotification(post(append(bytes.Clone(good), padding...)))
	require.NoError(t, err, "the largest body")
	with := func(name, value string) *http.Request {
		f := envelope(encryptInfo(encodeRoot(innerFields()), testKey))
		f[name] = value
		return post(wechatv2.Encode(f))
	}
	inner := func(plain string) *http.Request {
		return with("req_info", encryptInfo(plain, testKey))
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	broken := errors.New("connection lost")
	reader := func(r io.Reader) *http.Request {
		return httptest.NewRequest(http.MethodPost, "/", r)
	}
	requests := map[string]struct {
		r  *http.Request
		is error
	}{
		"get": {
			httptest.NewRequest(http.MethodGet, "/", bytes.NewReader(good)), nil,
		},
		"put": {
			httptest.NewRequest(http.MethodPut, "/", bytes.NewReader(good)), nil,
		},
		"no body":    {&http.Request{Method: http.MethodPost}, nil},
		"empty body": {post(nil), nil},
		"too large": {post(append(bytes.Clone(good),
			bytes.Repeat([]byte(" "), refund.MaxNotification)...)), nil},
		"broken off": {
			reader(io.MultiReader(bytes.NewReader(good[:100]), iotest.ErrReader(broken))), broken,
		},
		"context ended":     {post(good).WithContext(ended), context.Canceled},
		"other root":        {post([]byte(encodeRoot(envelope("")))), nil},
		"return_code FAIL":  {with("return_code", "FAIL"), nil},
		"no return_code":    {with("return_code", ""), nil},
		"other application": {with("appid", "wx0000000000000002"), refund.ErrMismatch},
		"other merchant":    {with("mch_id", "1000000002"), refund.ErrMismatch},
		"no merchant":       {with("mch_id", ""), refund.ErrMismatch},
		"no req_info":       {with("req_info", ""), nil},
		"other key": {
			with("req_info", encryptInfo(encodeRoot(innerFields()), "another key")), nil,
		},
		"inner text":       {inner("hello"), nil},
		"inner empty":      {inner(""), nil},
		"inner other root": {inner(string(wechatv2.Encode(innerFields()))), nil},
		"inner entities": {
			inner(`<!DOCTYPE root [<!ENTITY e "30">]>` + encodeRoot(innerFields())), nil,
		},
		"inner twice": {inner(strings.Replace(encodeRoot(innerFields()), "<root>",
			"<root><refund_fee>99</refund_fee>", 1)), nil},
		"inner nested": {
			inner("<root><root>" + encodeRoot(innerFields()) + "</root></root>"), nil,
		},
		"inner text behind": {inner(encodeRoot(innerFields()) + "x"), nil},
		"inner not utf-8":   {inner("<root><a>\xb2\xe2</a></root>"), nil},
		"inner never closed": {
			inner(strings.TrimSuffix(encodeRoot(innerFields()), "</root>")), nil,
		},
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "identity"} {
		r := post(good)
		r.Header.Set("Content-Encoding", encoding)
		requests[encoding] = struct {
			r  *http.Request
			is error
		}{r, nil}
	}
	for name, tt := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := g.ReadNotification(tt.r)
			require.Zero(t, n)
			require.ErrorIs(t, err, refund.ErrNotification)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			for _, secret := range []string{
				testKey, string(wechatv2.InfoKey(testKey)), "RF-1",
				"ORD-1", "4200000000",
			} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestAcknowledgeHidesTheError(t *testing.T) {
	t.Parallel()
	g := newReader(t, testKey)
	for want, err := range map[string]error{
		"SUCCESS": nil,
		"FAIL":    errors.New("secret of the database"),
	} {
		w := httptest.NewRecorder()
		g.Acknowledge(w, err)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "text/xml; charset=utf-8", w.Header().Get("Content-Type"))
		f, decodeErr := wechatv2.Decode(w.Body.Bytes())
		require.NoError(t, decodeErr)
		require.Equal(t, want, f["return_code"])
		require.NotContains(t, w.Body.String(), "database")
	}
}
