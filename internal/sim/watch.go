package sim

import (
	"context"
	"slices"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// flight is a call to the provider by a task that holds a lease.
type flight struct {
	t  *task
	no string
}

// committed looks at each change of an order as it is committed.
func (c *checker) committed(u *change) {
	w, t, was, is := c.w, u.t, u.was, u.is
	t.commits++
	if err := w.machine.Verify(is); err != nil {
		w.fail("illegal", "%v", err)
	}
	t.heard.stale = t.heard.version != c.versions[t.heard.no]
	t.heard.noted = c.noted[alert{t.heard.no, t.heard.denied}]
	for _, tr := range is.History[len(was.History):] {
		w.tracef("book: %s %s %s>%s by %s, order %s",
			tr.Event, tr.RefundNo, tr.From, tr.To, tr.Actor, tr.OrderTo)
		c.step(t, is, tr)
	}
	for i := range is.Refunds {
		b := &is.Refunds[i]
		a := was.Refund(b.No)
		if a == nil || *a != *b {
			c.versions[b.No]++
		}
		if a != nil {
			c.moved(u, a, b)
		}
	}
	for i := range was.Refunds {
		if a := &was.Refunds[i]; is.Refund(a.No) == nil {
			w.fail("history", "order %s: refund %s was lost", was.ID, a.No)
		}
	}
}

// moved looks at what a commit did to one refund.
func (c *checker) moved(u *change, a, b *order.Refund) {
	t, o := u.t, u.is
	if a.Amount != b.Amount {
		c.w.fail("history", "order %s: refund %s changed its amount", o.ID, a.No)
	}
	if !a.DeclinedAt.IsZero() && b.DeclinedAt.IsZero() {
		c.renewed(b.No) // an acceptance was booked, perhaps a late one
	}
	if b.State != order.StateApproved {
		delete(c.accepted, b.No)
		return
	}
	if b.Attempts > a.Attempts && b.Retries == a.Retries && a.State == order.StateApproved {
		if u.late { // the task got an error and does not go on
			return
		}
		t.leases++
		t.lease = leased{
			no: b.No, until: u.at + lease, approved: a.ApprovedAt, excess: o.Excess() > 0,
			accepted: c.accepted[b.No], era: c.eras[b.No], version: c.versions[b.No],
		}
		return
	}
	c.answered(t, o, a, b)
}

// answered looks at what was recorded of the provider's answer about a refund that stays approved.
func (c *checker) answered(t *task, o *order.Order, a, b *order.Refund) {
	h := &t.heard
	if h.no != b.No || *a == *b {
		return
	}
	if h.Outcome == refund.OutcomeAccepted && h.RefundNo == b.No && h.Amount == b.Amount &&
		h.era == c.eras[b.No] && a.State == order.StateApproved {
		c.accepted[b.No] = true
	}
	if c.accepted[b.No] && b.AcceptedAt.IsZero() {
		c.w.fail("acceptance_lost", "order %s: the provider accepted %s, and the book does not say so",
			o.ID, b.No)
	}
	ended := t.lease.no == b.No && !a.LeasedUntil.IsZero() && b.LeasedUntil.IsZero()
	if t.busy != nil && c.calm && ended {
		if wait := b.NextAttemptAt.Sub(t.busyAt); wait < min(t.busy.After, maxWait) {
			c.w.fail("hurried", "order %s: %s is due %v after the provider wanted %v",
				o.ID, b.No, wait, t.busy.After)
		}
	}
}

// step compares what is booked with the ledger, and with what the task could know.
func (c *checker) step(by *task, o *order.Order, t order.Transition) {
	b, h := c.w.prov.books[t.RefundNo], &by.heard
	fail := func(rule, what string) {
		c.w.fail(rule, "order %s: %s is %s by %s; the provider answered %s, the ledger has %v",
			o.ID, t.RefundNo, what, t.Actor, h.Outcome, c.w.prov.numbers(o.ID))
	}
	if t.To == order.StateApproved {
		c.eras[t.RefundNo]++
	}
	gone := b != nil && b.gone() > 0
	switch t.Event {
	case order.EventSettle:
		if t.Actor == staff {
			c.byPerson[t.RefundNo] = true
			c.byHand[t.RefundNo] = by.op.Kind == OpTransfer
		}
		if !c.byHand[t.RefundNo] && (b == nil || b.state != truthSuccess &&
			b.outside != truthSuccess) {
			fail("booked_not_paid", "booked as refunded")
		}
	case order.EventFail:
		if gone && c.calm {
			fail("wrongly_failed", "booked as failed")
		}
		if t.Actor == order.ActorProvider && h.denied && h.no == t.RefundNo {
			fail("denial_believed", "booked as failed on a denial")
		}
	case order.EventAbandon:
		switch unpaid := h.Outcome == refund.OutcomeNotFound || h.Outcome == refund.OutcomeClosed; {
		case !unpaid && (!by.evidence || h.Outcome != refund.OutcomeUnknown):
			fail("abandoned_unasked", "abandoned")
		case gone && (c.calm || h.denied):
			fail("abandoned_paid", "abandoned")
		}
	case order.EventAdopt:
		if h.no == t.RefundNo && h.stale && h.Outcome != refund.OutcomeSucceeded {
			fail("revived", "adopted on an answer that is older than the book")
		}
	}
}

// asking notes a call about a refund and returns what ends it. While the lease of one call holds,
// no other task may have one for the same order, unless the provider is done with the first one's
// refund.
func (c *checker) asking(t *task, orderID, no string) (answered func()) {
	w := c.w
	if w.now >= t.lease.until {
		return func() {}
	}
	var still []flight
	for _, f := range c.flights[orderID] {
		if f.t == t || w.now >= f.t.lease.until {
			continue
		}
		if b := w.prov.books[f.no]; b != nil && b.state != truthProcessing {
			continue
		}
		still = append(still, f)
		if c.calm {
			w.fail("two_in_flight", "order %s: #%d asks about %s until %v, and #%d about %s",
				orderID, f.t.op.ID, f.no, f.t.lease.until, t.op.ID, no)
		}
	}
	c.flights[orderID] = append(still, flight{t, no})
	return func() {
		if t.dead { // the others do not know, and leave it alone for as long as the lease
			return
		}
		c.flights[orderID] = slices.DeleteFunc(c.flights[orderID],
			func(f flight) bool { return f.t == t })
	}
}

// submitting makes sure that nothing is sent without a lease in the book, without room, or again
// after the provider has accepted it.
func (c *checker) submitting(t *task, req refund.Request) {
	switch {
	case t.lease.no != req.RefundNo:
		c.w.fail("sent_without_lease", "order %s: %s is sent, and the book has no lease",
			req.OrderID, req.RefundNo)
	case t.lease.excess:
		c.w.fail("sent_with_excess", "order %s: %s is sent although there is no room for it",
			req.OrderID, req.RefundNo)
	case t.lease.accepted:
		c.w.fail("sent_after_acceptance", "order %s: %s is sent again after it was accepted",
			req.OrderID, req.RefundNo)
	}
}

// sending makes sure that nothing is sent by a task whose lease has run out.
func (c *checker) sending(t *task, req refund.Request) {
	if c.calm && c.w.now >= t.lease.until {
		c.w.fail("late_send", "order %s: %s is sent %v after the lease",
			req.OrderID, req.RefundNo, c.w.now-t.lease.until)
	}
}

// paying makes sure that money leaves only for a refund that the book calls approved: a refusal
// that is booked too early is found here even if somebody puts it right later.
func (c *checker) paying(req refund.Request) {
	if !c.calm {
		return
	}
	o, err := c.w.mem.Get(context.Background(), req.OrderID)
	if err != nil {
		return
	}
	if r := o.Refund(req.RefundNo); r != nil && r.State != order.StateApproved && !c.byHand[r.No] {
		c.w.fail("paid_after_no", "order %s: %s is paid when the book says %s", o.ID, r.No, r.State)
	}
}
