package riverqueue

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// With these values in refund.Options, a refund whose process was killed is processed again in
// under a minute: its job is stuck after 15 s, River looks for such jobs every 30 s, and it takes
// some seconds to start the job.
const (
	CallTimeout = 10 * time.Second
	Lease       = 30 * time.Second
)

const (
	// SweepEvery is how often a client with Config sweeps.
	SweepEvery = 30 * time.Second
	// SweepLimit is the limit of each sweep. The refunds that are due for the longest time come
	// first. Process moves a refund to the end, so each refund comes first at some time. The
	// backlog of one gateway hides no refund of another.
	SweepLimit = 500
	// MaxWorkers is how many refunds one client processes at a time, in each of its queues.
	MaxWorkers = 10
)

// spare is the time for the transactions of a job, in addition to its calls.
const spare = 3 * time.Second

// Config returns the configuration of a client that works the jobs. Its time-outs rescue the job of
// a killed process. Its Workers contain w and the sweep of s, its PeriodicJobs contain the sweep,
// and its Queues contain [Queue] and the queues of the [Lanes] of s with [MaxWorkers] each. The
// host may change it before it makes the client.
func Config[TTx any](w *Worker, s *Scheduler[TTx]) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	river.AddWorker(workers, river.WorkFunc(func(
		ctx context.Context, _ *river.Job[SweepArgs],
	) error {
		found, err := s.Sweep(ctx, w.svc, SweepLimit)
		if found > 0 {
			w.log.LogAttrs(ctx, slog.LevelInfo, "due refunds had no job, or one that slept",
				slog.Int("count", found))
		}
		return err
	}))
	sweep := river.NewPeriodicJob(river.PeriodicInterval(SweepEvery),
		func() (river.JobArgs, *river.InsertOpts) { return SweepArgs{}, nil },
		&river.PeriodicJobOpts{ID: SweepArgs{}.Kind(), RunOnStart: true})
	queues := map[string]river.QueueConfig{}
	for _, name := range s.lanes.queues() {
		queues[name] = river.QueueConfig{MaxWorkers: MaxWorkers}
	}
	return &river.Config{
		JobTimeout:           w.Timeout(nil),
		PeriodicJobs:         []*river.PeriodicJob{sweep},
		Queues:               queues,
		RescueStuckJobsAfter: w.Timeout(nil) + 2*time.Second,
		Workers:              workers,
	}
}
