package wechattest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// newClient returns a client of srv with the certificate cert, or without one.
func newClient(srv *wechattest.Server, cert *tls.Certificate) *http.Client {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: srv.Config().RootCAs}
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return cert, nil
		}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
}

// merchant sends messages to a server without the adapter.
type merchant struct {
	t    *testing.T
	srv  *wechattest.Server
	cfg  wechatv2.Config
	http *http.Client
	hmac bool
}

func newMerchant(t *testing.T, opts wechattest.Options) *merchant {
	t.Helper()
	srv, err := wechattest.NewServer(opts)
	require.NoError(t, err)
	t.Cleanup(srv.Close)
	require.NoError(t,
		srv.AddOrder(wechattest.Order{OutTradeNo: "O1", TransactionID: "42001", TotalFee: 100}))
	cfg := srv.Config()
	return &merchant{t: t, srv: srv, cfg: cfg, http: newClient(srv, certificate(t, cfg))}
}

// certificate returns the merchant's certificate.
func certificate(t *testing.T, cfg wechatv2.Config) *tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(cfg.CertPEM, cfg.KeyPEM)
	require.NoError(t, err)
	return &cert
}

type msg map[string]string

// refund asks for amount fen of O1. The pairs in change set fields before signing, or remove them
// if the value is empty.
func (m *merchant) refund(number string, amount int, change ...string) msg {
	m.t.Helper()
	return m.send(wechattest.PathRefund, append([]string{
		"out_trade_no", "O1", "out_refund_no", number, "total_fee", "100", "refund_fee",
		fmt.Sprint(amount),
	}, change...)...)
}

func (m *merchant) query(change ...string) msg {
	m.t.Helper()
	return m.send(wechattest.PathQuery, change...)
}

// send signs and posts a message, and checks the answer's signature.
func (m *merchant) send(path string, pairs ...string) msg {
	m.t.Helper()
	f := msg{"appid": m.cfg.AppID, "mch_id": m.cfg.MchID, "nonce_str": "n"}
	if m.hmac {
		f["sign_type"] = "HMAC-SHA256"
	}
	for i := 0; i < len(pairs); i += 2 {
		f[pairs[i]] = pairs[i+1]
	}
	if f["sign"] == "" {
		f["sign"] = m.sign(f)
	}
	status, body, err := m.post(path, f.xml())
	require.NoError(m.t, err)
	require.Equal(m.t, http.StatusOK, status)
	ans := read(m.t, body)
	if ans["return_code"] == "SUCCESS" {
		require.Equal(m.t, m.sign(ans), ans["sign"], "answers are signed")
	} else {
		require.Empty(m.t, ans["sign"], "refused messages are not")
	}
	return ans
}

func (m *merchant) post(path, body string) (int, []byte, error) {
	resp, err := m.http.Post(m.cfg.BaseURL+path, "text/xml", strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, raw, err
}

func (m *merchant) sign(f msg) string {
	var pairs []string
	for name, value := range f {
		if value != "" && name != "sign" {
			pairs = append(pairs, name+"="+value)
		}
	}
	sort.Slice(pairs, func(i, j int) bool {
		a, _, _ := strings.Cut(pairs[i], "=")
		b, _, _ := strings.Cut(pairs[j], "=")
		return a < b
	})
	text := strings.Join(pairs, "&") + "&key=" + m.cfg.APIKey
	if m.hmac {
		mac := hmac.New(sha256.New, []byte(m.cfg.APIKey))
		mac.Write([]byte(text))
		return fmt.Sprintf("%X", mac.Sum(nil))
	}
	return fmt.Sprintf("%X", md5.Sum([]byte(text)))
}

func (f msg) xml() string {
	var b bytes.Buffer
	b.WriteString("<xml>")
	for name, value := range f {
		if value != "" {
			b.WriteString("<" + name + ">")
			_ = xml.EscapeText(&b, []byte(value))
			b.WriteString("</" + name + ">")
		}
	}
	b.WriteString("</xml>")
	return b.String()
}

func read(t *testing.T, body []byte) msg {
	t.Helper()
	f, err := parseXML(body)
	require.NoError(t, err)
	return f
}

func parseXML(body []byte) (msg, error) {
	var doc struct {
		Fields []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	f := msg{}
	for _, e := range doc.Fields {
		f[e.XMLName.Local] = e.Value
	}
	return f, nil
}

func requireCode(t *testing.T, ans msg, code string) {
	t.Helper()
	require.Equal(t, "SUCCESS", ans["return_code"], ans)
	if code == "" {
		require.Equal(t, "SUCCESS", ans["result_code"], ans)
	} else {
		require.Equal(t, "FAIL", ans["result_code"], ans)
	}
	require.Equal(t, code, ans["err_code"], ans)
}
