package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/refund"
)

type config struct {
	Addr, DSN string
	// Account is empty if the simulator is used.
	Account wechatv2.Config
	// Refunds are the Service's options. The defaults suit a real shop; tests use shorter times.
	Refunds refund.Options
	// Paid reports a payment to the simulator. It is nil with a real account.
	Paid func(orderID string, total int64) error
}

// parse reads the flags and the environment. The API key comes from the environment only, because
// everybody on a machine can read the arguments of a program. A DSN with a password should too.
func parse(args []string, getenv func(string) string, out io.Writer) (config, error) {
	c := config{Account: wechatv2.Config{
		APIKey: getenv("WECHAT_API_KEY"), SignType: wechatv2.SignHMACSHA256,
	}}
	var caFile string
	fs := flag.NewFlagSet("shop", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&c.Addr, "addr", "127.0.0.1:8080", "address to listen on")
	fs.StringVar(&c.DSN, "dsn", "", "a file for SQLite, postgres://… or user:password@tcp(host:port)/name (SHOP_DSN; default shop.db)")
	fs.StringVar(&c.Account.AppID, "appid", getenv("WECHAT_APPID"), "app ID (WECHAT_APPID)")
	fs.StringVar(&c.Account.MchID, "mch-id", getenv("WECHAT_MCH_ID"), "merchant number (WECHAT_MCH_ID)")
	fs.StringVar(&c.Account.P12File, "p12-file", getenv("WECHAT_P12_FILE"), "apiclient_cert.p12 (WECHAT_P12_FILE)")
	fs.StringVar(&c.Account.NotifyURL, "notify-url", getenv("WECHAT_NOTIFY_URL"),
		"this shop's "+notifyPath+" URL for WeChat Pay (WECHAT_NOTIFY_URL)")
	fs.StringVar(&c.Account.BaseURL, "base-url", getenv("WECHAT_BASE_URL"), "URL of a simulator to use instead of WeChat Pay (WECHAT_BASE_URL)")
	fs.StringVar(&caFile, "ca-file", getenv("WECHAT_CA_FILE"), "CA certificate of the simulator (WECHAT_CA_FILE)")
	fs.Usage = func() {
		fmt.Fprintln(out, "Without an account the shop starts a simulator of WeChat Pay. With an account it refunds real money;")
		fmt.Fprintln(out, "then it needs -appid, -mch-id, -p12-file, and the API key in the environment variable WECHAT_API_KEY.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	c.DSN = cmp.Or(c.DSN, getenv("SHOP_DSN"), "shop.db") // not as the flag's default, because -h prints that
	if caFile != "" {
		pem, err := os.ReadFile(caFile) //nolint:gosec // whoever starts the shop names the file
		if err != nil {
			return c, err
		}
		if c.Account.RootCAs = x509.NewCertPool(); !c.Account.RootCAs.AppendCertsFromPEM(pem) {
			return c, fmt.Errorf("%s holds no certificate", caFile)
		}
	}
	return c, c.complete()
}

// real reports whether there is an account.
func (c config) real() bool { return c.Account.MchID != "" }

// complete returns an error if the account is incomplete. The shop must not use the simulator then.
func (c config) complete() error {
	a := c.Account
	given := map[string]bool{
		"-appid": a.AppID != "", "-mch-id": a.MchID != "", "WECHAT_API_KEY": a.APIKey != "", "-p12-file": a.P12File != "",
	}
	var errs []error
	some := a.BaseURL != "" || a.NotifyURL != "" || a.RootCAs != nil
	for _, is := range given {
		some = some || is
	}
	for _, name := range []string{"-appid", "-mch-id", "WECHAT_API_KEY", "-p12-file"} {
		if some && !given[name] {
			errs = append(errs, fmt.Errorf("account: missing %s", name))
		}
	}
	host, _, err := net.SplitHostPort(c.Addr)
	isLocal := err == nil && net.ParseIP(host).IsLoopback()
	if c.real() && a.BaseURL == "" && !isLocal {
		// X-Buyer and X-Staff replace the shop's authentication, so anybody who can connect can
		// refund real money.
		errs = append(errs, errors.New("with a real account -addr must be a loopback address, for example 127.0.0.1:8080"))
	}
	return errors.Join(errs...)
}

// provider describes where refunds go, for the line that the shop prints at the start.
func (c config) provider() string {
	if c.Account.BaseURL == "" {
		return "https://api.mch.weixin.qq.com (REAL MONEY)"
	}
	return c.Account.BaseURL + " (simulated)"
}
