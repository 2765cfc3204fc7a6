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
	// errorSleep is how long a job sleeps after Process failed.
	errorSleep = 10 * time.Second
	// minSleep is how long a job sleeps if its refund is due at once, because its Backoff is zero,
	// or if its client stops. A client that runs can fetch it without River's scheduler.
	minSleep = time.Second
)

var _ river.Worker[refundArgs] = (*worker)(nil)

// worker is the [river.Worker] that processes refunds. Make it with newWorker; it is safe for
// concurrent use.
type worker struct {
	river.WorkerDefaults[refundArgs]
	svc         *refund.Service
	callTimeout time.Duration
	now         func() time.Time
	log         *slog.Logger
	backoff     refund.Backoff
}

// newWorker returns a worker for the refunds of svc. The error is an [*order.InvalidError].
func newWorker(svc *refund.Service, opts Options) (*worker, error) {
	if svc == nil {
		return nil, &order.InvalidError{Field: "service", Problem: "is nil"}
	}
	if opts.CallTimeout < 0 {
		return nil, &order.InvalidError{Field: "call_timeout", Problem: "must not be negative"}
	}
	if opts.CallTimeout == 0 {
		opts.CallTimeout = callTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now //nolint:forbidigo // the one place where the wall clock is the default
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &worker{
		svc: svc, callTimeout: opts.CallTimeout, now: opts.Now, log: opts.Logger,
		backoff: refund.ExponentialBackoff(time.Second, 30*time.Second),
	}, nil
}

// Work implements [river.Worker]. It calls Process once. The job completes if the refund is not
// approved any more, is cancelled if the refund does not exist, and sleeps in all other cases.
func (w *worker) Work(ctx context.Context, job *river.Job[refundArgs]) error {
	ref := job.Args.Ref
	ahead := time.Duration(0)
	if job.AttemptedAt != nil {
		// The database's clock is at least that far ahead of ours. River computes the end of the
		// sleep by our clock and fetches by the database's clock, so without this the job would
		// come back at once, again and again.
		ahead = max(0, job.AttemptedAt.Sub(w.now()))
	}
	next, stack, err := w.process(ctx, ref)
	switch {
	case stack != nil:
		return w.sleepAfter(ctx, ref, err, slog.String("stack", string(stack)))
	case errors.Is(err, refund.ErrOrderNotFound), errors.Is(err, order.ErrRefundNotFound):
		return river.JobCancel(err) // if the refund comes back, the sweep finds it
	case err != nil && errors.Is(ctx.Err(), context.Canceled): // this client is stopping
		return river.JobSnooze(minSleep)
	case err != nil:
		return w.sleepAfter(ctx, ref, err)
	case next.State != order.StateApproved:
		return nil
	}
	wait := next.At.Sub(w.now())
	if wait <= 0 {
		wait = minSleep
	}
	return river.JobSnooze(wait + ahead)
}

// errGoexit is the error of a refund if code of the host ended the goroutine that processed it.
var errGoexit = errors.New("runtime.Goexit was called")

// process calls Process in a new goroutine. If code of the host ends its goroutine, it does not end
// River's goroutine, which would then never report the job. If code of the host panics, process
// returns the stack.
func (w *worker) process(
	ctx context.Context, ref refund.Ref,
) (next refund.ProcessResult, stack []byte, err error) {
	err = errGoexit
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

// sleepAfter logs err and lets the job sleep. If Work returned the error, it would use up one of
// River's attempts.
func (w *worker) sleepAfter(
	ctx context.Context, ref refund.Ref, err error, more ...slog.Attr,
) error {
	w.log.LogAttrs(ctx, slog.LevelError, "refund could not be processed", append(more,
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
		slog.Any("error", err))...)
	return river.JobSnooze(errorSleep)
}

// Timeout implements [river.Worker]. It is longer than the calls to the provider in one Process.
func (w *worker) Timeout(*river.Job[refundArgs]) time.Duration { return w.callTimeout + spare }

// NextRetry implements [river.Worker]. It applies to errors outside of Work and to jobs whose
// process was killed. It returns a time within seconds, because the lease of the refund keeps calls
// apart.
func (w *worker) NextRetry(job *river.Job[refundArgs]) time.Time {
	return time.Now().Add(w.backoff("", job.Attempt)) //nolint:forbidigo // River's clock
}
