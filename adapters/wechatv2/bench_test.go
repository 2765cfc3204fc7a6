package wechatv2_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// Each benchmark has a plain one beside it, which does the same with the standard library alone.
// Only the ratio in one run matters:
//
//	go test -run '^$' -bench . -count 6 ./adapters/wechatv2

// tenFields returns a refund request before it is signed.
func tenFields() map[string]string {
	f := refundFields()
	delete(f, "notify_url")
	delete(f, "op_user_id")
	return f
}

func BenchmarkSign(b *testing.B) {
	f := tenFields()
	for _, t := range []wechatv2.SignType{wechatv2.SignMD5, wechatv2.SignHMACSHA256} {
		b.Run("fields=10/"+string(t), func(b *testing.B) {
			// requests are written in order
			sign, m := wechatv2.NewSign(testKey, t), wechatv2.Sorted(f)
			b.ReportAllocs()
			for range b.N {
				sign(m)
			}
		})
		b.Run("fields=10/"+string(t)+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				plainSign(f, testKey, t)
			}
		})
	}
}

// plainRequest is a request for encoding/xml.
type plainRequest struct {
	XMLName struct{} `xml:"xml"`
	AppID   string   `xml:"appid"`
	MchID   string   `xml:"mch_id"`
	Nonce   string   `xml:"nonce_str"`
	No      string   `xml:"out_refund_no"`
	Order   string   `xml:"out_trade_no"`
	Desc    string   `xml:"refund_desc"`
	Fee     string   `xml:"refund_fee"`
	FeeType string   `xml:"refund_fee_type"`
	Sign    string   `xml:"sign"`
	Type    string   `xml:"sign_type"`
	Total   string   `xml:"total_fee"`
}

func BenchmarkEncode(b *testing.B) {
	f := tenFields()
	f["sign"] = wechatv2.Sign(f, testKey, wechatv2.SignMD5)
	m := wechatv2.Sorted(f)
	b.Run("fields=11", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			wechatv2.EncodeThis(m)
		}
	})
	b.Run("fields=11/plain", func(b *testing.B) {
		req := plainRequest{
			AppID: f["appid"], MchID: f["mch_id"], Nonce: f["nonce_str"], No: f["out_refund_no"],
			Order: f["out_trade_no"],
			Desc:  f["refund_desc"], Fee: f["refund_fee"], FeeType: f["refund_fee_type"],
			Sign: f["sign"], Type: f["sign_type"],
			Total: f["total_fee"],
		}
		b.ReportAllocs()
		for range b.N {
			if _, err := xml.Marshal(req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var body []byte
	for _, field := range [][2]string{
		{"return_code", "SUCCESS"},
		{"return_msg", "OK"},
		{"appid", "wx0000000000000001"},
		{"mch_id", "1000000001"},
		{"nonce_str", "NfsMFbUFpdbEhPXP"},
		{"sign", "0123456789ABCDEF0123456789ABCDEF"},
		{"result_code", "SUCCESS"},
		{"transaction_id", "4200000000000000000000000001"},
		{"out_trade_no", "ORD-1"},
		{"out_refund_no", "RF-1"},
		{"refund_id", "50000000000000000000000000001"},
		{"refund_channel", ""},
		{"refund_fee", "30"},
		{"total_fee", "100"},
		{"cash_fee", "100"},
		{"cash_refund_fee", "30"},
		{"coupon_refund_fee", "0"},
		{"coupon_refund_count", "0"},
		{"settlement_refund_fee", "30"},
		{"fee_type", "CNY"},
	} {
		body = fmt.Appendf(body, "<%s><![CDATA[%s]]></%[1]s>\n", field[0], field[1])
	}
	body = fmt.Appendf(nil, "<xml>%s</xml>", body)
	benchDecode(b, "fields=20", func() (map[string]string, error) { return wechatv2.Decode(body) })
	benchDecode(b, "fields=20/plain", func() (map[string]string, error) {
		return reference(body, "xml")
	})
}

func benchDecode(b *testing.B, name string, decode func() (map[string]string, error)) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if f, err := decode(); err != nil || len(f) != 20 {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNotification(b *testing.B) {
	g := newReader(b, testKey)
	body := wechatv2.Encode(envelope(infoVectors(b)["notify_success"].ReqInfo))
	b.Run("read", func(b *testing.B) {
		r := post(nil)
		b.ReportAllocs()
		for range b.N {
			r.Body = io.NopCloser(bytes.NewReader(body))
			if _, err := g.ReadNotification(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read/plain", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := plainNotification(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// plainNotification reads a notification with encoding/xml, without any check.
func plainNotification(body []byte) error {
	outer, err := reference(body, "xml")
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(outer["req_info"])
	if err != nil {
		return err
	}
	block, err := aes.NewCipher([]byte(fmt.Sprintf("%x", md5.Sum([]byte(testKey)))))
	if err != nil {
		return err
	}
	for i := 0; i < len(data); i += 16 {
		block.Decrypt(data[i:], data[i:])
	}
	_, err = reference(data[:len(data)-int(data[len(data)-1])], "root")
	return err
}

// The round trips repeat one refund. The server pays it once.

func BenchmarkRefundRoundTripSerial(b *testing.B) {
	benchSerial(b, refundCall(b, newServer(b, wechattest.Options{})))
}

func BenchmarkRefundRoundTripParallel32(b *testing.B) {
	benchParallel32(b, refundCall(b, newServer(b, wechattest.Options{})))
}

// The plain round trips post the same bytes with net/http alone: the difference is the adapter's
// cost.

func BenchmarkPlainHTTPSerial(b *testing.B) {
	benchSerial(b, plainCall(b, newServer(b, wechattest.Options{})))
}

func BenchmarkPlainHTTPParallel32(b *testing.B) {
	benchParallel32(b, plainCall(b, newServer(b, wechattest.Options{})))
}

func benchSerial(b *testing.B, call func() error) {
	b.Helper()
	require.NoError(b, call())
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchParallel32(b *testing.B, call func() error) {
	b.Helper()
	require.NoError(b, call())
	b.SetParallelism((32 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func refundCall(b *testing.B, srv *wechattest.Server) func() error {
	b.Helper()
	cfg := config(srv)
	g := newGateway(b, cfg)
	return func() error {
		_, err := g.Refund(context.Background(), request())
		return err
	}
}

func plainCall(b *testing.B, srv *wechattest.Server) func() error {
	b.Helper()
	cfg := srv.Config()
	cert, err := tls.X509KeyPair(cfg.CertPEM, cfg.KeyPEM)
	require.NoError(b, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs,
			Certificates: []tls.Certificate{cert},
		},
		MaxIdleConnsPerHost: 64, DisableCompression: true,
	}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	f := refundFields()
	f["out_trade_no"], f["out_refund_no"] = "O1", "R1"
	f["appid"], f["mch_id"] = cfg.AppID, cfg.MchID
	f["sign"] = wechatv2.Sign(f, cfg.APIKey, wechatv2.SignMD5)
	body := wechatv2.Encode(f)
	return func() error {
		resp, err := client.Post(cfg.BaseURL+wechattest.PathRefund, "text/xml; charset=utf-8",
			bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}
