// Command shop is a small shop with its own tables, into which refunds are embedded as a team would
// do it. Its README has the commands to play with; the files, in the order to read them:
//
//	wire.go       what is put together, by google/wire; options.go has the shop's own pieces
//	shop.go       orders, stock and refunds: the shop's rows and orderfsm's in one transaction
//	hooks.go      what happens in the shop when a refund moves
//	outbox.go     how the buyer is told
//	buyer.go      the buyer's endpoints; staff.go those of the merchant; web.go and errors.go what they share
//	serve.go      starting and stopping
//	database.go   one database of three kinds; schema.go the shop's tables
//	config.go     flags and the merchant's account; simulator.go what stands in for WeChat Pay without one
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	cfg, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	if err == nil {
		err = run(ctx, cfg, os.Stdout)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run opens the shop and keeps it open until ctx ends.
func run(ctx context.Context, cfg config, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	var sim *simulator
	if !cfg.real() {
		//nolint:contextcheck // the simulator's life ends with Close
		if sim, err = simulate(&cfg, "http://"+ln.Addr().String()+notifyPath); err != nil {
			return err
		}
		defer sim.Close()
	}
	a, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer a.DB.Close()
	if sim != nil {
		if err := sim.recall(ctx, a); err != nil {
			return err
		}
		defer sim.notify()() //nolint:contextcheck // until the shop has stopped, and not only until it begins to
	}
	fmt.Fprintf(out, "shop: http://%s, %s, WeChat Pay at %s\n", ln.Addr(), a.DB.Dialect, cfg.provider())
	return serve(ctx, a, ln)
}
