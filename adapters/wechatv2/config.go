package wechatv2

import (
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

// RefundAccount chooses the funds that refunds are paid from, for merchants of the old fund flow (official
// document 4011935217).
type RefundAccount string

// The refund accounts.
const (
	// RefundAccountDefault leaves the choice to WeChat Pay: unsettled funds.
	RefundAccountDefault RefundAccount = ""
	// RefundAccountUnsettled is money of payments that are not settled yet.
	RefundAccountUnsettled RefundAccount = "REFUND_SOURCE_UNSETTLED_FUNDS"
	// RefundAccountRecharge is the available balance.
	RefundAccountRecharge RefundAccount = "REFUND_SOURCE_RECHARGE_FUNDS"
)

// Defaults of [Config].
const (
	GatewayName = "wechatv2"
	// DefaultBaseURL is the main host, DefaultBackupURL the same service at another site.
	DefaultBaseURL      = "https://api.mch.weixin.qq.com"
	DefaultBackupURL    = "https://api2.mch.weixin.qq.com"
	DefaultTimeout      = 15 * time.Second
	DefaultTotalTimeout = 30 * time.Second
	// DefaultRefundRate and DefaultQueryRate are WeChat Pay's own limits for one merchant, per second.
	DefaultRefundRate = 150
	DefaultQueryRate  = 300
)

// Config configures a [Gateway]. It prints, logs and marshals itself without its secrets, with three holes
// that a struct of plain strings cannot close, because its methods are gone around: a Config in an unexported
// field of another struct, the verb %p (which go vet reports), and printers that read memory by reflection
// (go-spew, and with it the differences that testify shows). So drop it once New has returned: the Gateway has
// none of the holes.
type Config struct {
	// Name is the gateway's name in set-up errors. Default: GatewayName.
	Name string
	// AppID is the application's number (appid), at most 32 letters, digits, _ and -, as are all numbers
	// here. Required.
	AppID string
	// MchID is the merchant's number (mch_id). Required.
	MchID string
	// APIKey signs messages (the v2 key of the merchant platform): 32 letters and digits. Required, secret.
	APIKey string
	// SignType is the signature's algorithm. Default: SignMD5.
	SignType SignType

	// SubMchID is the sub-merchant's number, in service-provider mode; AppID, MchID, APIKey and the
	// certificate are then the service provider's. Default: none, a plain merchant.
	SubMchID string
	// SubAppID is the sub-merchant's application; it needs SubMchID. Default: none.
	SubAppID string

	// CertPEM or CertFile is the merchant's certificate (apiclient_cert.pem), KeyPEM or KeyFile its private
	// key (apiclient_key.pem). One of each pair is required, in place of what follows. Secret. New reads
	// the files, and refuses a certificate that is not valid now; see [Gateway.ReloadCertificate].
	CertPEM  []byte
	KeyPEM   []byte
	CertFile string
	KeyFile  string
	// P12 or P12File is both in one, in place of the above: PKCS#12 (apiclient_cert.p12). P12Password
	// opens it. Default: MchID, as the merchant platform makes them. Secret.
	P12         []byte
	P12File     string
	P12Password string
	// GetClientCertificate gives the certificate for each new connection whose service asks for one, in
	// place of the above. It must be safe for concurrent use and honour ctx; its errors must hold no
	// secrets. An error, or a certificate that is not valid now, is a [*refund.SetupError] of the call.
	GetClientCertificate func(ctx context.Context) (*tls.Certificate, error)

	// NotifyURL receives WeChat Pay's refund notifications: an absolute URL of plain ASCII without user and
	// query, at most 256 bytes. Default: none is sent, and what is set in the merchant platform holds.
	NotifyURL string
	// OpUserID is the operator (op_user_id). Default: MchID.
	OpUserID string
	// RefundAccount chooses the funds. Default: RefundAccountDefault.
	RefundAccount RefundAccount

	// BaseURL is the service's address; https only. Default: DefaultBaseURL.
	BaseURL string
	// RootCAs are the authorities that may have issued the service's certificate. Default: the system's.
	// Verification cannot be turned off.
	RootCAs *x509.CertPool
	// BackupURL is another address of the same service, on the terms of BaseURL. A call goes there, once
	// and with the same body, where BaseURL could not be connected to or hung up without a byte of an
	// answer; never after an HTTP status, an answer of any kind, a certificate fault, or the end of Timeout
	// or of ctx. Even where BaseURL has acted, the refund number pays once. Default: DefaultBackupURL where
	// BaseURL is DefaultBaseURL, else none. The same as BaseURL means none.
	BackupURL string
	// ProxyURL is an HTTP proxy (http or https) that calls go through; TLS with the service stays end to
	// end. It may hold a user and a password, which are not shown. The certificate of an https proxy is
	// verified with RootCAs, and it may ask for the merchant's. Default: none; the environment is not looked at.
	ProxyURL string
	// Timeout bounds one call to one host; the TCP connection and the TLS handshake get a third of it each.
	// Default: DefaultTimeout.
	Timeout time.Duration
	// TotalTimeout bounds one method of the Gateway with all its calls: the backup host, the query of a
	// refusal, the pages of a list. It must not be shorter than Timeout. Default: DefaultTotalTimeout, or twice
	// Timeout where that is longer.
	TotalTimeout time.Duration
	// WrapTransport wraps the HTTP transport, once, for tracing and metrics. What it wraps verifies
	// TLS. The wrapper sees signed bodies: it must not log them. It must be safe for concurrent
	// use. It should pass on the request's context and body, by which the Gateway counts how often
	// a request was sent: a refusal of what may have been sent twice is no [refund.OutcomeDeclined]
	// but an error. Default: none.
	WrapTransport func(http.RoundTripper) http.RoundTripper
	// RefundRate and QueryRate bound the HTTP requests per second of the Gateway, all its methods together;
	// what comes faster waits, for up to half of the time that its caller and TotalTimeout allow, and is a
	// [*refund.BusyError] where that is too short: nothing was sent then. Several processes have a rate each. Default: DefaultRefundRate and
	// DefaultQueryRate. Negative means no bound.
	RefundRate float64
	QueryRate  float64
	// Limits are what the Gateway declares as its [refund.Limits]. Default: MaxRefunds, MaxAge, MinInterval.
	Limits *refund.Limits
	// Logger receives one line per call at level Debug, and one per change to BackupURL. Default: none.
	Logger *slog.Logger
	// Now is the clock that certificates of the merchant are judged by, in New and for each new connection.
	// Default: time.Now.
	Now func() time.Time
}

// withDefaults returns c complete, or all its faults joined, each an [*order.InvalidError].
func (c Config) withDefaults() (Config, error) {
	c.Name = or(c.Name, GatewayName)
	c.SignType = or(c.SignType, SignMD5)
	c.OpUserID = or(c.OpUserID, c.MchID)
	c.BaseURL = strings.TrimRight(or(c.BaseURL, DefaultBaseURL), "/")
	c.BackupURL = strings.TrimRight(c.BackupURL, "/")
	if c.BackupURL == "" && c.BaseURL == DefaultBaseURL {
		c.BackupURL = DefaultBackupURL
	}
	c.Timeout = or(c.Timeout, DefaultTimeout)
	c.TotalTimeout = or(c.TotalTimeout, max(DefaultTotalTimeout, 2*c.Timeout))
	c.RefundRate = or(c.RefundRate, DefaultRefundRate)
	c.QueryRate = or(c.QueryRate, DefaultQueryRate)
	if c.Limits == nil {
		c.Limits = &refund.Limits{MaxRefunds: MaxRefunds, MaxAge: MaxAge, MinInterval: MinInterval}
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if c.Logger == nil {
		c.Logger = slog.New(discard{})
	}
	faults := []error{
		checkID("app_id", c.AppID), checkID("mch_id", c.MchID), checkURLs(c),
	}
	if c.MchID != c.OpUserID {
		faults = append(faults, checkID("op_user_id", c.OpUserID))
	}
	if c.SubMchID != "" {
		faults = append(faults, checkID("sub_mch_id", c.SubMchID))
	}
	if c.SubAppID != "" {
		faults = append(faults, checkID("sub_app_id", c.SubAppID))
		if c.SubMchID == "" {
			faults = append(faults, invalid("sub_app_id", "needs sub_mch_id"))
		}
	}
	if len(c.APIKey) != 32 || !plain(c.APIKey, "") {
		faults = append(faults, invalid("api_key", "must be 32 letters and digits, has %d bytes", len(c.APIKey)))
	}
	if c.SignType != SignMD5 && c.SignType != SignHMACSHA256 {
		faults = append(faults, invalid("sign_type", "must be %s or %s", SignMD5, SignHMACSHA256))
	}
	switch c.RefundAccount {
	case RefundAccountDefault, RefundAccountUnsettled, RefundAccountRecharge:
	default:
		faults = append(faults, invalid("refund_account", "not one of the documented values"))
	}
	if c.Timeout < time.Millisecond {
		faults = append(faults, invalid("timeout", "must be at least a millisecond"))
	}
	if c.TotalTimeout < c.Timeout {
		faults = append(faults, invalid("total_timeout", "must not be shorter than timeout"))
	}
	if math.IsNaN(c.RefundRate) {
		faults = append(faults, invalid("refund_rate", "must be a number"))
	}
	if math.IsNaN(c.QueryRate) {
		faults = append(faults, invalid("query_rate", "must be a number"))
	}
	if l := c.Limits; l.MaxRefunds < 0 || l.MaxAge < 0 || l.MinInterval < 0 {
		faults = append(faults, invalid("limits", "must not be negative"))
	}
	return c, errors.Join(faults...)
}

func checkID(field, id string) error {
	if id == "" || len(id) > 32 || !plain(id, "_-") {
		return invalid(field, "must be 1 to 32 letters, digits, _ and -")
	}
	return nil
}

func checkURLs(c Config) error {
	faults := []error{checkHost("base_url", c.BaseURL)}
	if c.BackupURL != "" {
		faults = append(faults, checkHost("backup_url", c.BackupURL))
	}
	if c.ProxyURL != "" {
		u, err := url.Parse(c.ProxyURL) // its error quotes the password
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			faults = append(faults, invalid("proxy_url", "must be an http or https address"))
		}
	}
	if c.NotifyURL != "" {
		u, err := url.Parse(c.NotifyURL)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" ||
			u.User != nil || strings.ContainsAny(c.NotifyURL, "?#") || len(c.NotifyURL) > 256 || !printable(c.NotifyURL) {
			faults = append(faults, invalid("notify_url", "must be an absolute URL of plain ASCII without user and query, at most 256 bytes"))
		}
	}
	return errors.Join(faults...)
}

func checkHost(field, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(address, "?#") ||
		!printable(address) || len(u.Port()) > 5 {
		return invalid(field, "must be an https address without user, query and fragment")
	}
	return nil
}

// hosts are the addresses to call, in this order.
func (c Config) hosts() []string {
	if c.BackupURL == "" || sameHost(c.BackupURL, c.BaseURL) {
		return []string{c.BaseURL}
	}
	return []string{c.BaseURL, c.BackupURL}
}

// sameHost compares two addresses as they are called.
func sameHost(a, b string) bool {
	plain := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return address
		}
		return strings.ToLower(u.Hostname()) + ":" + or(u.Port(), "443") + u.Path
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

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
