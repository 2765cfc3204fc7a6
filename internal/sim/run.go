package sim

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Stats count what a run did.
type Stats struct {
	// Refunds is how many the book has in the end, Refunded how many of them were paid out.
	Refunds, Refunded int
	// Payments, Declined and Transitions are the provider's payments and refusals, and the book's steps.
	Payments, Declined, Transitions int
	// Faults are the calls that were broken, Crashes the processes that were killed.
	Faults, Crashes int
	// Conflicts and Stuck are what the hooks were told.
	Conflicts, Stuck int
	// Adopted are the console's refunds that the last Sync found.
	Adopted int
	// Virtual is how long the run lasted by its own clock.
	Virtual time.Duration
}

// Add adds the counts of another run.
func (s *Stats) Add(o Stats) {
	s.Refunds += o.Refunds
	s.Refunded += o.Refunded
	s.Payments += o.Payments
	s.Declined += o.Declined
	s.Transitions += o.Transitions
	s.Faults += o.Faults
	s.Crashes += o.Crashes
	s.Conflicts += o.Conflicts
	s.Stuck += o.Stuck
	s.Adopted += o.Adopted
	s.Virtual += o.Virtual
}

// Run carries a Plan out. It returns the invariant that broke, or nil. If trace is not nil, it is told what
// happens, one line each.
func Run(p *Plan, trace io.Writer) (Stats, *Violation) { return run(p, nil, trace) }

func run(p *Plan, b *bug, trace io.Writer) (Stats, *Violation) {
	w, err := newWorld(p, b, trace)
	if err != nil {
		return Stats{}, &Violation{Rule: "setup", Detail: err.Error()}
	}
	for i := range p.Ops {
		op := &p.Ops[i]
		w.after(op.At, func() { w.happen(op) })
	}
	w.run(horizon)
	w.calm()
	w.check.quiet(false)
	w.reconcile()
	w.check.quiet(true)
	for _, p := range w.procs { // nobody is left behind where a run was broken off
		w.unwind(p)
	}
	w.count()
	return w.stats, w.broken
}

func (w *world) count() {
	for _, paid := range w.plan.Orders {
		o, err := w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		w.stats.Refunds += len(o.Refunds)
		w.stats.Transitions += len(o.History)
		for i := range o.Refunds {
			if o.Refunds[i].State == order.StateRefunded {
				w.stats.Refunded++
			}
		}
	}
	w.stats.Virtual = w.now
}

// calm ends all faults and lets everything that is due happen, until nothing is.
func (w *world) calm() {
	w.honest = true
	w.lineDown, w.diskDown = 0, 0
	w.prov.balance = 1 << 50
	for _, p := range w.procs {
		p.off = 0
		w.revive(p)
	}
	w.tracef("all faults are over")
	w.drain()
	w.settleDown()
}

// The IDs of what runs once all is calm; those of a Plan are smaller.
const (
	calmPoll = 1 << 20
	calmSync = calmPoll + 1
)

// tick is how often the poller looks once all is calm.
const tick = 30 * time.Second

// settleDown polls until nothing is approved any more. A refund that takes for ever is found by the checks.
func (w *world) settleDown() {
	for round := 0; round < 300 && w.broken == nil; round++ {
		w.prov.settle()
		w.drain()
		due, ok := w.nextDue()
		if !ok {
			return
		}
		// What waits for another refund's lease stays due: the poller's own tick moves time on.
		w.now = max(w.now+tick, due)
		w.spawn(round, &Op{ID: calmPoll, Kind: OpPoll}, 0, w.poll)
		w.drain()
	}
}

// nextDue returns when the first approved refund is due.
func (w *world) nextDue() (first time.Duration, ok bool) {
	for _, paid := range w.plan.Orders {
		o, err := w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		for i := range o.Refunds {
			if r := &o.Refunds[i]; r.State == order.StateApproved {
				if at := r.NextAttemptAt.Sub(epoch()); !ok || at < first {
					first, ok = at, true
				}
			}
		}
	}
	return first, ok
}

// reconcile compares every order with the provider, as a host does each night. The second time there is
// nothing left to say but what stays odd.
func (w *world) reconcile() {
	for round := range 2 {
		for i, paid := range w.plan.Orders {
			w.spawn(i, &Op{ID: calmSync, Kind: OpSync, Order: paid.ID}, 0, func(ctx context.Context, t *task) {
				rep, err := t.proc.svc.Sync(ctx, paid.ID)
				if err != nil {
					w.fail("sync", "order %s: %v", paid.ID, err)
				}
				w.stats.Adopted += len(rep.Adopted)
				for _, d := range rep.Differences {
					if round > 0 && !w.prov.odd(d) {
						w.fail("sync", "order %s: still a difference: %+v", paid.ID, d)
					}
				}
			})
			w.drain()
		}
		w.settleDown()
	}
}

// happen starts what an Op says.
func (w *world) happen(op *Op) {
	switch op.Kind {
	case OpEnd:
		if b := w.prov.books[op.Refund]; b != nil {
			w.prov.end(b, op)
		} else {
			w.prov.fates[op.Refund] = fate{op}
		}
	case OpFix:
		w.prov.fix(w.prov.books[op.Refund], op)
	case OpConsole:
		w.prov.refundInConsole(op)
	case OpFunds:
		w.prov.balance = op.Amount
	case OpLineDown:
		w.lineDown = w.now + op.For
	case OpDiskDown:
		w.diskDown = w.now + op.For
	case OpCrash:
		w.kill(w.procs[op.Proc%len(w.procs)], op.For)
	case OpClock:
		w.procs[op.Proc%len(w.procs)].off += op.For
		w.tracef("the clock of p%d jumps by %v", op.Proc%len(w.procs), op.For)
	case OpRequest, OpApprove, OpReject, OpCancel, OpRetry, OpAbandon, OpResolve, OpProcess, OpPoll, OpExecute,
		OpSync, OpForge:
		w.spawn(op.Proc, op, 0, w.command)
	}
}

// command carries out an Op of the first group, in a task.
func (w *world) command(ctx context.Context, t *task) {
	op := t.op
	w.tracef("%s %s %s", op.Kind, op.Order, op.Refund)
	err := w.dispatch(ctx, t)
	w.tracef("%s %s %s: %v", op.Kind, op.Order, op.Refund, err)
	switch op.Kind {
	case OpRequest, OpApprove, OpReject, OpCancel, OpRetry, OpResolve:
		w.check.refused(t, err)
	}
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
		_, err = svc.Request(ctx, refund.RequestParams{OrderID: op.Order, RefundNo: op.Refund, Amount: op.Amount, Actor: buyer})
	case OpApprove:
		_, err = svc.Approve(ctx, refund.ApproveParams{OrderID: op.Order, RefundNo: op.Refund, Amount: op.Amount, Actor: staff})
	case OpExecute:
		_, err = svc.Execute(ctx, refund.ApproveParams{OrderID: op.Order, RefundNo: op.Refund, Amount: op.Amount, Actor: staff})
	case OpReject:
		_, err = svc.Reject(ctx, refund.RejectParams{OrderID: op.Order, RefundNo: op.Refund, Actor: staff, Note: "no"})
	case OpCancel:
		_, err = svc.Cancel(ctx, refund.CancelParams{OrderID: op.Order, RefundNo: op.Refund, Actor: buyer, Approved: op.Flag})
	case OpRetry:
		_, err = svc.Retry(ctx, refund.RetryParams{OrderID: op.Order, RefundNo: op.Refund, Actor: staff})
	case OpAbandon:
		_, err = svc.Abandon(ctx, refund.AbandonParams{OrderID: op.Order, RefundNo: op.Refund, Actor: staff})
	case OpResolve:
		err = w.resolve(ctx, t)
	case OpProcess:
		_, err = svc.Process(ctx, refund.Ref{OrderID: op.Order, RefundNo: op.Refund})
	case OpPoll:
		w.poll(ctx, t)
	case OpSync:
		_, err = svc.Sync(ctx, op.Order)
	case OpForge:
		n := refund.Notification{Gateway: gatewayName, Result: refund.Result{
			Outcome: op.Outcome, OrderID: op.Order, RefundNo: op.Refund, Amount: op.Amount,
		}}
		t.claim = &n
		err = svc.HandleNotification(ctx, n)
	}
	return err
}

// resolve is an operator who believes only what the provider has ended for good.
func (w *world) resolve(ctx context.Context, t *task) error {
	b := w.prov.books[t.op.Refund]
	if b == nil {
		return nil
	}
	p := refund.ResolveParams{OrderID: t.op.Order, RefundNo: t.op.Refund, Evidence: "statement", Actor: staff}
	switch {
	case b.state == truthSuccess, b.outside == truthSuccess:
		p.Outcome = refund.OutcomeSucceeded
	case b.state == truthClosed && b.final, b.outside == truthClosed:
		p.Outcome = refund.OutcomeClosed
	default:
		return nil
	}
	_, err := t.proc.svc.Resolve(ctx, p)
	return err
}

// poll is what a worker does: everything that is due, one after the other.
func (w *world) poll(ctx context.Context, t *task) {
	refs, err := t.proc.svc.Due(ctx, 20)
	if err != nil {
		return
	}
	for _, ref := range refs {
		_, err := t.proc.svc.Process(ctx, ref)
		if err != nil && t.op.ID == calmPoll {
			w.fail("process", "%v, after all faults are over", err)
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
			defer again() // also where the process dies
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

// bug is a deliberate one, to show that the simulation finds it. Production code has none of this.
type bug struct {
	name  string
	store func(w *world, inner refund.Store) refund.Store
	gate  func(w *world, inner refund.RefundGateway) refund.RefundGateway
}

// sorted puts the Ops into the order of their times; Ops of the same time keep theirs.
func (p *Plan) sorted() *Plan {
	slices.SortStableFunc(p.Ops, func(a, b Op) int { return int(a.At - b.At) })
	return p
}
