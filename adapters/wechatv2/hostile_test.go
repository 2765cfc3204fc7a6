package wechatv2_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// endless is a body that never ends. It counts the bytes that were read.
type endless struct {
	pattern string
	read    int64
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.pattern[(e.read+int64(i))%int64(len(e.pattern))]
	}
	e.read += int64(len(b))
	return len(b), nil
}

// allocated returns how much heap memory f allocates, with all goroutines. Tests that call it must
// not be parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const gigabyte = 1 << 30

// TestHugeAnswersCostOnlyTheLimit checks that an answer of a gigabyte takes no more memory than the
// limit.
func TestHugeAnswersCostOnlyTheLimit(t *testing.T) {
	for name, head := range map[string]string{
		"space": "", "one value": "<xml><a>", "one name": "<xml><", "cdata": "<xml><a><![CDATA[",
		"declaration": "<?xml ",
	} {
		for _, announced := range []bool{false, true} {
			g := newGateway(t, newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
				if announced {
					w.Header().Set("Content-Length", "1073741824")
				}
				body := io.MultiReader(strings.NewReader(head), &endless{pattern: " "})
				_, _ = io.Copy(w, io.LimitReader(body, gigabyte))
			}))
			var refundErr, queryErr error
			used := allocated(func() {
				_, refundErr = g.Refund(context.Background(), request())
				_, queryErr = g.Query(context.Background(), request())
			})
			require.ErrorContains(t, refundErr, "body of more than 65536 bytes", name)
			require.ErrorContains(t, queryErr, "body of more than 1048576 bytes", name)
			require.Less(t, used, uint64(16<<20),
				"%s: limits of 64 KiB and 1 MiB, and the TLS handshakes", name)
		}
	}
}

// TestHugeNotificationsAreReadToTheLimit checks that a notification of a gigabyte is read up to the
// limit.
func TestHugeNotificationsAreReadToTheLimit(t *testing.T) {
	g := newReader(t, testKey)
	for _, pattern := range []string{" ", "<a>", "<a/>", "&amp;", "<![CDATA[]]>", "A"} {
		body := &endless{pattern: pattern}
		r := httptest.NewRequest(http.MethodPost, "/",
			io.LimitReader(io.MultiReader(strings.NewReader("<xml>"), body), gigabyte))
		var err error
		used := allocated(func() { _, err = g.ReadNotification(r) })
		require.ErrorIs(t, err, refund.ErrNotification)
		require.LessOrEqual(t, body.read, int64(refund.MaxNotification+1))
		require.Less(t, used, uint64(1<<20), pattern)
	}
}

// TestDecodeMemoryIsBounded checks that reading any message takes a small multiple of its size.
func TestDecodeMemoryIsBounded(t *testing.T) {
	const size = 1 << 20
	for _, pattern := range []string{
		"<a/>", "<a>", "<![CDATA[]]>", "<![CDATA[x]]>", "&amp;", "&#x4e2d;", "\r\n", "\r", "]",
		"]]", "x", "\xef\xbf\xbd", "</",
	} {
		for _, head := range []string{"", "<xml>", "<xml><a>", "<xml><a><![CDATA["} {
			body := append(bytes.Repeat([]byte(pattern), size/len(pattern)), "</a></xml>"...)
			body = append([]byte(head), body...)
			used := allocated(func() { _, _ = wechatv2.Decode(body) })
			require.Less(t, used, uint64(16*size), "%q after %q", pattern, head)
		}
	}
}

// TestSlowBodiesEndWithTheContext checks that a peer that sends single bytes cannot hold a call
// beyond its context.
func TestSlowBodiesEndWithTheContext(t *testing.T) {
	t.Parallel()
	g := newGateway(t, newWeb(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices the end of the call
		_, _ = io.WriteString(w, "<xml>")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an orderly end could come before the client's time-out
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := g.Refund(ctx, request())
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel = context.WithCancel(context.Background())
	drops := 0
	body := readFunc(func(b []byte) (int, error) {
		if drops++; drops == 10 {
			cancel()
		}
		if drops > 100 {
			return 0, io.EOF // the end of the context was not noticed
		}
		b[0] = ' '
		return 1, nil
	})
	r := httptest.NewRequest(http.MethodPost, "/", body).WithContext(ctx)
	_, err = newReader(t, testKey).ReadNotification(r)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 10, drops)
}

type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// TestNoBodyIsDecompressed checks that no body is decompressed.
func TestNoBodyIsDecompressed(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := io.Copy(z, io.LimitReader(&endless{pattern: " "}, 32<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.Less(t, bomb.Len(), 64<<10)
	g := newGateway(t, newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	r := post(bomb.Bytes())
	r.Header.Set("Content-Encoding", "gzip")
	var refundErr, notifyErr error
	used := allocated(func() {
		_, refundErr = g.Refund(context.Background(), request())
		_, notifyErr = g.ReadNotification(r)
	})
	require.ErrorIs(t, refundErr, wechatv2.ErrAnswer)
	require.ErrorIs(t, notifyErr, refund.ErrNotification)
	require.Less(t, used, uint64(8<<20))
}

// TestHostileAnswersAreRefused checks answers that have a signature, or had one before a change,
// and must be refused.
func TestHostileAnswersAreRefused(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	f := map[string]string{
		"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS", "appid": cfg.AppID,
		"mch_id":    cfg.MchID,
		"nonce_str": "0123456789abcdef", "out_refund_no": "R1", "out_trade_no": "O1",
		"refund_id":  "50001",
		"refund_fee": "30", "total_fee": "100", "cash_fee": "100", "err_code_des": "测试",
	}
	f["sign"] = wechatv2.Sign(f, cfg.APIKey, wechatv2.SignMD5)
	good := string(wechatv2.Encode(f))
	change := func(old, with string) string {
		require.Equal(t, 1, strings.Count(good, old), old)
		return strings.Replace(good, old, with, 1)
	}
	bodies := map[string]string{
		"as it is": good,
		"cdata instead of text": change("<refund_fee>30</refund_fee>",
			"<refund_fee><![CDATA[3]]>0</refund_fee>"),
		"document type": `<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + good,
		"entity bomb": `<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>` +
			change("OK", "&b;"),
		"external entity": change("OK", "&e;"),
		"twice, other amount in front": change("<refund_fee>",
			"<refund_fee>99</refund_fee><refund_fee>"),
		"twice, other amount behind": change("</xml>", "<refund_fee>99</refund_fee></xml>"),
		"twice, same":                change("</xml>", "<refund_fee>30</refund_fee></xml>"),
		"nested": change("<refund_fee>30</refund_fee>",
			"<refund_fee><refund_fee>30</refund_fee></refund_fee>"),
		"two messages":            good + good,
		"message in a message":    "<xml>" + good + "</xml>",
		"end of cdata in a value": change("OK", "O]]>K"),
		"comment in the amount":   change("<refund_fee>30", "<refund_fee>3<!---->0"),
		"attribute":               change("<refund_fee>", `<refund_fee currency="CNY">`),
		"another name in capitals": change("<refund_fee>30</refund_fee>",
			"<REFUND_FEE>30</REFUND_FEE>"),
		"moved into the name": change("<refund_fee>30</refund_fee>", "<refund_fee=30/>"),
		// The signature fits.
		"moved into the value": strings.Replace(change("<refund_fee>30</refund_fee>", ""),
			"<out_trade_no>O1", "<out_trade_no>O1&amp;refund_fee=30", 1),
		"another charset":      change("测试", "\xb2\xe2\xca\xd4"),
		"charset declared":     `<?xml version="1.0" encoding="GB18030"?>` + good,
		"utf-16":               "\xff\xfe<\x00x\x00m\x00l\x00>\x00",
		"unsigned extra field": change("</xml>", "<extra>1</extra></xml>"),
	}
	answers := make(chan string, 1)
	web := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, <-answers)
	})
	cfg.BaseURL, cfg.RootCAs = web.BaseURL, web.RootCAs
	g := newGateway(t, cfg)
	for name, body := range bodies {
		answers <- body
		res, err := g.Refund(context.Background(), request())
		if name == "as it is" || name == "cdata instead of text" {
			require.NoError(t, err, name)
			require.Equal(t, refund.OutcomeAccepted, res.Outcome, name)
			continue
		}
		require.Error(t, err, name)
		require.Zero(t, res, name)
		require.NotContains(t, err.Error(), cfg.APIKey)
		require.NotContains(t, err.Error(), f["sign"])
	}
}
