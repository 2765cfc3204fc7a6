package refundtest

import (
	"fmt"
	"slices"

	"github.com/orderfsm/orderfsm/refund"
)

// Calls returns the calls that reached the provider, in the order of their arrival. fmt.Sprint of it reads
// "[refund R1 query R1]".
func (g *Gateway) Calls() []Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

// Paid returns what the buyer got under a refund number, in minor units, whatever the host was told.
func (g *Gateway) Paid(refundNo string) int64 {
	return g.paid(func(e *entry) bool { return e.no == refundNo })
}

// PaidTotal returns what the buyer got of an order under all numbers. More than was asked for is money
// paid twice.
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

// State returns what a refund is to the provider: accepted, succeeded, closed or abnormal, and not_found
// where it has none of that number.
func (g *Gateway) State(refundNo string) refund.Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.ledger[refundNo]; e != nil {
		return e.state
	}
	return refund.OutcomeNotFound
}

// Settle pays a refund that is on its way. It does nothing to any other.
func (g *Gateway) Settle(refundNo string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.ledger[refundNo]; e != nil && e.state == refund.OutcomeAccepted {
		e.end(refund.OutcomeSucceeded)
	}
}

// End ends a refund that the provider has as [refund.OutcomeSucceeded], [refund.OutcomeClosed] or
// [refund.OutcomeAbnormal], also one that has ended otherwise: money that comes back, a late success. It
// returns an error where there is no such refund or outcome.
func (g *Gateway) End(refundNo string, as refund.Outcome) error {
	switch as {
	case refund.OutcomeSucceeded, refund.OutcomeClosed, refund.OutcomeAbnormal:
	case refund.OutcomeUnknown, refund.OutcomeAccepted, refund.OutcomeDeclined, refund.OutcomeNotFound:
		fallthrough
	default:
		return fmt.Errorf("end refund %s: %s is no end", refundNo, as)
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

// RefundInConsole pays a refund past the host, as somebody at the provider's own console can. It is no call. It
// returns an error where the number is taken.
func (g *Gateway) RefundInConsole(orderID, refundNo string, amount int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ledger[refundNo] != nil {
		return fmt.Errorf("refund in console: number %s is taken", refundNo)
	}
	g.ledger[refundNo] = &entry{no: refundNo, orderID: orderID, amount: amount, state: refund.OutcomeSucceeded}
	return nil
}

func unknown(op, refundNo string) error {
	return fmt.Errorf("%s refund %s: the provider has none of that number", op, refundNo)
}
