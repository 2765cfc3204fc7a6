package main

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/killtest"
	"github.com/orderfsm/orderfsm/refund"
)

// engine is River with the Config of package riverqueue and the short times of a run.
func engine() killtest.Engine {
	return killtest.Engine{
		Name: "river", Migrate: migrate, Work: work,
		Scheduler: func(s *killtest.Shop) (refund.Scheduler, error) { return newScheduler(s) },
	}
}

func migrate(ctx context.Context, s *killtest.Shop) error {
	m, err := rivermigrate.New(riverdatabasesql.New(s.DB), &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func newScheduler(s *killtest.Shop) (*riverqueue.Scheduler[*sql.Tx], error) {
	inserter, err := river.NewClient(riverdatabasesql.New(s.DB), &river.Config{Logger: quiet()})
	if err != nil {
		return nil, err
	}
	return riverqueue.NewScheduler(inserter, sqlstore.TxFrom, riverqueue.Lanes{})
}

func work(ctx context.Context, s *killtest.Shop) error {
	scheduler, err := newScheduler(s)
	if err != nil {
		return err
	}
	config, err := riverqueue.Config(s.Service, scheduler, riverqueue.Options{
		CallTimeout: killtest.CallTimeout, Logger: quiet(),
	})
	if err != nil {
		return err
	}
	config.FetchPollInterval, config.Logger = 200*time.Millisecond, quiet()
	// as many as a Poller has in flight
	config.Queues[riverqueue.Queue] = river.QueueConfig{MaxWorkers: 6}
	client, err := river.NewClient(riverdatabasesql.New(s.DB), config)
	if err != nil {
		return err
	}
	// Start fails while the database is down. In a host the supervisor starts it again.
	for client.Start(context.WithoutCancel(ctx)) != nil {
		select {
		case <-time.NewTimer(100 * time.Millisecond).C:
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return client.Stop(stopping)
}

// quiet drops errors too, because a run causes them on purpose.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		Level: slog.LevelError + 1,
	}))
}
