// Command wechatpay-sim runs the WeChat Pay v2 simulator as a program, for a shop in any language.
//
//	go run github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest/cmd/wechatpay-sim -order ORD-1=10000
//
// It prints the shop's settings as lines of NAME=value and runs until it is interrupted. The
// settings are the address of the service (WECHAT_BASE_URL) and of the control (CONTROL_URL), the
// merchant's WECHAT_APPID, WECHAT_MCH_ID and WECHAT_API_KEY, and the files of a folder:
// WECHAT_CA_FILE (the authority of the service's certificate), WECHAT_CERT_FILE, WECHAT_KEY_FILE
// and WECHAT_P12_FILE, whose password is the merchant's number.
//
// Its clock starts at the real time and may run faster (-speed). By this clock it sends
// notifications on WeChat Pay's schedule.
//
// # Control
//
// The control accepts JSON over plain HTTP, with amounts in fen:
//
//	POST /orders    {"out_trade_no": "ORD-1", "total_fee": 10000}        a paid order
//	POST /refunds   {"out_trade_no", "out_refund_no", "refund_fee"}      a refund in the merchant's console
//	POST /settle    {"out_refund_no", "refund_status": "CHANGE"}         ends a refund as SUCCESS, REFUNDCLOSE or CHANGE
//	POST /balance   {"fen": 100}                                         the merchant's money
//	POST /advance   {"seconds": 3600}                                    moves the clock
//	POST /faults    {"fault": "lose_answer"}                             breaks the next call
//	POST /faults    {"fault": "err_code", "code": "SYSTEMERROR"}         answers the next call with a code
//	POST /faults    {"fault": "truncate", "path": "/pay/refundquery"}    breaks the next call of that path
//	DELETE /faults                                                       removes the faults that are left
//	GET  /ledger                                                         every refund, and its payments
//
// It has no authentication and listens on the loopback interface only.
//
// The faults are lose_answer (paid, and no answer), fail_before (not paid, and no answer),
// status_502, truncate, wrong_sign, not_found_once, ends_as_change, ends_as_closed, err_code and
// err_code_executed.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "wechatpay-sim:", err)
		os.Exit(1)
	}
}

type settings struct {
	options wechattest.Options
	balance int64
	control string
	dir     string
	speed   float64
	orders  []wechattest.Order
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("wechatpay-sim", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&s.options.Addr, "addr", "127.0.0.1:0",
		"address of the service, on the loopback interface")
	fs.StringVar(&s.control, "control", "127.0.0.1:0",
		"address of the control, on the loopback interface")
	fs.StringVar(&s.dir, "dir", "",
		"folder for the certificates; if empty, a new one that is removed at the end")
	fs.StringVar(&s.options.AppID, "appid", "", "application; if empty, an invented one")
	fs.StringVar(&s.options.MchID, "mch-id", "", "merchant; if empty, an invented one")
	fs.StringVar(&s.options.SubMchID, "sub-mch-id", "",
		"sub-merchant; turns on the service-provider mode")
	fs.StringVar(&s.options.SubAppID, "sub-appid", "", "application of the sub-merchant")
	fs.StringVar(&s.options.NotifyURL, "notify-url", "",
		"address for the notifications of refunds that name none")
	fs.DurationVar(&s.options.SettleAfter, "settle-after", 0, "how long a refund is PROCESSING")
	fs.DurationVar(&s.options.Spacing, "spacing", 0, "least time between refunds of one order")
	fs.Int64Var(&s.balance, "balance", 0, "the merchant's money in fen; if 0, 100 million yuan")
	fs.Float64Var(&s.speed, "speed", 1, "how many times faster than real time the clock runs")
	fs.Func("order", "a paid order, `number=fen`; may be repeated", func(v string) error {
		number, fen, _ := strings.Cut(v, "=")
		total, err := strconv.ParseInt(fen, 10, 64)
		s.orders = append(s.orders, wechattest.Order{OutTradeNo: number, TotalFee: total})
		return err
	})
	err := fs.Parse(args)
	switch {
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case s.speed <= 0:
		err = errors.New("-speed must be greater than 0")
	}
	return s, err
}

// tick is how often run looks for notifications to send.
const tick = 200 * time.Millisecond

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	start := time.Now()
	s.options.Now = func() time.Time {
		return start.Add(time.Duration(float64(time.Since(start)) * s.speed))
	}
	srv, err := wechattest.NewServer(s.options)
	if err != nil {
		return err
	}
	defer srv.Close()
	if s.balance != 0 {
		srv.SetBalance(s.balance)
	}
	for _, o := range s.orders {
		if err := srv.AddOrder(o); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(s.control)
	if err != nil || host != "127.0.0.1" && host != "localhost" {
		return fmt.Errorf("control at %q: must be a port of 127.0.0.1 or localhost", s.control)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.control)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	control := &http.Server{Handler: newControl(srv), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ln); close(ended) }()
	defer func() {
		_ = control.Close() // no call is worth waiting for
		for range ended {
		}
	}()
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "wechatpay-sim-"); err != nil {
			return fmt.Errorf("make a folder for the certificates: %w", err)
		}
		defer os.RemoveAll(s.dir)
	}
	if err := announce(out, srv, "http://"+ln.Addr().String(), s.dir); err != nil {
		return err
	}
	return deliver(ctx, srv, out, ended)
}

// deliver sends notifications until ctx or the control ends.
func deliver(ctx context.Context, srv *wechattest.Server, out io.Writer, ended <-chan error) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		for _, d := range srv.Deliver(ctx) {
			result := "acknowledged"
			if d.Err != nil {
				result = d.Err.Error()
			}
			fmt.Fprintf(out, "# notification of %s, %s, attempt %d: %s\n",
				d.OutRefundNo, d.Status, d.Attempt, result)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return fmt.Errorf("serve the control: %w", err)
		case <-ticker.C:
		}
	}
}

// announce writes the certificates and prints the shop's settings.
func announce(out io.Writer, srv *wechattest.Server, control, dir string) error {
	cfg := srv.Config()
	p12, err := pkcs12Of(cfg)
	if err != nil {
		return err
	}
	lines := []string{
		"WECHAT_BASE_URL=" + cfg.BaseURL, "CONTROL_URL=" + control,
		"WECHAT_APPID=" + cfg.AppID, "WECHAT_MCH_ID=" + cfg.MchID,
		"WECHAT_API_KEY=" + cfg.APIKey,
	}
	for _, f := range []struct {
		name, file string
		data       []byte
	}{
		{"WECHAT_CA_FILE", "ca.pem", srv.CACertPEM()},
		{"WECHAT_CERT_FILE", "apiclient_cert.pem", cfg.CertPEM},
		{"WECHAT_KEY_FILE", "apiclient_key.pem", cfg.KeyPEM},
		{"WECHAT_P12_FILE", "apiclient_cert.p12", p12},
	} {
		path := filepath.Join(dir, f.file)
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			return fmt.Errorf("write the certificates: %w", err)
		}
		lines = append(lines, f.name+"="+path)
	}
	_, err = fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// pkcs12Of returns the merchant's certificate in the form of the merchant platform.
func pkcs12Of(cfg wechatv2.Config) ([]byte, error) {
	pair, err := tls.X509KeyPair(cfg.CertPEM, cfg.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the merchant's certificate: %w", err)
	}
	data, err := pkcs12.LegacyDES.Encode(pair.PrivateKey, pair.Leaf, nil, cfg.MchID)
	if err != nil {
		return nil, fmt.Errorf("encode the merchant's certificate: %w", err)
	}
	return data, nil
}
