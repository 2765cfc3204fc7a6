package poller

import (
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// holdAgain is how long a refund that is still approved is left alone, whatever the list says:
	// it may wait for another one of its order, or have a Backoff of nothing.
	holdAgain = time.Second
	// holdError is how long a refund that could not be processed is left alone.
	holdError = 10 * time.Second
	// holdOdd is how long a refund that is still approved is left alone if the list has it with a
	// time that somebody's clock was wrong by. Two replicas whose clocks are a year apart each find
	// due what the other has put off, and would ask in turns without a pause.
	holdOdd = time.Minute
	// clockSlack is how much clocks may differ that are not wrong.
	clockSlack = time.Minute
	// maxHolds bounds what is remembered beyond holdAgain and holdError.
	maxHolds = 10_000
)

// hold is a refund that was processed.
type hold struct {
	at          time.Time // since when it was due before it was processed
	since, firm time.Time // it is left alone from since until firm in any case,
	until       time.Time // and until then if it is listed with an odd time
	odd         bool      // it was
}

// keeps reports whether d, which the list has as due, is left alone.
func (h *hold) keeps(d refund.DueRefund, now time.Time) bool {
	if !reached(h.firm, now, holdError) {
		return true
	}
	// It is due by the time that it had before: nobody has asked about it since, as it waits for
	// another refund. Or its time has come since: it was put off, or is to be retried.
	wasDue := d.At.Equal(h.at)
	becameDue := !d.At.After(now) && !d.At.Before(h.since.Add(-clockSlack))
	h.odd = !wasDue && !becameDue
	return h.odd && !reached(h.until, now, holdOdd)
}

// holds are the refunds that are left alone for a while, by order and number.
type holds struct {
	byOrder map[string]map[string]*hold
	n       int
}

// add leaves alone for firm a refund that was processed, and remembers it for a while longer.
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
	of[d.RefundNo] = &hold{at: d.At, since: now, firm: now.Add(firm), until: until}
}

func (h *holds) keeps(d refund.DueRefund, now time.Time) bool {
	held := h.byOrder[d.OrderID][d.RefundNo]
	return held != nil && held.keeps(d, now)
}

// freeOthers lets go of the other refunds of an order, which may have waited for this one. It
// reports whether there were any.
func (h *holds) freeOthers(ref refund.Ref) (some bool) {
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

// expire lets go of what has been held long enough, and returns how many the list may hold in vain.
func (h *holds) expire(now time.Time) (inVain int) {
	for id, of := range h.byOrder {
		for number, held := range of {
			firm := !reached(held.firm, now, holdError)
			switch {
			case firm || held.odd && !reached(held.until, now, holdOdd):
				inVain++
			case reached(held.until, now, holdOdd):
				delete(of, number)
				h.n--
			}
		}
		if len(of) == 0 {
			delete(h.byOrder, id)
		}
	}
	return inVain
}
