package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

// run serves /metrics until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("metrics", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", "127.0.0.1:9464", "the `address` that serves /metrics")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	sim, err := wechattest.NewServer(wechattest.Options{}) //nolint:contextcheck // it is closed below
	if err != nil {
		return err
	}
	defer sim.Close()
	s, err := newShop(sim, time.Now)
	if err != nil {
		return err
	}
	defer s.close()

	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintf(out, "http://%s/metrics\n", ln.Addr())

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 3)
	go func() { ended <- srv.Serve(ln) }()
	go func() { ended <- s.poller.Run(ctx) }()
	go func() { ended <- trade(ctx, s) }()

	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = srv.Shutdown(closing)
	for range cap(ended) {
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// trade makes a refund a second until ctx ends.
func trade(ctx context.Context, s *shop) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch {
		case n%7 == 0:
			s.sim.Inject(wechattest.ErrCode("NOTENOUGH", "not enough money", false))
		case n%5 == 0:
			s.sim.Inject(wechattest.LoseAnswer())
		}
		if err := s.refund(ctx, fmt.Sprintf("ORD-%d", n), 100); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
