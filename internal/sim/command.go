package sim

import (
	"context"
	"errors"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// happen starts an Op.
func (w *world) happen(op *Op) {
	switch op.Kind {
	case OpEnd:
		if b := w.prov.books[op.Refund]; b != nil {
			w.prov.end(b, op)
		} else {
			w.prov.fates[op.Refund] = op
		}
	case OpFix:
		w.prov.fix(w.prov.books[op.Refund], op)
	case OpConsole:
		w.prov.refundInConsole(op)
	case OpFunds:
		w.prov.balance = op.Amount
	case OpDeny:
		w.prov.deny(op)
	case OpLineDown:
		w.lineDown = w.now + op.For
	case OpDiskDown:
		w.diskDown = w.now + op.For
	case OpCrash:
		w.kill(w.procs[op.Proc%len(w.procs)], op.For)
	case OpClock:
		w.procs[op.Proc%len(w.procs)].off += op.For
		w.tracef("the clock of p%d jumps by %v", op.Proc%len(w.procs), op.For)
	case OpRestore:
		w.restore(w.backups[op])
	case OpRequest, OpApprove, OpReject, OpCancel, OpRetry, OpAbandon, OpResolve, OpTransfer,
		OpProcess, OpPoll, OpApproveAndSend, OpSync, OpForge:
		w.spawn(op.Proc, op, 0, w.command)
	}
}

// command carries out an Op of the first group, in a task.
func (w *world) command(ctx context.Context, t *task) {
	op := t.op
	w.tracef("%s %s %s", op.Kind, op.Order, op.Refund)
	err := w.dispatch(ctx, t)
	w.tracef("%s %s %s: %v", op.Kind, op.Order, op.Refund, err)
	w.check.refused(t, err)
	if err == nil {
		w.check.done(op)
	}
}

// who does it, in the book.
const (
	buyer order.Actor = "buyer:1"
	staff order.Actor = "staff:1"
)

func (w *world) dispatch(ctx context.Context, t *task) (err error) {
	op, svc := t.op, t.proc.svc
	switch op.Kind {
	case OpRequest:
		if w.check.restored && w.prov.isTaken(op) {
			return errFault // a host does not reuse a number that it has lost
		}
		_, err = svc.Request(ctx, refund.RequestParams{Ref: refund.Ref{
			OrderID:  op.Order,
			RefundNo: op.Refund,
		}, Amount: op.Amount, Actor: buyer})
	case OpApprove:
		_, err = svc.Approve(ctx, refund.ApproveParams{Ref: refund.Ref{
			OrderID:  op.Order,
			RefundNo: op.Refund,
		}, Amount: op.Amount, Actor: staff})
	case OpApproveAndSend:
		_, err = svc.ApproveAndSend(ctx,
			refund.ApproveParams{
				Ref:    refund.Ref{OrderID: op.Order, RefundNo: op.Refund},
				Amount: op.Amount, Actor: staff,
			})
	case OpReject:
		_, err = svc.Reject(ctx, refund.RejectParams{Ref: refund.Ref{
			OrderID:  op.Order,
			RefundNo: op.Refund,
		}, Actor: staff, Note: "no"})
	case OpCancel:
		_, err = svc.Cancel(ctx, refund.CancelParams{Ref: refund.Ref{
			OrderID:  op.Order,
			RefundNo: op.Refund,
		}, Actor: buyer, EvenIfApproved: op.Flag})
	case OpRetry:
		_, err = svc.Retry(ctx, refund.RetryParams{Ref: refund.Ref{
			OrderID:  op.Order,
			RefundNo: op.Refund,
		}, Actor: staff})
	case OpAbandon:
		err = w.abandon(ctx, t)
	case OpResolve, OpTransfer:
		err = w.resolve(ctx, t)
		w.check.refusedAsLeased(t, err)
	case OpProcess:
		_, err = w.process(ctx, t, refund.Ref{OrderID: op.Order, RefundNo: op.Refund})
	case OpPoll:
		w.poll(ctx, t)
	case OpSync:
		_, err = svc.Sync(ctx, op.Order)
	case OpForge:
		n := refund.Notification{Gateway: gatewayName, Result: refund.Result{
			Outcome: op.Outcome, OrderID: op.Order, RefundNo: op.Refund, Amount: op.Amount,
		}}
		if op.Flag {
			h := mix(w.plan.Seed, uint64(op.ID)) //nolint:gosec // no negative numbers
			n.PaymentID, n.Result.ProviderRefundID, n.Result.Message = words(h>>5), words(h>>7),
				words(h>>11)
			n.Result.OrderID += words(h >> 3)
		}
		t.claim = &n
		err = svc.HandleNotification(ctx, n)
	}
	return err
}

// abandon gives a refund up. Evidence is what an operator has if it is true: nothing was paid, and
// nothing is on its way.
func (w *world) abandon(ctx context.Context, t *task) error {
	p := refund.AbandonParams{
		Ref:   refund.Ref{OrderID: t.op.Order, RefundNo: t.op.Refund},
		Actor: staff,
	}
	b := w.prov.books[p.RefundNo]
	t.evidence = t.op.Flag && w.prov.copies[p.RefundNo] == 0 && (b == nil || b.state == truthClosed)
	if t.evidence {
		p.Evidence = "letter"
	}
	_, err := t.proc.svc.Abandon(ctx, p)
	return err
}

// resolve is an operator who believes only what the provider has ended for good, or who has paid
// himself.
func (w *world) resolve(ctx context.Context, t *task) error {
	b := w.prov.books[t.op.Refund]
	p := refund.ResolveParams{
		Ref: refund.Ref{OrderID: t.op.Order, RefundNo: t.op.Refund}, Evidence: "statement", Actor: staff,
	}
	switch {
	case t.op.Kind == OpTransfer:
		p.Resolution = refund.ResolutionPaid
	case b == nil:
		return nil
	case b.state == truthSuccess, b.outside == truthSuccess:
		p.Resolution = refund.ResolutionPaid
	case b.state == truthClosed && b.final, b.outside == truthClosed:
		p.Resolution = refund.ResolutionReturned
	default:
		return nil
	}
	_, err := t.proc.svc.Resolve(ctx, p)
	return err
}

// process moves one refund.
func (w *world) process(
	ctx context.Context, t *task, ref refund.Ref) (refund.ProcessResult, error,
) {
	leases, stuck := t.leases, t.stuck
	t.loaded, t.busy = nil, nil
	next, err := t.proc.svc.Process(ctx, ref)
	if err == nil {
		w.check.processed(t, ref, next, leases, stuck)
	}
	return next, err
}

// poll is what a worker does: it processes all due refunds, one after the other, until the provider
// is busy.
func (w *world) poll(ctx context.Context, t *task) {
	const most = 20
	due, err := t.proc.svc.Due(ctx, most, nil)
	if err != nil {
		return
	}
	w.check.listed(t, due, most)
	for _, d := range due {
		next, err := w.process(ctx, t, d.Ref)
		if err != nil && t.op.ID == calmPoll {
			w.fail("process", "%v, after all faults are over", err)
		}
		var later *refund.BusyError
		if errors.As(next.Err, &later) && later.Account {
			return
		}
	}
}

// redeliveries is how often the provider tries again to deliver a notification.
const redeliveries = 8

// deliver brings a notification to some process, and again if it is not taken.
func (w *world) deliver(op *Op, n refund.Notification, delay time.Duration, copyNo, try int) {
	w.after(delay, func() {
		taken := false
		again := func() {
			if !taken && try < redeliveries {
				w.deliver(op, n, time.Minute<<try, copyNo, try+1)
			}
		}
		base := 100 * (copyNo*(redeliveries+1) + try + 1)
		started := w.spawn(op.Proc+copyNo+try, op, base, func(ctx context.Context, t *task) {
			defer again() // even if the process dies
			t.claim = &n
			w.tracef("notification: %s %s", n.Result.RefundNo, n.Result.Outcome)
			err := t.proc.svc.HandleNotification(ctx, n)
			taken = err == nil
		})
		if !started {
			again()
		}
	})
}
