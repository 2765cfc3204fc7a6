// Command shop is a small shop with its own tables that embeds refunds as a team would. Its README
// has commands to try. Read the files in this order:
//
//	wire.go       the parts, connected by google/wire; options.go has the shop's own options
//	shop.go       orders, stock and refunds: the shop's rows and orderfsm's in one transaction
//	hooks.go      what the shop does when a refund changes its state
//	outbox.go     messages to the buyer
//	buyer.go      the buyer's endpoints; staff.go has the merchant's, web.go and errors.go the shared code
//	serve.go      starting and stopping
//	database.go   the database, of one of three kinds; schema.go has the shop's tables
//	config.go     flags and the merchant's account; simulator.go replaces WeChat Pay without an account
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
		//nolint:contextcheck // Close ends the simulator
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
		defer sim.notify()() //nolint:contextcheck // runs until the shop has stopped, which is after ctx ends
	}
	fmt.Fprintf(out, "shop: http://%s, %s, WeChat Pay at %s\n", ln.Addr(), a.DB.Dialect, cfg.provider())
	return serve(ctx, a, ln)
}
