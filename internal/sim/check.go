package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Violation is an invariant that a run broke.
type Violation struct {
	// Rule names the invariant; it is the same for the same kind of breach.
	Rule   string
	Detail string
	// At is when it was noticed, from the start of the run.
	At time.Duration
}

// Error implements error.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s at %v: %s", v.Rule, v.At.Round(time.Millisecond), v.Detail)
}

// checker watches what is committed and what the provider is asked, and compares both in the end.
type checker struct {
	w        *world
	calm     bool                // clocks agree and requests arrive in time: leases hold
	restored bool                // the book was restored from a backup
	flights  map[string][]flight // by order
	asked    map[string]string   // refunds that Request returned, with their orders
	agreed   map[string]bool     // those whose approval was

	// What follows is by refund number.
	versions map[string]int  // how often the book has changed it
	eras     map[string]int  // how often it became approved
	accepted map[string]bool // the provider has accepted it, and the book knows
	byPerson map[string]bool // a person has recorded it as paid
	byHand   map[string]bool // that person has paid it, by bank transfer

	alerts map[alert]int  // how often they were given
	noted  map[alert]bool // the book knows
	news   map[alert]int  // how often the cause was over
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, calm: w.plan.timely() && w.plan.calmClocks(),
		flights: map[string][]flight{}, asked: map[string]string{}, agreed: map[string]bool{},
		versions: map[string]int{}, eras: map[string]int{}, accepted: map[string]bool{},
		byPerson: map[string]bool{}, byHand: map[string]bool{},
		alerts: map[alert]int{}, noted: map[alert]bool{}, news: map[alert]int{},
	}
}

// done notes what was reported to the caller.
func (c *checker) done(op *Op) {
	switch op.Kind {
	case OpRequest:
		c.asked[op.Refund] = op.Order
	case OpApprove, OpApproveAndSend:
		c.agreed[op.Refund] = true
	}
}

// refused makes sure that a command that failed has changed nothing, and that a command whose
// COMMIT is in doubt reports that.
func (c *checker) refused(t *task, err error) {
	switch t.op.Kind { //nolint:exhaustive // the others may commit and then fail
	case OpRequest, OpApprove, OpReject, OpCancel, OpRetry, OpResolve, OpTransfer:
		if err != nil && t.commits > 0 && !t.misled {
			c.w.fail("failed_but_changed", "%s %s failed and committed %d times: %v",
				t.op.Kind, t.op.Refund, t.commits, err)
		}
	case OpPoll:
		return
	case OpApproveAndSend:
		if err == nil { // it is approved; a doubt is about sending it
			return
		}
	}
	if t.doubt && !errors.Is(err, errDoubt) {
		c.w.fail("doubt_hidden", "%s %s may have been committed, and says %v",
			t.op.Kind, t.op.Refund, err)
	}
}

// quiet compares book and ledger when nothing happens any more. What only Sync can find is left out
// until it has run: the console's refunds, and what is excused.
func (c *checker) quiet(synced bool) {
	for _, paid := range c.w.plan.Orders {
		o, err := refund.LoadOrder(context.Background(), c.w.mem, paid.ID)
		if err != nil {
			c.w.fail("lost_order", "%v", err)
			return
		}
		if err := c.w.machine.Verify(o); err != nil {
			c.w.fail("illegal", "%v", err)
		}
		c.balance(o, synced)
	}
}

// balance compares one order with the ledger.
func (c *checker) balance(o *order.Order, synced bool) {
	w := c.w
	var booked, paid, sum int64
	for i := range o.Refunds {
		r := &o.Refunds[i]
		b := w.prov.books[r.No]
		if b == nil {
			b = &payout{amount: r.Amount}
		}
		agree := c.agree(r, b)
		if !agree && !synced && c.excused(r.State, b) {
			w.stats.Repaired++ // or else the check after Sync finds it
			agree = true
		}
		if !agree || b.amount != r.Amount {
			w.fail(rule(r.State), "order %s: %s of %d is %s in the book, after all is quiet; the ledger has %v",
				o.ID, r.No, r.Amount, r.State, w.prov.numbers(o.ID))
		}
		if c.agreed[r.No] && r.ApprovedAt.IsZero() {
			w.fail("forgotten", "order %s: the approval of %s was confirmed and is gone", o.ID, r.No)
		}
		if r.State == order.StateRefunded {
			booked += r.Amount
			if c.byHand[r.No] {
				paid += r.Amount
			}
		}
		if synced {
			c.unheard(o.ID, r.No)
		}
	}
	for no, of := range c.asked {
		if of == o.ID && o.Refund(no) == nil {
			w.fail("forgotten", "order %s: the request of a refund was confirmed and is gone", o.ID)
		}
	}
	for _, b := range w.prov.ledger {
		if b.order != o.ID {
			continue
		}
		sum += b.gone()
		r := o.Refund(b.no)
		switch {
		case r == nil && b.gone() > 0 && (synced || !b.console && !c.restored):
			w.fail("unknown_payment", "order %s: the book does not have %s; the ledger has %v",
				o.ID, b.no, w.prov.numbers(o.ID))
		case r != nil && r.State == order.StateRefunded && !c.byHand[r.No]:
			paid += b.gone()
		}
	}
	if booked != o.Refunded || booked != paid {
		w.fail("sums", "order %s: refunded is %d, its refunds make it %d, the provider paid %d",
			o.ID, o.Refunded, booked, paid)
	}
	if total := w.prov.totals[o.ID]; sum > total {
		w.fail("over_total", "order %s: %d of %d is paid back", o.ID, sum, total)
	}
}

// agree reports whether the book and the ledger mean the same, once all is quiet.
func (c *checker) agree(r *order.Refund, b *payout) bool {
	switch r.State {
	case order.StateRefunded:
		return c.byHand[r.No] || fits(r.State, b)
	case order.StateRefundRequested, order.StateRejected, order.StateCancelled:
		// A restored book may have forgotten that it was sent.
		return fits(r.State, b) || c.restored && b.state == truthClosed
	}
	return fits(r.State, b)
}

// excused reports whether the book may not know better before Sync has run: nobody has asked since
// a change was fixed; a refusal was true when it was booked, and clocks or a late request made
// nothing of the quiet period; or a backup has forgotten that it was sent.
func (c *checker) excused(s order.State, b *payout) bool {
	switch s {
	case order.StateAbnormal:
		return b.final || !c.calm
	case order.StateFailed, order.StateAbandoned:
		return !c.calm
	case order.StateRefundRequested, order.StateRejected, order.StateCancelled:
		return c.restored
	}
	return false
}

// fits reports whether a state of the book and the ledger mean the same, once all is quiet.
func fits(s order.State, b *payout) bool {
	switch s {
	case order.StateRefunded:
		return b.state == truthSuccess || b.outside == truthSuccess
	case order.StateAbnormal:
		return b.state == truthChange
	case order.StateFailed, order.StateAbandoned:
		return b.state == truthNone || b.state == truthClosed || b.outside == truthClosed
	case order.StateRefundRequested, order.StateRejected, order.StateCancelled:
		return b.state == truthNone
	}
	return false // approved: it never ended
}

// rule names what is wrong with a refund that does not fit.
func rule(s order.State) string {
	switch s {
	case order.StateApproved:
		return "never_ended"
	case order.StateRefunded:
		return "booked_not_paid"
	default:
		return "wrongly_" + string(s)
	}
}
