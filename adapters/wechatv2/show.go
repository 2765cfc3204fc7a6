package wechatv2

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// attrs describe a Config without its secrets.
func (c Config) attrs() []slog.Attr {
	text := slog.String
	return []slog.Attr{
		text("name", c.Name), text("app_id", c.AppID), text("mch_id", c.MchID),
		text("api_key", hide(len(c.APIKey))), text("sign_type", string(c.SignType)),
		text("cert_pem", hide(len(c.CertPEM))), text("key_pem", hide(len(c.KeyPEM))),
		text("cert_file", fileName(c.CertFile)), text("key_file", fileName(c.KeyFile)),
		text("p12", hide(len(c.P12))), text("p12_file", fileName(c.P12File)),
		text("p12_password", hide(len(c.P12Password))),
		text("sub_mch_id", c.SubMchID), text("sub_app_id", c.SubAppID),
		text("notify_url", hideUser(c.NotifyURL)), text("op_user_id", c.OpUserID),
		text("refund_account", string(c.RefundAccount)), text("base_url", hideUser(c.BaseURL)),
		text("backup_url", hideUser(c.BackupURL)), text("proxy_url", hideUser(c.ProxyURL)),
		slog.Duration("timeout", c.Timeout), slog.Duration("total_timeout", c.TotalTimeout),
		slog.Float64("refund_rate", c.RefundRate), slog.Float64("query_rate", c.QueryRate),
	}
}

const redacted = "REDACTED"

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

// hideUser returns an address without its user, password, query and fragment.
func hideUser(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return redacted // it may hold anything
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(redacted)
	}
	return shown.String()
}

// shown describes the Config without its secrets.
func (c Config) shown() string {
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

// Format implements [fmt.Formatter]. For every verb it writes the Config without its secrets.
func (c Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.shown())) }

// LogValue returns the Config without its secrets.
func (c Config) LogValue() slog.Value { return slog.GroupValue(c.attrs()...) }

// MarshalJSON returns the Config without its secrets. It is for people: New cannot use it.
func (c Config) MarshalJSON() ([]byte, error) {
	m := map[string]string{}
	for _, a := range c.attrs() {
		m[a.Key] = a.Value.String()
	}
	return json.Marshal(m)
}
