package killtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// Options configure [Run]. Database is required. DSN is required unless Database is SQLite.
type Options struct {
	// Database is the kind of database.
	Database sqlstore.Dialect
	// DSN is the database server, with a user who may create a schema (PostgreSQL) or a database
	// (MySQL). SQLite does not use it.
	DSN string
	// Engine processes the refunds. The workers must be started with the same one. The zero value
	// is adapters/poller.
	Engine Engine
	// Orders is the number of orders with refunds. If zero, 2000.
	Orders int
	// Workers is the number of worker processes. If zero, 4. It is always 1 for SQLite.
	Workers int
	// For limits the run. A refund that has not ended by then counts as lost. If zero, 10 min.
	For time.Duration
	// KillEvery is the mean time between two kills. If zero, 300 ms.
	KillEvery time.Duration
	// Kills is the most kills. If zero, there is no limit.
	Kills int64
	// Seed is the seed of the random choices.
	Seed uint64
	// Midway is called once when half of the refunds have ended, for example to restart the
	// database. If nil, nothing is called.
	Midway func(ctx context.Context) error
	// Out receives a line of progress every few seconds, and the standard error of the workers. If
	// nil, both are discarded.
	Out io.Writer
	// Now is the clock that measures the run. If nil, time.Now.
	Now func() time.Time
}

func (o *Options) complete() error {
	switch o.Database {
	case sqlstore.SQLite:
		o.Workers = 1 // SQLite is for a shop of one process
	case sqlstore.PostgreSQL, sqlstore.MySQL:
		if o.DSN == "" {
			return errors.New("a DSN is required")
		}
	default:
		return fmt.Errorf("database %q: want sqlite, postgresql or mysql", o.Database)
	}
	if o.Orders < 0 || o.Workers < 0 || o.For < 0 || o.KillEvery < 0 || o.Kills < 0 {
		return errors.New("no option may be negative")
	}
	orDefault(&o.Orders, 2000)
	orDefault(&o.Workers, 4)
	orDefault(&o.For, 10*time.Minute)
	orDefault(&o.KillEvery, 300*time.Millisecond)
	o.Engine = o.Engine.orPoller()
	if o.Out == nil {
		o.Out = io.Discard
	}
	o.Out = &oneByOne{w: o.Out}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	return nil
}

// oneByOne lets the driver and all workers write to w, one at a time.
type oneByOne struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (o *oneByOne) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
