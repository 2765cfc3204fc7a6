package riverqueue

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// With these in refund.Options, a refund whose process was killed moves again in under a minute, whatever the
// process was doing: 15 s until its job is stuck, 30 s until River looks for such jobs, some seconds to
// take it up.
const (
	CallTimeout = 10 * time.Second
	Lease       = 30 * time.Second
)

const (
	// SweepEvery is how often a client with this Config looks for refunds without a job.
	SweepEvery = 30 * time.Second
	// SweepLimit is how many due refunds it looks at in one go. Those due for the longest time come first, and
	// each Process moves one to the end, so that none is hidden for ever; a backlog of one gateway hides none
	// of another.
	SweepLimit = 500
	// MaxWorkers is how many refunds one client asks about at a time, in each of its queues.
	MaxWorkers = 10
)

// spare is how much longer than its calls a job may take, for its transactions.
const spare = 3 * time.Second

// Config returns the configuration of a client that works the jobs: time-outs after which the job of a killed
// process is rescued, w and the sweep of s among its Workers, the sweep among its PeriodicJobs, and [Queue] and the
// queues of the [Lanes] of s with [MaxWorkers] each. The host changes what it likes, and adds what is its own, before it
// makes the client.
func Config[TTx any](w *Worker, s *Scheduler[TTx]) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[SweepArgs]) error {
		found, err := s.Sweep(ctx, w.svc, SweepLimit)
		if found > 0 {
			w.log.LogAttrs(ctx, slog.LevelInfo, "due refunds had no job, or one that slept", slog.Int("count", found))
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
