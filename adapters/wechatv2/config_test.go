package wechatv2_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	printer "github.com/davecgh/go-spew/spew"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

func TestNewRefusesFaultyConfigs(t *testing.T) {
	t.Parallel()
	srv, other := newServer(t, wechattest.Options{}), newServer(t, wechattest.Options{})
	good := srv.Config()
	goodP12 := p12(t, pkcs12.LegacyRC2, good.CertPEM, good.KeyPEM, good.MchID)
	tests := []struct {
		name   string
		fields string
		change func(*wechatv2.Config)
	}{
		{"nothing given", "app_id mch_id api_key cert_pem key_pem", func(c *wechatv2.Config) {
			*c = wechatv2.Config{}
		}},
		{"long application", "app_id", func(c *wechatv2.Config) {
			c.AppID = strings.Repeat("1", 33)
		}},
		{"strange merchant", "mch_id", func(c *wechatv2.Config) { c.MchID = "1&2" }},
		{"short key", "api_key", func(c *wechatv2.Config) { c.APIKey = c.APIKey[1:] }},
		{"sign type", "sign_type", func(c *wechatv2.Config) { c.SignType = "SHA1" }},
		{"account", "refund_account", func(c *wechatv2.Config) { c.RefundAccount = "MINE" }},
		{"operator", "op_user_id", func(c *wechatv2.Config) { c.OpUserID = "a b" }},
		{"time-out", "timeout", func(c *wechatv2.Config) { c.Timeout = -1 }},
		{"time-out without its unit", "timeout", func(c *wechatv2.Config) { c.Timeout = 15 }},
		{"total below the call", "total_timeout", func(c *wechatv2.Config) {
			c.Timeout, c.TotalTimeout = 20*time.Second, 10*time.Second
		}},
		{"password for a pair", "p12_password", func(c *wechatv2.Config) { c.P12Password = "x" }},
		{"http", "base_url", func(c *wechatv2.Config) {
			c.BaseURL = "http://api.mch.weixin.qq.com"
		}},
		{"no host", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://" }},
		{"port without a host", "base_url", func(c *wechatv2.Config) {
			c.BaseURL = "https://:443"
		}},
		{"long port", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://h:123456" }},
		{"empty query", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://h/?" }},
		{"query", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://h/?a=1" }},
		{"user", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://u:p@h" }},
		{"not a URL", "base_url", func(c *wechatv2.Config) { c.BaseURL = "https://h:x" }},
		{"backup http", "backup_url", func(c *wechatv2.Config) { c.BackupURL = "http://h" }},
		{"proxy without a scheme", "proxy_url", func(c *wechatv2.Config) { c.ProxyURL = "h:8080" }},
		{"proxy of another kind", "proxy_url", func(c *wechatv2.Config) {
			c.ProxyURL = "socks5://h:1"
		}},
		{"proxy without a host", "proxy_url", func(c *wechatv2.Config) {
			c.ProxyURL = "http://:1"
		}},
		{"total time-out", "total_timeout", func(c *wechatv2.Config) { c.TotalTimeout = -1 }},
		{"strange sub-merchant", "sub_mch_id", func(c *wechatv2.Config) { c.SubMchID = "1&2" }},
		{"sub-application alone", "sub_app_id", func(c *wechatv2.Config) { c.SubAppID = "wx1" }},
		{"strange sub-application", "sub_app_id", func(c *wechatv2.Config) {
			c.SubMchID, c.SubAppID = "1", "wx 1"
		}},
		{"notify query", "notify_url", func(c *wechatv2.Config) { c.NotifyURL = "https://h/?a=1" }},
		{"notify relative", "notify_url", func(c *wechatv2.Config) { c.NotifyURL = "/refunds" }},
		{"notify long", "notify_url", func(c *wechatv2.Config) {
			c.NotifyURL = "https://h/" + strings.Repeat("a", 256)
		}},
		{"certificate twice", "cert_pem", func(c *wechatv2.Config) { c.CertFile = "x" }},
		{"no private key", "key_pem", func(c *wechatv2.Config) { c.KeyPEM = nil }},
		{"no such file", "cert_pem", func(c *wechatv2.Config) {
			c.CertPEM, c.CertFile = nil, filepath.Join(t.TempDir(), "x")
		}},
		{"not PEM", "cert_pem", func(c *wechatv2.Config) { c.CertPEM = []byte("x") }},
		{"key of other characters", "api_key", func(c *wechatv2.Config) {
			c.APIKey = c.APIKey[1:] + "\n"
		}},
		{"notify user", "notify_url", func(c *wechatv2.Config) { c.NotifyURL = "https://u:p@h/" }},
		{"notify not ASCII", "notify_url", func(c *wechatv2.Config) {
			c.NotifyURL = "https://h/\xff"
		}},
		{"notify space", "notify_url", func(c *wechatv2.Config) { c.NotifyURL = "https://h/ x" }},
		{"certificate for its file", "cert_pem", func(c *wechatv2.Config) {
			c.CertPEM, c.CertFile = nil, string(c.CertPEM)
		}},
		{"key for its file", "key_pem", func(c *wechatv2.Config) {
			c.KeyPEM, c.KeyFile = nil, string(c.KeyPEM)
		}},
		{"PKCS#12 for its file", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.KeyPEM, c.P12File = nil, nil, "0\x82\x00x"
		}},
		{"wrapper of nothing", "wrap_transport", func(c *wechatv2.Config) {
			c.WrapTransport = func(http.RoundTripper) http.RoundTripper { return nil }
		}},
		{"PKCS#12 beside a pair", "p12", func(c *wechatv2.Config) { c.P12 = []byte("x") }},
		{"PKCS#12 beside a certificate", "p12", func(c *wechatv2.Config) {
			c.KeyPEM, c.P12 = nil, goodP12
		}},
		{"PKCS#12 beside a key", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.P12 = nil, goodP12
		}},
		{"good PKCS#12 beside a pair", "p12", func(c *wechatv2.Config) { c.P12 = goodP12 }},
		{"PKCS#12 beside a pair of files", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.KeyPEM, c.CertFile, c.KeyFile, c.P12 = nil, nil, "x", "x", goodP12
		}},
		{"PKCS#12 twice", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.KeyPEM, c.P12, c.P12File = nil, nil, []byte("x"), "x"
		}},
		{"no such PKCS#12 file", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.KeyPEM, c.P12File = nil, nil, filepath.Join(t.TempDir(), "x")
		}},
		{"not PKCS#12", "p12", func(c *wechatv2.Config) {
			c.CertPEM, c.KeyPEM, c.P12 = nil, nil, []byte("x")
		}},
		{"rates", "refund_rate query_rate", func(c *wechatv2.Config) {
			c.RefundRate, c.QueryRate = math.NaN(), math.NaN()
		}},
		{"another's private key", "cert_pem", func(c *wechatv2.Config) {
			c.KeyPEM = other.Config().KeyPEM
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(srv)
			tt.change(&cfg)
			_, err := wechatv2.New(cfg)
			require.ErrorIs(t, err, order.ErrInvalid)
			require.Equal(t, tt.fields, strings.Join(faultyFields(err), " "))
			if cfg.APIKey != "" {
				require.NotContains(t, err.Error(), cfg.APIKey)
			}
			require.NotContains(t, err.Error()+fmt.Sprint(cfg), "-----")
		})
	}
}

// faultyFields returns the fields that a joined error names.
func faultyFields(err error) []string {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case *order.InvalidError:
		return []string{e.Field}
	case interface{ Unwrap() []error }:
		var all []string
		for _, err := range e.Unwrap() {
			all = append(all, faultyFields(err)...)
		}
		return all
	}
	if err = errors.Unwrap(err); err != nil {
		return faultyFields(err)
	}
	return nil
}

func TestNewReadsFiles(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	dir := t.TempDir()
	cfg := config(srv)
	cfg.CertFile, cfg.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cfg.CertFile, cfg.CertPEM, 0o600))
	require.NoError(t, os.WriteFile(cfg.KeyFile, cfg.KeyPEM, 0o600))
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.NoError(t, err)
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.BaseURL, cfg.Timeout = "", 0
	shown := fmt.Sprint(newGateway(t, cfg))
	for _, want := range []string{
		`name="wechatv2"`, `base_url="https://api.mch.weixin.qq.com"`, `timeout="15s"`,
		`sign_type="MD5"`,
		`backup_url="https://api2.mch.weixin.qq.com"`, `total_timeout="30s"`, `proxy_url=""`,
		`op_user_id="1000000001"`, `api_key="REDACTED"`, `cert_pem="REDACTED"`,
		`key_pem="REDACTED"`,
	} {
		require.Contains(t, shown, want)
	}
	// Another host has no default backup.
	require.Contains(t, fmt.Sprint(newGateway(t, config(newServer(t, wechattest.Options{})))),
		`backup_url=""`)
}

// TestBackupIsAnotherHost checks that another spelling of the same host is not a backup.
func TestBackupIsAnotherHost(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.BaseURL += "//"
	cfg.BackupURL = strings.Replace(srv.Config().BaseURL, "https://", "HTTPS://", 1)
	srv.Inject(wechattest.LoseAnswer().NotExecuted())
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "backup")
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.NoError(t, err)
}

// TestSecretsAreNotShown prints, logs and marshals every value that could hold a secret, in every
// way.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.ProxyURL = "http://" + proxyUser + ":" + proxyPassword + "@proxy.example:8080"
	g := newGateway(t, cfg)
	cfg.P12Password = p12Password
	type host struct {
		gateway *wechatv2.Gateway
		Config  wechatv2.Config
		Pointer *wechatv2.Config
	}
	h := host{gateway: g, Config: cfg, Pointer: &cfg}
	var out strings.Builder
	spewed := 0
	for _, v := range []any{
		cfg, &cfg, g, *g, h, &h,
		[]any{cfg, g},
		map[string]any{"c": cfg, "g": g},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		for _, handler := range []slog.Handler{
			slog.NewJSONHandler(&out, nil),
			slog.NewTextHandler(&out, nil),
		} {
			slog.New(handler).Info("x", slog.Any("v", v))
			slog.New(handler).With(slog.Any("v", v)).WithGroup("g").Info("x", slog.Any("v", v))
		}
		if _, plain := v.(wechatv2.Config); !plain && v != any(&cfg) {
			spew := strings.Builder{}
			(&printer.ConfigState{
				DisableMethods: true, DisablePointerMethods: true,
				Indent: " ",
			}).Fdump(&spew, v)
			// the documentation of Config names this case
			if !strings.Contains(spew.String(), "wechatv2.Config)") {
				out.WriteString(spew.String())
				spewed++
			}
		}
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		out.Write(raw)
	}
	require.Equal(t, 2, spewed, "the Gateway, by value too")
	requireNoSecret(t, cfg, out.String())
	require.NotContains(t, out.String(), proxyUser)
	require.NotContains(t, out.String(), proxyPassword)
	require.NotContains(t, out.String(), p12Password)
	require.Contains(t, out.String(), "REDACTED")
	require.Contains(t, out.String(), "proxy.example:8080")
}

// TestConfigIsShown checks what printing, logs and JSON show of a Config.
func TestConfigIsShown(t *testing.T) {
	t.Parallel()
	cfg := wechatv2.Config{
		AppID: "wx1", MchID: "10", APIKey: "k", KeyFile: "k.pem",
		BaseURL: "https://u:p@a.example/b?c#d", ProxyURL: "no address",
	}
	require.Equal(t, `wechatv2.Config{name="" app_id="wx1" mch_id="10" api_key="REDACTED" `+
		`sign_type="" cert_pem="" key_pem="" cert_file="" key_file="k.pem" p12="" p12_file="" `+
		`p12_password="" sub_mch_id="" sub_app_id="" notify_url="" op_user_id="" `+
		`refund_account="" base_url="https://REDACTED@a.example/b" backup_url="" `+
		`proxy_url="REDACTED" timeout="0s" total_timeout="0s" refund_rate="0" query_rate="0"}`,
		fmt.Sprint(cfg))
	raw, err := json.Marshal(cfg)
	require.NoError(t, err)
	var shown map[string]string
	require.NoError(t, json.Unmarshal(raw, &shown))
	require.Len(t, shown, 24)
	require.Equal(t, "wx1", shown["app_id"])
	require.Equal(t, "REDACTED", shown["api_key"])
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("cfg", cfg))
	require.Contains(t, log.String(), `"cfg":{"name":"","app_id":"wx1","mch_id":"10",`)

	g := newGateway(t, config(newServer(t, wechattest.Options{})))
	text, err := g.MarshalText()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(g), string(text))
	require.Contains(t, string(text), `wechatv2.Gateway{`)
}

// TestContentsInPlaceOfAFileNameAreNotShown checks that a key which was set as the name of its file
// is not shown, and that names are. Addresses that cannot be parsed may hold anything.
func TestContentsInPlaceOfAFileNameAreNotShown(t *testing.T) {
	t.Parallel()
	const secret = "MIGHAgEAMBMGByqGSM49"
	for name, value := range map[string]string{
		"PEM on one line": "-----BEGIN PRIVATE KEY-----" + secret,
		"base64 alone":    strings.Repeat(secret, 60),
		"lines":           secret + "\n",
		"binary":          secret + "\x00",
	} {
		for field, set := range map[string]func(c *wechatv2.Config){
			"cert_file": func(c *wechatv2.Config) { c.CertFile = value },
			"key_file":  func(c *wechatv2.Config) { c.KeyFile = value },
			"p12_file":  func(c *wechatv2.Config) { c.P12File = value },
		} {
			cfg := config(newServer(t, wechattest.Options{}))
			cfg.CertPEM, cfg.KeyPEM = nil, nil
			set(&cfg)
			shown := fmt.Sprint(cfg)
			require.Contains(t, shown, field+`="REDACTED"`, name)
			_, err := wechatv2.New(cfg)
			require.Error(t, err)
			require.NotContains(t, shown+err.Error(), secret, "%s in %s", name, field)
		}
	}
	cfg := wechatv2.Config{
		CertFile: "/etc/c.pem", KeyFile: strings.Repeat("k", 1024), P12File: "m.p12",
		ProxyURL: "http://" + secret + "@proxy example", BaseURL: secret,
	}
	shown := fmt.Sprint(cfg)
	for _, file := range []string{cfg.CertFile, cfg.KeyFile, cfg.P12File} {
		require.Contains(t, shown, file)
	}
	require.NotContains(t, shown, secret)
}

const proxyUser, proxyPassword, p12Password = "proxy-user", "proxy-password", "p12-password"

// requireNoSecret looks for the key and the certificates in every form that printing can produce.
func requireNoSecret(t *testing.T, cfg wechatv2.Config, out string) {
	t.Helper()
	for name, secret := range map[string][]byte{
		"api key":     []byte(cfg.APIKey),
		"certificate": cfg.CertPEM, "private key": cfg.KeyPEM,
	} {
		part := secret[:min(len(secret), 24)]
		if i := bytes.IndexByte(secret, '\n'); i > 0 {
			part = secret[i+1 : i+25] // after the PEM header
		}
		for _, spelling := range []string{
			string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part),
			strings.Trim(fmt.Sprintf("%d", part), "[]"),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"),
		} {
			if i := strings.Index(out, spelling); i >= 0 {
				t.Fatalf("%s is shown: %s", name, out[max(0, i-60):i+len(spelling)])
			}
		}
	}
	require.NotContains(t, out, "PRIVATE KEY")
}
