package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// app holds the parts that newApp makes.
type app struct {
	DB      *database
	Shop    *shop
	Store   *sqlstore.Store
	Service *refund.Service
	Poller  *poller.Poller
	Outbox  *outbox
	Web     http.Handler
}

// open makes the app and migrates the tables of orderfsm and of the shop.
func open(ctx context.Context, cfg config, log *slog.Logger) (*app, error) {
	db, err := openDatabase(cfg.DSN)
	if err != nil {
		return nil, err
	}
	a, err := newApp(cfg, db, log)
	if err == nil {
		err = errors.Join(a.Store.Migrate(ctx), db.createTables(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

// stopTimeout limits the requests and the provider calls that are in flight when the shop stops.
const stopTimeout = 30 * time.Second

// serve runs the parts of the shop until ctx ends, and then stops them in order. First it stops the
// HTTP server, then it waits for the calls to the provider. If the process is killed instead,
// nothing is lost.
func serve(ctx context.Context, a *app, ln net.Listener) error {
	// Ctx starts the stop; work ends after it.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler: a.Web, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
	failed := make(chan error, 2)
	var parts sync.WaitGroup
	start := func(part func()) {
		parts.Add(1)
		go func() { defer parts.Done(); part() }()
	}
	start(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	start(func() {
		if err := a.Poller.Run(work); err != nil {
			failed <- err
		}
	})
	start(func() { a.Outbox.run(work) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop, cancel := context.WithTimeout(work, stopTimeout)
	defer cancel()
	err = errors.Join(err, server.Shutdown(stop), a.Poller.Shutdown(stop))
	cut()
	parts.Wait()
	return err
}
