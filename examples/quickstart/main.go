// Command quickstart runs refunds through the real WeChat Pay v2 adapter.
//
// Without arguments it starts a simulator of WeChat Pay on this machine and plays six stories over
// mutual TLS. With a merchant account it makes one real refund:
//
//	WECHAT_APPID=… WECHAT_MCH_ID=… WECHAT_API_KEY=… \
//	WECHAT_CERT_FILE=apiclient_cert.pem WECHAT_KEY_FILE=apiclient_key.pem \
//	go run ./examples/quickstart -order ORD-1 -total 100 -amount 30 -refund-no RF-1
//
// Amounts are in fen. The same -refund-no refunds once, however often the command is run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	acc, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if acc.real() {
		return refundForReal(ctx, acc, out)
	}
	return playStories(ctx, out)
}
