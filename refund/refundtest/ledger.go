package refundtest

import (
	"fmt"
	"slices"

	"github.com/orderfsm/orderfsm/refund"
)

// Calls returns the calls that reached the provider, in the order of their arrival. fmt.Sprint of
// them is "[refund R1 query R1]".
func (g *Gateway) Calls() []Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

// Paid returns what the buyer received under a refund number, in minor units, whatever the answer
// to the host was.
func (g *Gateway) Paid(refundNo string) int64 {
	return g.paid(func(e *entry) bool { return e.number == refundNo })
}

// PaidTotal returns what the buyer received for an order under all refund numbers. If it is more
// than was requested, money was paid twice.
func (g *Gateway) PaidTotal(orderID string) int64 {
	return g.paid(func(e *entry) bool { return e.orderID == orderID })
}

func (g *Gateway) paid(counts func(*entry) bool) (sum int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.ledger {
		if e.state == refund.OutcomeSucceeded && counts(e) {
			sum += e.amount
		}
	}
	return sum
}

// State returns the state of a refund at the provider: accepted, succeeded, closed or abnormal, or
// not_found if the provider does not have the number.
func (g *Gateway) State(refundNo string) refund.Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.ledger[refundNo]; e != nil {
		return e.state
	}
	return refund.OutcomeNotFound
}

// End ends a refund as [refund.OutcomeSucceeded], [refund.OutcomeClosed] or
// [refund.OutcomeAbnormal]. The refund may have ended otherwise before: money comes back, or a
// refund succeeds late. End returns an error if the provider does not have the number, and for any
// other outcome.
func (g *Gateway) End(refundNo string, as refund.Outcome) error {
	switch as {
	case refund.OutcomeSucceeded, refund.OutcomeClosed, refund.OutcomeAbnormal:
	case refund.OutcomeUnknown, refund.OutcomeAccepted, refund.OutcomeDeclined,
		refund.OutcomeNotFound:
		fallthrough
	default:
		return fmt.Errorf("end refund %s: a refund cannot end as %q", refundNo, as)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.ledger[refundNo]
	if e == nil {
		return unknown("end", refundNo)
	}
	e.end(as)
	return nil
}

// RefundInConsole pays a refund without the host, as a person can in the provider's console. It is
// not one of Calls. It returns an error if the number is taken.
func (g *Gateway) RefundInConsole(orderID, refundNo string, amount int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ledger[refundNo] != nil {
		return fmt.Errorf("refund in console: number %s is taken", refundNo)
	}
	g.ledger[refundNo] = &entry{
		number: refundNo, orderID: orderID, amount: amount, state: refund.OutcomeSucceeded,
	}
	return nil
}

func unknown(op, refundNo string) error {
	return fmt.Errorf("%s refund %s: the provider does not have the number", op, refundNo)
}
