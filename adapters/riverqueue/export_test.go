package riverqueue

import "context"

// The tests call the worker and the sweep as River does.

type Args = refundArgs

const MaxWorkers = maxWorkers

var NewWorker = newWorker

// Sweep sweeps once.
func (s *Scheduler[TTx]) Sweep(ctx context.Context, due dueLister, limit int) (int, error) {
	return s.sweep(ctx, due, limit)
}
