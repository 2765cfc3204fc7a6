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
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ledger[refundNo].paid()
}

// PaidTotal returns what the buyer received for an order under all refund numbers. If it is more
// than was requested, money was paid twice.
func (g *Gateway) PaidTotal(orderID string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := int64(0)
	for _, e := range g.orders[orderID] {
		sum += e.paid()
	}
	return sum
}

// paid returns what the buyer received of a refund. e is nil if the provider does not have it.
func (e *entry) paid() int64 {
	if e == nil || e.state != refund.OutcomeSucceeded {
		return 0
	}
	return e.amount
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

// RefundInConsole makes a refund without the host, as a person can in the provider's console. It is
// not one of Calls. The refund is paid, accepted, closed or abnormal as the step of
// [Gateway.ByDefault] says, and paid if the step says neither. RefundInConsole returns an error if
// the number is taken.
func (g *Gateway) RefundInConsole(orderID, refundNo string, amount int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ledger[refundNo] != nil {
		return fmt.Errorf("refund in console: number %s is taken", refundNo)
	}
	how := g.usual
	if how.moves == refund.OutcomeUnknown {
		how = Pay()
	}
	e := &entry{number: refundNo, orderID: orderID, amount: amount}
	e.move(how)
	g.add(e)
	return nil
}

func unknown(op, refundNo string) error {
	return fmt.Errorf("%s refund %s: the provider does not have the number", op, refundNo)
}
