package wechatv2

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// RefundAccount chooses the funds that refunds are paid from, for merchants of the old fund flow
// (official document 4011935217).
type RefundAccount string

// The refund accounts.
const (
	// RefundAccountUnsettled is money of payments that are not settled yet.
	RefundAccountUnsettled RefundAccount = "REFUND_SOURCE_UNSETTLED_FUNDS"
	// RefundAccountRecharge is the available balance.
	RefundAccountRecharge RefundAccount = "REFUND_SOURCE_RECHARGE_FUNDS"
)

// GatewayName is the name that orders have as their Gateway.
const GatewayName = "wechatv2"

// Defaults of [Config].
const (
	// mainHost is the service, backupHost the same service at another site.
	mainHost            = "https://api.mch.weixin.qq.com"
	backupHost          = "https://api2.mch.weixin.qq.com"
	defaultTimeout      = 15 * time.Second
	defaultTotalTimeout = 30 * time.Second
	// These rates are WeChat Pay's own limits for one merchant, per second.
	defaultRefundRate = 150
	defaultQueryRate  = 300
)

// Config configures a [Gateway]. It prints, logs and marshals itself without its secrets. It cannot
// prevent three ways past its methods: a Config in an unexported field of another struct, the verb
// %p (which go vet reports), and printers that read memory by reflection (go-spew, and with it the
// differences that testify prints). So drop the Config after New: the Gateway has none of these.
type Config struct {
	// Name is the gateway's name in set-up errors. If empty, GatewayName.
	Name string
	// AppID is the application's number (appid). Required. All numbers here are at most 32 letters,
	// digits, _ and -.
	AppID string
	// MchID is the merchant's number (mch_id). Required.
	MchID string
	// APIKey signs messages: the v2 key of the merchant platform, 32 letters and digits. Required,
	// secret.
	APIKey string
	// SignType is the signature's algorithm. If empty, SignMD5.
	SignType SignType

	// SubMchID is the sub-merchant's number in service-provider mode. AppID, MchID, APIKey and the
	// certificate are then the service provider's. If empty, the merchant is a plain one.
	SubMchID string
	// SubAppID is the sub-merchant's application. It needs SubMchID. If empty, none is sent.
	SubAppID string

	// CertPEM or CertFile is the merchant's certificate (apiclient_cert.pem), KeyPEM or KeyFile its
	// private key (apiclient_key.pem). One of each pair is required, unless P12, P12File or
	// GetClientCertificate is set. Secret. New reads the files and refuses a certificate that is
	// not valid now; see [Gateway.ReloadCertificate].
	CertPEM  []byte
	KeyPEM   []byte
	CertFile string
	KeyFile  string
	// P12 or P12File is the certificate with its private key as PKCS#12 (apiclient_cert.p12).
	// P12Password opens it; if empty, MchID, which the merchant platform uses. Secret.
	P12         []byte
	P12File     string
	P12Password string
	// GetClientCertificate returns the certificate for each new connection whose service asks for
	// one. It is set instead of the fields above. It must be safe for concurrent use and honour
	// ctx; its errors must hold no secrets. An error, or a certificate that is not valid now, makes
	// the call fail with a [*refund.SetupError].
	GetClientCertificate func(ctx context.Context) (*tls.Certificate, error)

	// NotifyURL receives WeChat Pay's refund notifications: an absolute URL of plain ASCII without
	// user and query, at most 256 bytes. If empty, none is sent, and WeChat Pay uses the URL that
	// is set in the merchant platform.
	NotifyURL string
	// OpUserID is the operator (op_user_id). If empty, MchID.
	OpUserID string
	// RefundAccount chooses the funds. If empty, WeChat Pay chooses: for merchants of the old fund
	// flow, unsettled funds.
	RefundAccount RefundAccount

	// BaseURL is the service's https address. If empty, https://api.mch.weixin.qq.com.
	BaseURL string
	// RootCAs are the authorities that may have issued the service's certificate. If nil, the
	// system's. Verification cannot be turned off.
	RootCAs *x509.CertPool
	// BackupURL is another https address of the same service. A call goes there, once and with the
	// same body, if BaseURL could not be connected to or hung up without a byte of an answer. It
	// never goes there after an HTTP status, an answer of any kind, a certificate fault, or the end
	// of Timeout or of ctx. Even if BaseURL has acted, the refund number pays once. If empty,
	// https://api2.mch.weixin.qq.com for the default BaseURL, none for another one. The same as
	// BaseURL means none.
	BackupURL string
	// ProxyURL is an HTTP proxy (http or https) for all calls; TLS with the service stays end to
	// end. It may hold a user and a password, which are not shown. The certificate of an https
	// proxy is verified with RootCAs, and the proxy may ask for the merchant's. If empty, there is
	// no proxy; the environment is not read.
	ProxyURL string
	// Timeout bounds one call to one host; the TCP connection and the TLS handshake get a third of
	// it each. If zero, 15 s.
	Timeout time.Duration
	// TotalTimeout bounds one method of the Gateway with all its calls: the backup host, the query
	// after a refusal, the pages of a list. It must not be shorter than Timeout. If zero, 30 s, or
	// twice Timeout if that is longer.
	TotalTimeout time.Duration
	// WrapTransport wraps the HTTP transport, once, for tracing and metrics. The wrapped transport
	// verifies TLS. The wrapper sees signed bodies and must not log them. It must be safe for
	// concurrent use. It should pass on the request's context and body, by which the Gateway counts
	// how often a request was sent: a refusal of a request that may have been sent twice is an
	// error, not [refund.OutcomeDeclined]. If nil, the transport is not wrapped.
	WrapTransport func(http.RoundTripper) http.RoundTripper
	// RefundRate and QueryRate bound the HTTP requests per second, for all methods of the Gateway
	// together. Faster requests wait, for up to half of the time that the caller and TotalTimeout
	// allow. If that is too short, the call sends nothing and returns a [*refund.BusyError]. Each
	// process has its own rate. If zero, WeChat Pay's own limits for one merchant: 150 refunds and
	// 300 queries. Negative means no bound.
	RefundRate float64
	QueryRate  float64
	// Limits are what the Gateway declares as its [refund.Limits]. If nil, WeChat Pay's: 50 refunds
	// of one order, a minute apart, for 365 days after its payment.
	Limits *refund.Limits
	// Logger receives one line per call at level Debug, and one per change to BackupURL. If nil,
	// slog.Default().
	Logger *slog.Logger
	// Now is the clock that decides whether the merchant's certificate is valid, in New and for
	// each new connection. If nil, time.Now.
	Now func() time.Time
}

// withDefaults returns c complete, or all its faults joined, each an [*order.InvalidError].
func (c Config) withDefaults() (Config, error) {
	c.Name = cmp.Or(c.Name, GatewayName)
	c.SignType = cmp.Or(c.SignType, SignMD5)
	c.OpUserID = cmp.Or(c.OpUserID, c.MchID)
	c.BaseURL = strings.TrimRight(cmp.Or(c.BaseURL, mainHost), "/")
	c.BackupURL = strings.TrimRight(c.BackupURL, "/")
	if c.BackupURL == "" && c.BaseURL == mainHost {
		c.BackupURL = backupHost
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.TotalTimeout = cmp.Or(c.TotalTimeout, max(defaultTotalTimeout, 2*c.Timeout))
	c.RefundRate = cmp.Or(c.RefundRate, defaultRefundRate)
	c.QueryRate = cmp.Or(c.QueryRate, defaultQueryRate)
	if c.Limits == nil {
		c.Limits = &refund.Limits{MaxRefunds: maxRefunds, MaxAge: maxAge, MinInterval: minInterval}
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, c.check()
}

func (c Config) check() error {
	var faults []error
	refuse := func(bad bool, field, problem string, args ...any) {
		if bad {
			faults = append(faults, invalid(field, problem, args...))
		}
	}
	const idForm = "must be 1 to 32 letters, digits, _ and -"
	refuse(!isID(c.AppID), "app_id", idForm)
	refuse(!isID(c.MchID), "mch_id", idForm)
	const urlForm = "must be an https address without user, query and fragment"
	refuse(!isHost(c.BaseURL), "base_url", urlForm)
	refuse(c.BackupURL != "" && !isHost(c.BackupURL), "backup_url", urlForm)
	// The error of url.Parse is not quoted: it holds the password.
	refuse(c.ProxyURL != "" && !isWeb(c.ProxyURL), "proxy_url", "must be an http or https address")
	refuse(c.NotifyURL != "" && !isNotifyURL(c.NotifyURL), "notify_url",
		"must be an absolute URL of plain ASCII without user and query, at most 256 bytes")
	refuse(!isID(c.OpUserID) && c.OpUserID != c.MchID, "op_user_id", idForm)
	refuse(!isID(c.SubMchID) && c.SubMchID != "", "sub_mch_id", idForm)
	refuse(!isID(c.SubAppID) && c.SubAppID != "", "sub_app_id", idForm)
	refuse(c.SubAppID != "" && c.SubMchID == "", "sub_app_id", "needs sub_mch_id")
	refuse(len(c.APIKey) != 32 || !plain(c.APIKey, ""),
		"api_key", "must be 32 letters and digits, has %d bytes", len(c.APIKey))
	refuse(c.SignType != SignMD5 && c.SignType != SignHMACSHA256,
		"sign_type", "must be %s or %s", SignMD5, SignHMACSHA256)
	switch c.RefundAccount {
	case "", RefundAccountUnsettled, RefundAccountRecharge:
	default:
		refuse(true, "refund_account", "not one of the documented values")
	}
	refuse(c.Timeout < time.Millisecond, "timeout", "must be at least a millisecond")
	refuse(c.TotalTimeout < c.Timeout, "total_timeout", "must not be shorter than timeout")
	refuse(math.IsNaN(c.RefundRate), "refund_rate", "must be a number")
	refuse(math.IsNaN(c.QueryRate), "query_rate", "must be a number")
	l := c.Limits
	refuse(l.MaxRefunds < 0 || l.MaxAge < 0 || l.MinInterval < 0, "limits", "must not be negative")
	return errors.Join(faults...)
}

func isID(id string) bool { return id != "" && len(id) <= 32 && plain(id, "_-") }

// isHost reports whether address is https without user, query and fragment.
func isHost(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(address, "?#") && printable(address) && len(u.Port()) <= 5
}

func isWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func isNotifyURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && isWeb(address) && u.User == nil && !strings.ContainsAny(address, "?#") &&
		len(address) <= 256 && printable(address)
}

// hosts returns the addresses to call, in this order.
func (c Config) hosts() []string {
	if c.BackupURL == "" || sameHost(c.BackupURL, c.BaseURL) {
		return []string{c.BaseURL}
	}
	return []string{c.BaseURL, c.BackupURL}
}

// sameHost reports whether two addresses reach the same server.
func sameHost(a, b string) bool {
	plain := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return address
		}
		return strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), "443") + u.Path
	}
	return plain(a) == plain(b)
}

// printable reports whether s has only printable ASCII characters and no space.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
