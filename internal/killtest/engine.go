package killtest

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// The times of every [Shop]. They are short, so that the work of a killed worker resumes soon, and
// long enough for a TLS handshake on a busy machine.
const (
	CallTimeout = 2 * time.Second
	Lease       = 2500 * time.Millisecond
)

// Engine processes the refunds in the workers until they end. The zero value is adapters/poller.
type Engine struct {
	// Name is the engine's name in the report.
	Name string
	// Migrate makes the engine's tables. If nil, the engine has none.
	Migrate func(ctx context.Context, s *Shop) error
	// Scheduler makes the Scheduler of refund.Options, in the driver and in the workers; s has no
	// Service yet. If nil, there is no Scheduler.
	Scheduler func(s *Shop) (refund.Scheduler, error)
	// Work processes refunds until ctx ends, and then finishes those in flight. An error ends the
	// run.
	Work func(ctx context.Context, s *Shop) error
}

// Shop holds the parts of the module that the driver and each worker use.
type Shop struct {
	DSN     string
	DB      *sql.DB
	Store   *sqlstore.Store
	Service *refund.Service
}

func (e Engine) orPoller() Engine {
	if e.Work == nil {
		return Engine{Name: "poller", Work: poll}
	}
	return e
}

func poll(ctx context.Context, s *Shop) error {
	p, err := poller.New(s.Service, poller.Options{
		IdleMin: 20 * time.Millisecond, IdleMax: 200 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- p.Shutdown(ctx)
	}()
	return errors.Join(p.Run(context.WithoutCancel(ctx)), <-stopped)
}
