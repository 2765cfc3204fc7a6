package sim

import (
	"context"
	"fmt"
	"slices"
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

// flight is a call to the provider by a task that holds a lease.
type flight struct {
	t  *task
	no string
}

// checker watches what is committed and what the provider is asked, and compares both in the end.
type checker struct {
	w       *world
	calm    bool                // clocks agree and requests arrive in time: leases hold, and no no is wrong
	flights map[string][]flight // by order
	asked   map[string]string   // refunds whose request was answered with success, and their orders
	agreed  map[string]bool     // those whose approval was
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, calm: w.plan.timely() && w.plan.calmClocks(),
		flights: map[string][]flight{}, asked: map[string]string{}, agreed: map[string]bool{},
	}
}

// committed looks at each change of an order as it is committed.
func (c *checker) committed(t *task, was, is *order.Order) {
	if t == nil || was == nil || is == nil {
		return
	}
	w := c.w
	t.commits++
	if err := w.machine.Verify(is); err != nil {
		w.fail("illegal", "%v", err)
	}
	if len(is.History) < len(was.History) || !slices.Equal(is.History[:len(was.History)], was.History) {
		w.fail("history", "order %s: %d transitions were rewritten", was.ID, len(was.History))
	}
	for i := range was.Refunds {
		a, b := &was.Refunds[i], is.Refund(was.Refunds[i].No)
		if b == nil || a.Amount != b.Amount {
			w.fail("history", "order %s: refund %s was lost or changed its amount", was.ID, a.No)
			continue
		}
		if b.State == order.StateApproved && (b.Attempts > a.Attempts && b.Retries == a.Retries) {
			t.leasedTo, t.excess = w.now+lease, is.Excess() > 0
		}
	}
	for _, tr := range is.History[min(len(was.History), len(is.History)):] {
		w.tracef("book: %s %s %s>%s by %s, order %s", tr.Event, tr.RefundNo, tr.From, tr.To, tr.Actor, tr.OrderTo)
		c.step(t, is, tr)
	}
}

// step compares what is booked with the ledger, and with what the task could know.
func (c *checker) step(by *task, o *order.Order, t order.Transition) {
	b := c.w.prov.books[t.RefundNo]
	switch {
	case t.Event == order.EventAbandon && by.heard != refund.OutcomeNotFound && by.heard != refund.OutcomeClosed:
		c.w.fail("abandoned_unasked", "order %s: %s is abandoned after the answer %s", o.ID, t.RefundNo, by.heard)
	case t.Event == order.EventSettle && (b == nil || b.state != truthSuccess && b.outside != truthSuccess):
		c.w.fail("booked_not_paid", "order %s: %s is booked as refunded by %s; the ledger has %v",
			o.ID, t.RefundNo, t.Actor, c.w.prov.numbers(o.ID))
	case t.Event == order.EventFail && b != nil && b.gone() > 0 && c.calm:
		c.w.fail("wrongly_failed", "order %s: %s is booked as failed by %s; the ledger has %v",
			o.ID, t.RefundNo, t.Actor, c.w.prov.numbers(o.ID))
	}
}

// asking notes a call about a refund and returns what ends it. While the lease of one call holds, no other
// task may have one for the same order, unless the provider is done with the first one's refund.
func (c *checker) asking(t *task, orderID, no string) (answered func()) {
	w := c.w
	if w.now >= t.leasedTo {
		return func() {}
	}
	var still []flight
	for _, f := range c.flights[orderID] {
		if f.t == t || w.now >= f.t.leasedTo {
			continue
		}
		if b := w.prov.books[f.no]; b != nil && b.state != truthProcessing {
			continue
		}
		still = append(still, f)
		if c.calm {
			w.fail("two_in_flight", "order %s: #%d asks about %s until %v, and #%d about %s",
				orderID, f.t.op.ID, f.no, f.t.leasedTo, t.op.ID, no)
		}
	}
	c.flights[orderID] = append(still, flight{t, no})
	return func() {
		if t.dead { // the others do not know, and leave it alone for as long as the lease
			return
		}
		c.flights[orderID] = slices.DeleteFunc(c.flights[orderID], func(f flight) bool { return f.t == t })
	}
}

// sending makes sure that nothing is sent without room, or by a task whose lease has run out.
func (c *checker) sending(t *task, req refund.Request) {
	if t.excess {
		c.w.fail("sent_with_excess", "order %s: %s is sent although there is no room for it", req.OrderID, req.RefundNo)
	}
	if c.calm && c.w.now >= t.leasedTo {
		c.w.fail("late_send", "order %s: %s is sent %v after the lease", req.OrderID, req.RefundNo, c.w.now-t.leasedTo)
	}
}

// paying makes sure that money leaves only for a refund that the book calls approved: a no that is booked too
// early is found here even if somebody puts it right later.
func (c *checker) paying(req refund.Request) {
	if !c.calm {
		return
	}
	o, err := c.w.mem.Get(context.Background(), req.OrderID)
	if err != nil {
		return
	}
	if r := o.Refund(req.RefundNo); r != nil && r.State != order.StateApproved {
		c.w.fail("paid_after_no", "order %s: %s is paid when the book says %s", o.ID, r.No, r.State)
	}
}

// done notes what the caller was told has happened.
func (c *checker) done(op *Op) {
	switch op.Kind {
	case OpRequest:
		c.asked[op.Refund] = op.Order
	case OpApprove, OpExecute:
		c.agreed[op.Refund] = true
	}
}

// refused makes sure that a command which failed has changed nothing.
func (c *checker) refused(t *task, err error) {
	if err != nil && t.commits > 0 && !t.misled {
		c.w.fail("failed_but_changed", "%s %s failed and committed %d times: %v", t.op.Kind, t.op.Refund, t.commits, err)
	}
}

// quiet compares book and ledger when nothing happens any more. What only Sync can find is left out until it
// has run: the console's refunds, and what is excused.
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
		agree := fits(r.State, b)
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
		case r == nil && b.gone() > 0 && (synced || !b.console):
			w.fail("unknown_payment", "order %s: the book does not have %s; the ledger has %v", o.ID, b.no, w.prov.numbers(o.ID))
		case r != nil && r.State == order.StateRefunded:
			paid += b.gone()
		}
	}
	if booked != o.Refunded || booked != paid {
		w.fail("sums", "order %s: refunded is %d, its refunds make it %d, the provider paid %d", o.ID, o.Refunded, booked, paid)
	}
	if total := w.prov.totals[o.ID]; sum > total {
		w.fail("over_total", "order %s: %d of %d is paid back", o.ID, sum, total)
	}
}

// excused reports whether the book may not know better before Sync has run: nobody has asked since a change
// was fixed; or a no was true when it was booked, and clocks or a late request made nothing of the quiet period.
func (c *checker) excused(s order.State, b *payout) bool {
	switch s {
	case order.StateAbnormal:
		return b.final || !c.calm
	case order.StateFailed, order.StateAbandoned:
		return !c.calm
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
