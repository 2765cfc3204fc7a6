package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/di"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// account holds what a real refund needs. The API key comes from the environment only, because
// every user of the machine can read arguments.
type account struct {
	appID, mchID, apiKey, certFile, keyFile string
	orderID, refundNo                       string
	total, amount                           int64
}

func parse(args []string, getenv func(string) string, out io.Writer) (account, error) {
	a := account{apiKey: getenv("WECHAT_API_KEY")}
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&a.appID, "appid", getenv("WECHAT_APPID"), "app ID (WECHAT_APPID)")
	fs.StringVar(&a.mchID, "mch-id", getenv("WECHAT_MCH_ID"), "merchant number (WECHAT_MCH_ID)")
	fs.StringVar(&a.certFile, "cert-file", getenv("WECHAT_CERT_FILE"), "apiclient_cert.pem (WECHAT_CERT_FILE)")
	fs.StringVar(&a.keyFile, "key-file", getenv("WECHAT_KEY_FILE"), "apiclient_key.pem (WECHAT_KEY_FILE)")
	fs.StringVar(&a.orderID, "order", "", "order number (out_trade_no) of a paid order")
	fs.Int64Var(&a.total, "total", 0, "what the buyer paid for it, in fen")
	fs.Int64Var(&a.amount, "amount", 0, "what to refund, in fen")
	fs.StringVar(&a.refundNo, "refund-no", "", "number of the refund (out_refund_no), chosen by you")
	fs.Usage = func() {
		fmt.Fprintln(out, "Without arguments: six stories against a simulator. With any of these: one real refund, of real money.")
		fmt.Fprintln(out, "It needs all of them, and the API key in the environment variable WECHAT_API_KEY.")
		fs.PrintDefaults()
	}
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return a, err
}

// real reports whether any part of an account is set.
func (a account) real() bool { return a != account{} }

// missing returns an error that names everything that a real refund still needs.
func (a account) missing() error {
	var errs []error
	for _, f := range []struct {
		ok   bool
		what string
	}{
		{a.appID != "", "app ID: -appid or WECHAT_APPID"},
		{a.mchID != "", "merchant number: -mch-id or WECHAT_MCH_ID"},
		{a.apiKey != "", "API key: WECHAT_API_KEY"},
		{a.certFile != "", "certificate: -cert-file or WECHAT_CERT_FILE"},
		{a.keyFile != "", "its private key: -key-file or WECHAT_KEY_FILE"},
		{a.orderID != "", "order number: -order"},
		{a.refundNo != "", "refund number: -refund-no"},
		{a.total > 0, "total of the order in fen: -total"},
		{a.amount > 0, "amount to refund in fen: -amount"},
	} {
		if !f.ok {
			errs = append(errs, fmt.Errorf("missing %s", f.what))
		}
	}
	for _, file := range []string{a.certFile, a.keyFile} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// refundForReal makes one refund and waits a while for its outcome.
func refundForReal(ctx context.Context, a account, out io.Writer) error {
	if err := a.missing(); err != nil {
		return fmt.Errorf("real account:\n%w", err)
	}
	svc, err := di.NewInMemoryWeChat(wechatv2.Config{
		AppID: a.appID, MchID: a.mchID, APIKey: a.apiKey, CertFile: a.certFile, KeyFile: a.keyFile,
	}, refund.Options{})
	if err != nil {
		return err
	}
	const operator order.Actor = "operator:quickstart"
	if _, err := svc.Register(ctx, refund.RegisterParams{
		OrderID: a.orderID, Gateway: wechatv2.GatewayName, Currency: "CNY", Total: a.total,
	}); err != nil {
		return err
	}
	if _, err := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: a.orderID, RefundNo: a.refundNo}, Amount: a.amount,
		Actor: operator,
	}); err != nil {
		return err
	}
	ref := refund.Ref{OrderID: a.orderID, RefundNo: a.refundNo}
	if _, err := svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: a.orderID, RefundNo: a.refundNo}, Amount: a.amount,
		Actor: operator,
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	state, err := wait(ctx, svc, ref, out)
	if err != nil {
		return err
	}
	o, err := svc.Order(context.WithoutCancel(ctx), a.orderID)
	if err != nil {
		return err
	}
	printTimeline(out, o)
	if state == order.StateApproved {
		fmt.Fprintf(out, "The outcome of %s is not known yet. Run the same command again to ask.\n", a.refundNo)
	}
	return nil
}

// wait processes a refund until it has an outcome or ctx ends.
func wait(
	ctx context.Context, svc *refund.Service, ref refund.Ref, out io.Writer,
) (order.State, error) {
	for {
		next, err := svc.Process(ctx, ref)
		if err != nil {
			return order.StateApproved, err
		}
		if next.Err != nil {
			fmt.Fprintf(out, "outcome unknown: %v\n", next.Err)
		}
		if next.At.IsZero() {
			return next.State, nil
		}
		timer := time.NewTimer(time.Until(next.At))
		select {
		case <-ctx.Done():
			timer.Stop()
			return next.State, nil
		case <-timer.C:
		}
	}
}
