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

// Options say what [Run] does. Database is required, and DSN unless it is SQLite.
type Options struct {
	// Database is the kind of database.
	Database sqlstore.Dialect
	// DSN is how to reach the server as somebody who may create a schema (PostgreSQL) or a database
	// (MySQL). SQLite makes its file.
	DSN string
	// Engine is that of the workers, which must be started with the same. The zero value is
	// adapters/poller.
	Engine Engine
	// Orders is how many orders have refunds. If zero, 2000.
	Orders int
	// Workers is how many processes work at the same time. If zero, 4; for SQLite always 1.
	Workers int
	// For is when to give up: a refund that has not ended by then is lost. If zero, 10 min.
	For time.Duration
	// KillEvery is the mean time between two kills. If zero, 300 ms.
	KillEvery time.Duration
	// Kills is after how many kills there are no more. If zero, they go on to the end.
	Kills int64
	// Seed is that of the dice.
	Seed uint64
	// Midway, where not nil, is called once, when half of the refunds are paid: to restart the
	// database.
	Midway func(ctx context.Context) error
	// Out gets a line of progress every few seconds, and what the workers write to their standard
	// error. If nil, nobody does.
	Out io.Writer
	// Now is the clock that the run is measured by. If nil, time.Now.
	Now func() time.Time
}

func (o *Options) complete() error {
	switch o.Database {
	case sqlstore.SQLite:
		o.Workers = 1 // what the database is for: one process of the shop
	case sqlstore.PostgreSQL, sqlstore.MySQL:
		if o.DSN == "" {
			return errors.New("a DSN is required")
		}
	default:
		return fmt.Errorf("database %q: want sqlite, postgresql or mysql", o.Database)
	}
	if o.Orders < 0 || o.Workers < 0 || o.For < 0 || o.KillEvery < 0 || o.Kills < 0 {
		return errors.New("nothing may be negative")
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

// oneByOne is a writer for the driver and all its workers.
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
