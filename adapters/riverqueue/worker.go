package riverqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

const (
	// again is how long a job sleeps after a step that could not be made.
	again = 10 * time.Second
	// hold is how long one sleeps whose refund is due at once: a Backoff of nothing is not meant to hammer.
	hold = time.Second
)

var _ river.Worker[Args] = (*Worker)(nil)

// Options are the optional parts of a [Worker]. The zero value is ready for use.
type Options struct {
	// CallTimeout is that of refund.Options; a job is cancelled a little later. If zero, [CallTimeout].
	CallTimeout time.Duration
	// Now is the clock of the service. If nil, time.Now.
	Now func() time.Time
	// Logger receives the records that the package documentation lists. If nil, slog.Default().
	Logger *slog.Logger
}

// Worker is the [river.Worker] that carries refunds to their end. Make it with [NewWorker]; it is safe for
// concurrent use.
type Worker struct {
	river.WorkerDefaults[Args]
	svc         *refund.Service
	callTimeout time.Duration
	now         func() time.Time
	log         *slog.Logger
	backoff     refund.Backoff
}

// NewWorker returns a Worker for the refunds of svc. The error is an [*order.InvalidError].
func NewWorker(svc *refund.Service, opts Options) (*Worker, error) {
	if svc == nil {
		return nil, &order.InvalidError{Field: "service", Problem: "is nil"}
	}
	if opts.CallTimeout < 0 {
		return nil, &order.InvalidError{Field: "call_timeout", Problem: "must not be negative"}
	}
	if opts.CallTimeout == 0 {
		opts.CallTimeout = CallTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now //nolint:forbidigo // the one place where the wall clock comes in
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Worker{
		svc: svc, callTimeout: opts.CallTimeout, now: opts.Now, log: opts.Logger,
		backoff: refund.ExponentialBackoff(time.Second, 30*time.Second),
	}, nil
}

// Work implements [river.Worker]: one step of the refund. The job completes where the refund is not approved any
// more, is cancelled where there is no such refund, and sleeps in all other cases.
func (w *Worker) Work(ctx context.Context, job *river.Job[Args]) error {
	ref := job.Args.ref()
	ahead := time.Duration(0)
	if job.AttemptedAt != nil {
		// How far the database's clock is ahead of ours, at least. River reckons by ours when a job wakes, and
		// fetches by the database's: the job would come at once, again and again.
		ahead = max(0, job.AttemptedAt.Sub(w.now()))
	}
	next, stack, err := w.process(ctx, ref)
	switch {
	case stack != nil:
		return w.troubled(ctx, ref, err, slog.String("stack", string(stack)))
	case errors.Is(err, refund.ErrOrderNotFound), errors.Is(err, refund.ErrRefundNotFound):
		return river.JobCancel(err) // were it to come back, the sweep would find it
	case err != nil:
		return w.troubled(ctx, ref, err)
	case next.State != order.StateApproved:
		return nil
	}
	wait := next.At.Sub(w.now())
	if wait <= 0 {
		wait = hold
	}
	return river.JobSnooze(wait + ahead)
}

// errEnded is the error of Work if the host's code ended the goroutine that it ran in.
var errEnded = errors.New("runtime.Goexit was called")

// process calls Process in a goroutine of its own. Code of the host that panics has a stack, and
// code that ends its goroutine ends none of River's, which would never report the job.
func (w *Worker) process(
	ctx context.Context, ref refund.Ref,
) (next refund.ProcessResult, stack []byte, err error) {
	err = errEnded
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				stack, err = debug.Stack(), fmt.Errorf("panic: %v", p)
			}
		}()
		next, err = w.svc.Process(ctx, ref)
	}()
	<-done
	return next, stack, err
}

// troubled has the job sleep. An error would count as one of River's attempts, which end.
func (w *Worker) troubled(ctx context.Context, ref refund.Ref, err error, more ...slog.Attr) error {
	w.log.LogAttrs(ctx, slog.LevelError, "refund could not be processed", append(more,
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo), slog.Any("error", err))...)
	return river.JobSnooze(again)
}

// Timeout implements [river.Worker]: longer than the calls to the provider within one step.
func (w *Worker) Timeout(*river.Job[Args]) time.Duration { return w.callTimeout + spare }

// NextRetry implements [river.Worker]. It is for what fails outside of Work, and for jobs whose process was
// killed: within seconds, because the lease of the refund is what keeps calls apart.
func (w *Worker) NextRetry(job *river.Job[Args]) time.Time {
	return time.Now().Add(w.backoff("", job.Attempt)) //nolint:forbidigo // River's clock
}
