package poller

import (
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// holdAgain is how long a refund that is still approved is held, even if the store lists it
	// as due. It may wait for another refund of its order, or its Backoff may be zero.
	holdAgain = time.Second
	// holdError is how long a refund that could not be processed is held.
	holdError = 10 * time.Second
	// holdOdd is how long a refund that is still approved is held if the store lists it with a
	// time that a wrong clock wrote. Without it, two replicas whose clocks are a year apart would
	// ask in turns without a pause, because each lists as due what the other has scheduled.
	holdOdd = time.Minute
	// clockSlack is how much two clocks may differ that are not wrong.
	clockSlack = time.Minute
	// maxHolds bounds how many refunds are remembered for longer than holdAgain and holdError.
	maxHolds = 10_000
)

// hold is a refund that was processed and is not started again for a while.
type hold struct {
	dueAt time.Time // since when it was due before it was processed
	since time.Time // when it was processed
	firm  time.Time // it is held until then
	until time.Time // it is held until then if the store lists it with an odd time
	odd   bool      // the store has listed it with an odd time
}

// holds reports whether d, which the store lists as due, must not start yet.
func (h *hold) holds(d refund.DueRefund, now time.Time) bool {
	if !reached(h.firm, now, holdError) {
		return true
	}
	// The time is right in two cases. It is the time from before: nobody has asked since, because
	// the refund waits for another one. Or it was reached since: the refund was scheduled or
	// retried.
	wasDue := d.At.Equal(h.dueAt)
	becameDue := !d.At.After(now) && !d.At.Before(h.since.Add(-clockSlack))
	h.odd = !wasDue && !becameDue
	return h.odd && !reached(h.until, now, holdOdd)
}

// holds are the refunds that are held, by order and number.
type holds struct {
	byOrder map[string]map[string]*hold
	n       int
}

// add holds a refund that was processed for firm, and remembers it for a while longer.
func (h *holds) add(d refund.DueRefund, now time.Time, firm time.Duration) {
	of := h.byOrder[d.OrderID]
	if of == nil {
		of = map[string]*hold{}
		h.byOrder[d.OrderID] = of
	}
	if of[d.RefundNo] == nil {
		h.n++
	}
	until := now.Add(holdOdd)
	if h.n > maxHolds {
		until = now.Add(firm)
	}
	of[d.RefundNo] = &hold{dueAt: d.At, since: now, firm: now.Add(firm), until: until}
}

// contain reports whether d, which the store lists as due, must not start yet.
func (h *holds) contain(d refund.DueRefund, now time.Time) bool {
	held := h.byOrder[d.OrderID][d.RefundNo]
	return held != nil && held.holds(d, now)
}

// releaseOthers releases the other refunds of an order, which may have waited for this one. It
// reports whether there were any.
func (h *holds) releaseOthers(ref refund.Ref) (some bool) {
	of := h.byOrder[ref.OrderID]
	for number := range of {
		if number != ref.RefundNo {
			delete(of, number)
			h.n--
			some = true
		}
	}
	return some
}

// expire forgets refunds that were held long enough. It returns how many refunds the store may
// list that must not start yet.
func (h *holds) expire(now time.Time) (held int) {
	for id, of := range h.byOrder {
		for number, one := range of {
			firm := !reached(one.firm, now, holdError)
			switch {
			case firm || one.odd && !reached(one.until, now, holdOdd):
				held++
			case reached(one.until, now, holdOdd):
				delete(of, number)
				h.n--
			}
		}
		if len(of) == 0 {
			delete(h.byOrder, id)
		}
	}
	return held
}
