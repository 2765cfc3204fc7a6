package sim

import (
	"context"
	"io"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Stats count what a run did.
type Stats struct {
	// Refunds is how many the book has in the end, Refunded how many of them were paid out.
	Refunds, Refunded int
	// Payments, Declined and Transitions are the provider's payments and refusals, and the book's
	// steps.
	Payments, Declined, Transitions int
	// Faults are the calls that were broken, Crashes the processes that were killed.
	Faults, Crashes int
	// Conflicts and Stuck count the calls of the hooks.
	Conflicts, Stuck int
	// Denied are the denials that a person had to end.
	Denied int
	// Repaired are the refunds that only Sync corrected, because clocks disagreed, a request
	// arrived after the quiet period, or nobody had asked since a change was fixed.
	Repaired int
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
	s.Denied += o.Denied
	s.Repaired += o.Repaired
	s.Adopted += o.Adopted
	s.Virtual += o.Virtual
}

// Run carries a Plan out. It returns the invariant that broke, or nil. If trace is not nil, it is
// called with one line for each event.
func Run(p *Plan, trace io.Writer) (Stats, *Violation) { return run(p, nil, trace) }

func run(p *Plan, b *bug, trace io.Writer) (Stats, *Violation) {
	w, err := newWorld(p, b, trace)
	if err != nil {
		return Stats{}, &Violation{Rule: "setup", Detail: err.Error()}
	}
	for i := range p.Ops {
		op := &p.Ops[i]
		if op.Kind == OpRestore {
			w.after(op.At-op.For, func() { w.backUp(op) })
		}
		w.after(op.At, func() { w.happen(op) })
	}
	w.run(horizon)
	w.calm()
	w.check.quiet(false)
	w.reconcile()
	w.check.quiet(true)
	for _, p := range w.procs { // no task outlives a run that was broken off
		w.unwind(p)
	}
	for _, jobs := range w.idle {
		close(jobs)
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
		w.stats.Transitions += int(o.Seq)
		for i := range o.Refunds {
			if o.Refunds[i].State == order.StateRefunded {
				w.stats.Refunded++
			}
		}
	}
	w.stats.Virtual = w.now
}

// bug is a deliberate one, to show that the simulation finds it. Production code has none of this.
type bug struct {
	name string
	// ignore are rules that do not count: they would find the bug itself, not its effect.
	ignore []string
	store  func(w *world, inner refund.Store) refund.Store
	gate   func(w *world, inner refund.RefundGateway) refund.RefundGateway
	// under is between the store that breaks and the one that keeps.
	under func(w *world, inner refund.Store) refund.Store
	// proof is what a store takes for proof that its COMMIT was executed.
	proof func(was, is, now *order.Order) bool
	// trustsResent takes the refusal of a request's second copy for one of the refund.
	trustsResent bool
}
