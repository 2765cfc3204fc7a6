package wechatv2

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// attrs are what may be shown of a Config.
func (c Config) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("name", c.Name), slog.String("app_id", c.AppID), slog.String("mch_id", c.MchID),
		slog.String("api_key", hide(len(c.APIKey))), slog.String("sign_type", string(c.SignType)),
		slog.String("cert_pem", hide(len(c.CertPEM))), slog.String("key_pem", hide(len(c.KeyPEM))),
		slog.String("cert_file", fileName(c.CertFile)), slog.String("key_file", fileName(c.KeyFile)),
		slog.String("p12", hide(len(c.P12))), slog.String("p12_file", fileName(c.P12File)),
		slog.String("p12_password", hide(len(c.P12Password))),
		slog.String("sub_mch_id", c.SubMchID), slog.String("sub_app_id", c.SubAppID),
		slog.String("notify_url", hideUser(c.NotifyURL)), slog.String("op_user_id", c.OpUserID),
		slog.String("refund_account", string(c.RefundAccount)), slog.String("base_url", hideUser(c.BaseURL)),
		slog.String("backup_url", hideUser(c.BackupURL)), slog.String("proxy_url", hideUser(c.ProxyURL)),
		slog.Duration("timeout", c.Timeout), slog.Duration("total_timeout", c.TotalTimeout),
		slog.Float64("refund_rate", c.RefundRate), slog.Float64("query_rate", c.QueryRate),
	}
}

func hide(size int) string {
	if size == 0 {
		return ""
	}
	return redacted
}

func fileName(file string) string {
	if isContents(file) {
		return redacted
	}
	return file
}

// hideUser leaves the scheme, the host and the path of an address.
func hideUser(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return redacted // who knows what it holds
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(redacted)
	}
	return shown.String()
}

// String describes the Config without its secrets.
func (c Config) String() string {
	var b strings.Builder
	b.WriteString("wechatv2.Config{")
	for i, a := range c.attrs() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%q", a.Key, a.Value.String())
	}
	b.WriteByte('}')
	return b.String()
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// Format writes String, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue is the Config without its secrets.
func (c Config) LogValue() slog.Value { return slog.GroupValue(c.attrs()...) }

// MarshalJSON is the Config without its secrets: for showing, not for reading back.
func (c Config) MarshalJSON() ([]byte, error) {
	m := map[string]string{}
	for _, a := range c.attrs() {
		m[a.Key] = a.Value.String()
	}
	return json.Marshal(m)
}
