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

// ErrNoTx is returned if the context of a command carries no transaction that River can join.
var ErrNoTx = errors.New("the context carries no transaction of River's driver")

// Scheduler is the [refund.Scheduler] that inserts River's jobs. TTx is the transaction type of
// River's driver. Make it with [NewScheduler]; it is safe for concurrent use.
type Scheduler[TTx any] struct {
	client *river.Client[TTx]
	txFrom func(ctx context.Context) (TTx, bool)
	lanes  Lanes
}

// NewScheduler returns a Scheduler that inserts with client. client needs no workers and no queues,
// and need not be started. txFrom returns the transaction of the context of an Update. With
// database/sql it is sqlstore.TxFrom. The error is an [*order.InvalidError].
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

// Schedule implements [refund.Scheduler]. It inserts the job of ref, or wakes the job that sleeps,
// in the transaction of ctx. It ignores the time: the job is worked at once, and if it is too
// early, it sleeps until the refund is due. If the time came from a wrong clock, the only job of
// the refund could otherwise sleep for years. The error is [ErrNoTx], or the error of the database
// or of Lanes.Orders.
func (s *Scheduler[TTx]) Schedule(ctx context.Context, ref refund.Ref, _ time.Time) error {
	tx, ok := s.txFrom(ctx)
	if !ok {
		return ErrNoTx
	}
	queue, err := s.lanes.queueOfOrder(ctx, ref.OrderID)
	if err != nil {
		return err
	}
	res, err := s.client.InsertTx(ctx, tx, refundArgs{ref}, &river.InsertOpts{Queue: queue})
	if err != nil {
		return fmt.Errorf("insert the job: %w", err)
	}
	_, err = wake(res,
		func(id int64) (*rivertype.JobRow, error) { return s.client.JobRetryTx(ctx, tx, id) })
	return err
}

// dueLister lists the refunds that are due. [refund.Service] implements it.
type dueLister interface {
	Due(ctx context.Context, limit int, except []string) ([]refund.DueRefund, error)
}

// sweep makes sure that due refunds have a job, that the job does not sleep, and that its queue is
// worked. It does so for the limit (> 0) refunds that are due for the longest time. If there are as
// many as limit, it continues with the refunds of the other gateways. sweep returns how many jobs
// it inserted, woke or moved. It may be called at any time from any process. If it fails for a
// refund, it continues with the others, and the error names all that failed.
func (s *Scheduler[TTx]) sweep(ctx context.Context, due dueLister, limit int) (int, error) {
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
		except = append(except, gateway) // its backlog may hide the others
	}
}

// mostOf returns the gateway that most of the refunds have, or "" if none has a gateway.
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

// sweepAll sweeps all refs, until ctx ends.
func (s *Scheduler[TTx]) sweepAll(
	ctx context.Context, refs []refund.DueRefund,
) (found int, err error) {
	var errs []error
	for _, ref := range refs {
		// One by one: a statement that locks many jobs can deadlock with River's statements that
		// complete many.
		changed, err := s.sweepOne(ctx, ref)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			errs = append(errs,
				fmt.Errorf("sweep due refund %s of order %s: %w", ref.RefundNo, ref.OrderID, err))
		}
		if changed {
			found++
		}
	}
	return found, errors.Join(errs...)
}

func (s *Scheduler[TTx]) sweepOne(
	ctx context.Context, ref refund.DueRefund,
) (changed bool, err error) {
	insert := func() (*rivertype.JobInsertResult, error) {
		res, err := s.client.Insert(ctx, refundArgs{ref.Ref},
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
		_, err := s.client.JobDelete(ctx, res.Job.ID) // this queue may not be worked any more
		switch {
		case errors.Is(err, rivertype.ErrJobRunning):
			return false, nil // a client works it
		case err != nil && !errors.Is(err, rivertype.ErrNotFound):
			return false, fmt.Errorf("delete job %d of queue %s: %w", res.Job.ID, res.Job.Queue,
				err)
		}
		if res, err = insert(); err != nil {
			return false, err
		}
	}
	woken, err := wake(res,
		func(id int64) (*rivertype.JobRow, error) { return s.client.JobRetry(ctx, id) })
	return woken || !res.UniqueSkippedAsDuplicate, err
}

// wake calls retry for a job that existed before, unless it is running. It reports whether the job
// slept.
func wake(
	res *rivertype.JobInsertResult, retry func(id int64) (*rivertype.JobRow, error),
) (bool, error) {
	if !res.UniqueSkippedAsDuplicate || res.Job.State == rivertype.JobStateRunning {
		return false, nil
	}
	job, err := retry(res.Job.ID) // changes nothing if the job is due
	switch {
	case errors.Is(err, rivertype.ErrNotFound):
		return false, nil // deleted meanwhile; the next sweep inserts it
	case err != nil:
		return false, fmt.Errorf("wake job %d: %w", res.Job.ID, err)
	}
	return !job.ScheduledAt.Equal(res.Job.ScheduledAt), nil
}
