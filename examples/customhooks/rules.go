package customhooks

import (
	"context"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Rules are the shop's. They are part of the machine, so that no Service can be built without them.
type Rules struct {
	// Limit is how much of an order one person may give back, in minor units: what was returned and what
	// is open count together, so that many small refunds need two people as well as a large one.
	Limit int64
	// ReturnBy is how long after the payment a refund needs no goods. An order without a time of payment
	// always needs them.
	ReturnBy time.Duration
}

// guard is asked inside the update, before a decision is carried out. o is the order as it is before t.
func (r Rules) guard(_ context.Context, o *order.Order, t order.Transition) error {
	switch t.Event {
	case EventPropose, order.EventApprove:
		if err := r.goodsFirst(o, t); err != nil {
			return err
		}
	}
	if t.Event == order.EventApprove {
		return r.twoPeople(o, t)
	}
	return nil
}

// goodsFirst refuses a late refund whose goods are not back.
func (r Rules) goodsFirst(o *order.Order, t order.Transition) error {
	if t.At.Sub(o.PaidAt) <= r.ReturnBy { // no time of payment is the year 1: too long ago
		return nil
	}
	if last(o, t.RefundNo, EventAskReturn, EventGoodsArrived).Event != EventGoodsArrived {
		return fmt.Errorf("the goods must be back first: no payment within the last %v is known", r.ReturnBy)
	}
	return nil
}

// twoPeople refuses an approval above the limit that is not the second yes of two people.
func (r Rules) twoPeople(o *order.Order, t order.Transition) error {
	if t.From != StateSecondReview {
		if all := o.Refunded + o.Reserved; all > r.Limit {
			return fmt.Errorf("refunds of %d in all need two people: propose it", all)
		}
		return nil
	}
	if first := last(o, t.RefundNo, EventPropose).Actor; first == t.Actor {
		return fmt.Errorf("%s has proposed it: somebody else must approve", first)
	}
	return nil
}

// last returns the newest transition of a refund by one of the events; the zero one where there is none.
func last(o *order.Order, no string, events ...order.Event) order.Transition {
	for i := len(o.History) - 1; i >= 0; i-- {
		for _, ev := range events {
			if t := o.History[i]; t.RefundNo == no && t.Event == ev {
				return t
			}
		}
	}
	return order.Transition{}
}
