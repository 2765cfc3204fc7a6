package riverqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// ErrNoTx is a command whose context carries no transaction that River could join.
var ErrNoTx = errors.New("the context carries no transaction of River's driver")

// Scheduler is the [refund.Scheduler] that inserts jobs of River. TTx is the transaction of River's driver.
// Make it with [NewScheduler]; it is safe for concurrent use.
type Scheduler[TTx any] struct {
	client *river.Client[TTx]
	txFrom func(ctx context.Context) (TTx, bool)
	lanes  Lanes
}

// NewScheduler returns a Scheduler that inserts with client, which needs neither workers nor queues nor to be
// started. txFrom returns the transaction that the context of an Update carries; it is for stores with
// database/sql sqlstore.TxFrom. The error is an [*order.InvalidError].
func NewScheduler[TTx any](
	client *river.Client[TTx], txFrom func(ctx context.Context) (TTx, bool), lanes Lanes,
) (*Scheduler[TTx], error) {
	if client == nil {
		return nil, &order.InvalidError{Field: "client", Problem: "is nil"}
	}
	if txFrom == nil {
		return nil, &order.InvalidError{Field: "tx_from", Problem: "is nil"}
	}
	if err := lanes.validate(); err != nil {
		return nil, err
	}
	lanes.Gateways = slices.Clone(lanes.Gateways)
	return &Scheduler[TTx]{client: client, txFrom: txFrom, lanes: lanes}, nil
}

// Schedule implements [refund.Scheduler]: it inserts the job of ref, or wakes the one that sleeps,
// in the transaction that ctx carries. The job is worked at once, whatever the time: one that comes
// too early sleeps until the refund is due. With the time of a clock that is wrong the only job of
// the refund could sleep for years. The error is [ErrNoTx], or that of the database or of
// Lanes.Orders.
func (s *Scheduler[TTx]) Schedule(ctx context.Context, ref refund.Ref, _ time.Time) error {
	tx, ok := s.txFrom(ctx)
	if !ok {
		return ErrNoTx
	}
	queue, err := s.lanes.queueOfOrder(ctx, ref.OrderID)
	if err != nil {
		return err
	}
	res, err := s.client.InsertTx(ctx, tx, Args{OrderID: ref.OrderID, RefundNo: ref.RefundNo},
		&river.InsertOpts{Queue: queue})
	if err != nil {
		return fmt.Errorf("insert the job: %w", err)
	}
	_, err = wake(res, func(id int64) (*rivertype.JobRow, error) { return s.client.JobRetryTx(ctx, tx, id) })
	return err
}

// Due lists the refunds that a Process can move now; [refund.Service] implements it.
type Due interface {
	// Due is [refund.Service.Due].
	Due(ctx context.Context, limit int, except []string) ([]refund.DueRefund, error)
}

// Sweep sees to it that the limit (> 0) refunds that are due for the longest time have a job, that it does not
// sleep, and that it waits in a queue that is worked. Where there are as many as that, it does the same for
// those of the other gateways. It returns for how many it had to do something. It may be called at any time, from
// any process. A refund that cannot get its job does not keep the others from theirs; the error names all of them.
func (s *Scheduler[TTx]) Sweep(ctx context.Context, due Due, limit int) (int, error) {
	if limit <= 0 {
		return 0, fmt.Errorf("sweep due refunds: %w", &order.InvalidError{Field: "limit", Problem: "must be positive"})
	}
	found := 0
	var except []string
	var errs []error
	for {
		refs, err := due.Due(ctx, limit, except)
		if err != nil {
			return found, errors.Join(append(errs, err)...)
		}
		n, err := s.sweepAll(ctx, refs)
		found += n
		if ctx.Err() != nil {
			return found, fmt.Errorf("sweep due refunds: %w", ctx.Err())
		}
		errs = append(errs, err)
		gateway := mostOf(refs)
		if len(refs) < limit || gateway == "" || slices.Contains(except, gateway) {
			return found, errors.Join(errs...)
		}
		except = append(except, gateway) // its backlog may hide others
	}
}

// mostOf is the gateway of most of them, empty where there is none.
func mostOf(refs []refund.DueRefund) (gateway string) {
	counts := map[string]int{}
	for _, ref := range refs {
		counts[ref.Gateway]++
		if ref.Gateway != "" && counts[ref.Gateway] > counts[gateway] {
			gateway = ref.Gateway
		}
	}
	return gateway
}

// sweepAll goes on until ctx ends.
func (s *Scheduler[TTx]) sweepAll(ctx context.Context, refs []refund.DueRefund) (found int, err error) {
	var errs []error
	for _, ref := range refs {
		// One by one: a statement that locks many jobs can deadlock with River's own that end many.
		helped, err := s.sweepOne(ctx, ref)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep due refund %s of order %s: %w", ref.RefundNo, ref.OrderID, err))
		}
		if helped {
			found++
		}
	}
	return found, errors.Join(errs...)
}

func (s *Scheduler[TTx]) sweepOne(ctx context.Context, ref refund.DueRefund) (helped bool, err error) {
	insert := func() (*rivertype.JobInsertResult, error) {
		res, err := s.client.Insert(ctx, Args{OrderID: ref.OrderID, RefundNo: ref.RefundNo},
			&river.InsertOpts{Queue: s.lanes.queue(ref.Gateway)})
		if err != nil {
			return nil, fmt.Errorf("insert the job: %w", err)
		}
		return res, nil
	}
	res, err := insert()
	if err != nil {
		return false, err
	}
	if res.UniqueSkippedAsDuplicate && !slices.Contains(s.lanes.queues(), res.Job.Queue) {
		_, err := s.client.JobDelete(ctx, res.Job.ID) // nobody may work that queue any more
		switch {
		case errors.Is(err, rivertype.ErrJobRunning):
			return false, nil // somebody does
		case err != nil && !errors.Is(err, rivertype.ErrNotFound):
			return false, fmt.Errorf("delete job %d of queue %s: %w", res.Job.ID, res.Job.Queue, err)
		}
		if res, err = insert(); err != nil {
			return false, err
		}
	}
	woken, err := wake(res, func(id int64) (*rivertype.JobRow, error) { return s.client.JobRetry(ctx, id) })
	return woken || !res.UniqueSkippedAsDuplicate, err
}

// wake calls retry for the job that was there already, unless it is running, and reports whether it slept.
func wake(res *rivertype.JobInsertResult, retry func(id int64) (*rivertype.JobRow, error)) (bool, error) {
	if !res.UniqueSkippedAsDuplicate || res.Job.State == rivertype.JobStateRunning {
		return false, nil
	}
	job, err := retry(res.Job.ID) // changes nothing where the job's time has come
	switch {
	case errors.Is(err, rivertype.ErrNotFound):
		return false, nil // deleted meanwhile: for the next sweep
	case err != nil:
		return false, fmt.Errorf("wake job %d: %w", res.Job.ID, err)
	}
	return !job.ScheduledAt.Equal(res.Job.ScheduledAt), nil
}
