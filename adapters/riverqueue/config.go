package riverqueue

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

const (
	// callTimeout is the default of Options.CallTimeout.
	callTimeout = 10 * time.Second
	// spare is the time for the transactions of a job, in addition to its calls.
	spare = 3 * time.Second
	// sweepEvery is how often a client with Config sweeps.
	sweepEvery = 30 * time.Second
	// sweepLimit is the limit of each sweep. The refunds that are due for the longest time come
	// first. Process moves a refund to the end, so each refund comes first at some time. The
	// backlog of one gateway hides no refund of another.
	sweepLimit = 500
	// maxWorkers is how many refunds one client processes at a time, in each of its queues.
	maxWorkers = 10
)

// Options are the optional parts of [Config]. The zero value is ready for use.
type Options struct {
	// CallTimeout is the CallTimeout of refund.Options. A job is cancelled a little later. If zero,
	// 10 s.
	CallTimeout time.Duration
	// Now is the clock of the service. If nil, time.Now.
	Now func() time.Time
	// Logger receives the records that the package documentation lists. If nil, slog.Default().
	Logger *slog.Logger
}

// Config returns the configuration of a client that processes the refunds of svc. Its time-outs
// rescue the job of a killed process. Its Workers contain those of the refunds and of the sweep,
// its PeriodicJobs contain the sweep, and its Queues contain [Queue] and the queues of the [Lanes]
// of s, with 10 workers each. The host may change it before it makes the client, and add workers of
// its own to its Workers. The error is an [*order.InvalidError].
func Config[TTx any](
	svc *refund.Service, s *Scheduler[TTx], opts Options,
) (*river.Config, error) {
	w, err := newWorker(svc, opts)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, &order.InvalidError{Field: "scheduler", Problem: "is nil"}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	river.AddWorker(workers, river.WorkFunc(func(
		ctx context.Context, _ *river.Job[sweepArgs],
	) error {
		found, err := s.sweep(ctx, w.svc, sweepLimit)
		if found > 0 {
			w.log.LogAttrs(ctx, slog.LevelInfo, "due refunds had no job, or one that slept",
				slog.Int("count", found))
		}
		return err
	}))
	sweep := river.NewPeriodicJob(river.PeriodicInterval(sweepEvery),
		func() (river.JobArgs, *river.InsertOpts) { return sweepArgs{}, nil },
		&river.PeriodicJobOpts{ID: sweepArgs{}.Kind(), RunOnStart: true})
	queues := map[string]river.QueueConfig{}
	for _, name := range s.lanes.queues() {
		queues[name] = river.QueueConfig{MaxWorkers: maxWorkers}
	}
	return &river.Config{
		JobTimeout:           w.Timeout(nil),
		PeriodicJobs:         []*river.PeriodicJob{sweep},
		Queues:               queues,
		RescueStuckJobsAfter: w.Timeout(nil) + 2*time.Second,
		Workers:              workers,
	}, nil
}
