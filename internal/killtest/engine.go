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

// The times of every [Shop], short, so that what a killed worker leaves is soon taken up, and long
// enough for a handshake on a machine that has much else to do.
const (
	CallTimeout = 2 * time.Second
	Lease       = 2500 * time.Millisecond
)

// Engine is what carries the refunds to their end in the worker processes. The zero value is
// adapters/poller.
type Engine struct {
	// Name is for the report.
	Name string
	// Migrate makes the tables that it has beside the store's. If nil, there are none.
	Migrate func(ctx context.Context, s *Shop) error
	// Scheduler is for refund.Options, in all processes; s has no Service yet. If nil, there is
	// none.
	Scheduler func(s *Shop) (refund.Scheduler, error)
	// Work carries refunds until ctx ends, and then lets what is in flight finish. An error ends
	// the run.
	Work func(ctx context.Context, s *Shop) error
}

// Shop is what the driver and the workers alike have of the module.
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
	p, err := poller.New(s.Service, poller.Options{IdleMin: 20 * time.Millisecond, IdleMax: 200 * time.Millisecond})
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
