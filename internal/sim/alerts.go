package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// alert is a discrepancy that must be reported to a person.
type alert struct {
	no     string
	denial bool // the provider denies what it has accepted; else it has paid what a person has paid
}

// discrepancy checks a call of the Discrepancy hook.
func (c *checker) discrepancy(t *task, got refund.Discrepancy) {
	no := got.RefundNo
	if errors.Is(got.Err, refund.ErrMismatch) || got.Book == order.StatePaid {
		return
	}
	t.report = &report{} // its next update may record it
	h := &t.heard
	switch {
	case got.Book == order.StateRefunded && got.Result.Outcome == refund.OutcomeSucceeded:
		if b := c.w.prov.books[no]; !c.byPerson[no] || b == nil || b.state != truthSuccess {
			c.w.fail("false_alarm", "order %s: %s is not paid by both a person and the provider",
				got.OrderID, no)
		}
		c.report(t, alert{no, false})
	case h.no == no && h.denied:
		c.report(t, alert{no, true})
	case h.no == no && h.stale && got.Result.Outcome != refund.OutcomeSucceeded:
		c.w.fail("stale_conflict", "order %s: %s: the answer %s is older than the book: %v",
			got.OrderID, no, got.Result.Outcome, got.Err)
	case h.no == no && c.accepted[no]:
		// The provider only lagged, but the clocks of two processes differ by more than the quiet
		// period. The person who is alerted learns of a later denial from the same alert.
		c.report(t, alert{no, true})
	}
}

// report notes that a person is alerted: once, unless the store could not record it.
func (c *checker) report(t *task, a alert) {
	if t.heard.noted {
		c.w.fail("alerted_twice", "the alert about %s was given before, and the book knew", a.no)
	}
	c.alerts[a]++
	if !t.failed {
		t.report = &report{a, c.news[a]}
	}
}

// report is an alert that a task has given. The next update of the task records it.
type report struct {
	alert
	news int
}

// remembered checks the end of each update: the first one after an alert of t records the alert.
func (c *checker) remembered(t *task, err error) {
	if r := t.report; r != nil && r.no != "" && err == nil && r.news == c.news[r.alert] {
		c.noted[r.alert] = true
	}
	t.report, t.failed = nil, err != nil
}

// confirmed notes that the provider has answered about a refund that it has: the next denial is
// news again.
func (c *checker) confirmed(t *task) {
	switch t.heard.Outcome {
	case refund.OutcomeAccepted, refund.OutcomeSucceeded, refund.OutcomeClosed,
		refund.OutcomeAbnormal:
		c.renewed(t.heard.no)
	case refund.OutcomeUnknown, refund.OutcomeDeclined, refund.OutcomeNotFound:
	}
}

// renewed notes that the next denial of a refund is news again.
func (c *checker) renewed(no string) {
	a := alert{no, true}
	c.news[a]++
	delete(c.noted, a)
}

// unheard makes sure that, once Sync has run, a person was alerted if the provider has made a
// payment that the person had made too.
func (c *checker) unheard(orderID, no string) {
	b := c.w.prov.books[no]
	if c.byPerson[no] && c.alerts[alert{no, false}] == 0 && b != nil && b.state == truthSuccess {
		c.w.fail("unheard", "order %s: %s was paid by a person and by the provider: nobody was alerted",
			orderID, no)
	}
}

// ahead reports whether at is to come, and no further away than most.
func ahead(at, now time.Time, most time.Duration) bool {
	d := at.Sub(now)
	return 0 < d && d <= most
}

// isDue reports whether an approved refund is due on a clock that believes no row further than a
// right clock can have written it.
func isDue(r *order.Refund, now time.Time) bool {
	return r.State == order.StateApproved && !ahead(r.NextAttemptAt, now, maxWait)
}

// isFree reports whether the provider may be asked about refund r of o now.
func isFree(o *order.Order, r *order.Refund, now time.Time) bool {
	return !slices.ContainsFunc(o.Refunds, func(other order.Refund) bool {
		return other.No != r.No && ahead(other.LeasedUntil, now, 2*lease)
	})
}

// looked notes what the first Update of a step has found.
func (c *checker) looked(u *change) {
	if t := u.t; t.loaded == nil && u.was != nil {
		t.loaded, t.loadedAt = u.was, c.w.clock(t.proc)
	}
}

// due lists what must be due on a process's clock.
func (c *checker) due(now time.Time) (refs []refund.Ref) {
	for _, paid := range c.w.plan.Orders {
		o, err := c.w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		for i := range o.Refunds {
			if r := &o.Refunds[i]; isDue(r, now) {
				refs = append(refs, refund.Ref{OrderID: o.ID, RefundNo: r.No})
			}
		}
	}
	return refs
}

// listed makes sure that a list with room for more leaves no due refund out.
func (c *checker) listed(t *task, due []refund.DueRefund, most int) {
	for _, ref := range t.due {
		isRef := func(d refund.DueRefund) bool { return d.Ref == ref }
		if len(due) < most && !slices.ContainsFunc(due, isRef) {
			c.w.fail("not_listed", "order %s: %s is due and not listed", ref.OrderID, ref.RefundNo)
		}
	}
}

// left checks a task that has ended.
func (c *checker) left(t *task) {
	if t.fact {
		c.w.fail("fact_dropped", "the provider answered %s of %s, and nothing was recorded",
			t.heard.Outcome, t.heard.no)
	}
}

// processed checks one Process: that it leased what it could, and reported what it had to.
func (c *checker) processed(t *task, ref refund.Ref, next refund.ProcessResult, leases, stuck int) {
	if t.leases == leases {
		if o := t.loaded; o != nil && c.w.plan.Provider.Spacing == 0 {
			if r := o.Refund(ref.RefundNo); isDue(r, t.loadedAt) && isFree(o, r, t.loadedAt) {
				c.w.fail("left_waiting", "order %s: %s is due at %v, now %v, and was not taken",
					o.ID, r.No, r.NextAttemptAt, t.loadedAt)
			}
		}
		return
	}
	if next.State != order.StateApproved {
		return
	}
	var later *refund.BusyError
	if t.busy != nil && (!errors.As(next.Err, &later) || later != t.busy) {
		c.w.fail("busy_hidden", "order %s: %s met a busy provider, and Process says %v",
			ref.OrderID, ref.RefundNo, next.Err)
	}
	switch age := c.w.clock(t.proc).Sub(t.lease.approved); {
	case (age >= alertAfter || age <= -alertAfter) && t.stuck == stuck:
		c.w.fail("stuck_unheard", "order %s: %s was approved %v ago, and nobody was alerted",
			ref.OrderID, ref.RefundNo, age)
	case 0 <= age && age < alertAfter && t.stuck > stuck:
		c.w.fail("false_alarm", "order %s: %s is called stuck after %v", ref.OrderID, ref.RefundNo, age)
	}
}

// refusedAsLeased makes sure that a person is only kept from a refund while the provider may be
// asked about it.
func (c *checker) refusedAsLeased(t *task, err error) {
	if !errors.Is(err, order.ErrConflict) || t.loaded == nil {
		return
	}
	if r := t.loaded.Refund(t.op.Refund); r != nil && !ahead(r.LeasedUntil, t.loadedAt, 2*lease) {
		c.w.fail("left_waiting", "order %s: %s is not resolved because of a lease until %v, now %v",
			t.op.Order, t.op.Refund, r.LeasedUntil, t.loadedAt)
	}
}

// stuckListed makes sure that a refund that is stuck by a correct clock is listed as such, above
// all one that was approved by a clock that is ahead.
func (c *checker) stuckListed(p *proc) {
	listed := map[string]bool{}
	for f := (refund.Filter{}); ; {
		page, err := p.svc.Stuck(context.Background(), f)
		if err != nil {
			c.w.fail("stuck", "%v", err)
			return
		}
		for _, e := range page.Entries {
			listed[e.Refund.No] = true
		}
		if f.After = page.Next; f.After == nil {
			break
		}
	}
	now := c.w.clock(p)
	for _, paid := range c.w.plan.Orders {
		o, err := c.w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		for i := range o.Refunds {
			r := &o.Refunds[i]
			age := now.Sub(r.ApprovedAt)
			isStuck := age <= -alertAfter || min(age, now.Sub(r.RequestedAt)) >= alertAfter
			if r.State == order.StateApproved && isStuck && !listed[r.No] {
				c.w.fail("stuck_unlisted", "order %s: %s was approved %v ago, and Stuck does not list it",
					o.ID, r.No, age)
			}
		}
	}
}
