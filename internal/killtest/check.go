package killtest

import (
	"fmt"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

// ledger is the provider's record of payments. *wechattest.Server implements it.
type ledger interface {
	Ledger() []wechattest.Entry
	Paid(refundNo string) int64
	PaidTotal(orderID string) int64
}

// audit compares the plan, the book and the ledger.
type audit struct {
	machine *order.Machine
	ledger  ledger

	Refunds, Paid, Failed int
	// PaidFen is what the provider paid.
	PaidFen int64
	// PaidTwice counts the refunds that were paid more than once or under a number that nobody
	// approved, and the orders that paid more than was approved. Lost counts the refunds that have
	// not ended, or that ended differently from the ledger.
	PaidTwice, Lost int
	// Differences describe everything that is wrong.
	Differences []string
}

func (a *audit) differ(count *int, format string, args ...any) {
	if count != nil {
		*count++
	}
	a.Differences = append(a.Differences, fmt.Sprintf(format, args...))
}

// order compares one order; o is nil if the book does not have it.
func (a *audit) order(p planned, o *order.Order) {
	a.Refunds += len(p.amounts)
	if o == nil {
		a.Lost += len(p.amounts)
		a.differ(nil, "order %s is not in the book", p.id)
		return
	}
	if err := a.machine.Verify(o); err != nil {
		a.differ(nil, "order %s: %v", p.id, err)
	}
	var approved int64
	for i, amount := range p.amounts {
		a.refund(o, p.refundNo(i), amount)
		approved += amount
	}
	if len(o.Refunds) > len(p.amounts) {
		a.differ(nil, "order %s has %d refunds, not %d", p.id, len(o.Refunds), len(p.amounts))
	}
	paid := a.ledger.PaidTotal(p.id)
	a.PaidFen += paid
	if paid > approved { // approved is at most the total
		a.differ(&a.PaidTwice, "order %s: the provider paid %d, but %d were approved", p.id, paid, approved)
	}
	if paid != o.Refunded {
		a.differ(nil, "order %s: the book has %d, the provider paid %d", p.id, o.Refunded, paid)
	}
}

// refund compares one refund.
func (a *audit) refund(o *order.Order, number string, amount int64) {
	r := o.Refund(number)
	if r == nil {
		a.differ(&a.Lost, "refund %s is not in the book", number)
		return
	}
	if r.Amount != amount {
		a.differ(nil, "refund %s has the amount %d, not %d", number, r.Amount, amount)
	}
	paid := a.ledger.Paid(number)
	switch {
	case r.State == order.StateRefunded && paid == amount:
		a.Paid++
	case r.State == order.StateFailed && paid == 0:
		a.Failed++
	default:
		a.differ(&a.Lost, "refund %s of %d is %s, the provider paid %d", number, amount, r.State, paid)
	}
}

// entries looks for payments in the ledger that the plan does not have.
func (a *audit) entries(plan []planned) {
	known := map[string]string{}
	for _, p := range plan {
		for i := range p.amounts {
			known[p.refundNo(i)] = p.id
		}
	}
	for _, e := range a.ledger.Ledger() {
		if known[e.OutRefundNo] != e.OutTradeNo {
			a.differ(&a.PaidTwice, "nobody approved refund %s of order %s, amount %d", e.OutRefundNo, e.OutTradeNo, e.Amount)
		}
		if e.Payments > 1 {
			a.differ(&a.PaidTwice, "refund %s was paid %d times", e.OutRefundNo, e.Payments)
		}
	}
}
