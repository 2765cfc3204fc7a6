package customhooks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Rules are the shop's. They are part of the machine, so that no Service can be built without them.
type Rules struct {
	// Limit is how much of an order one person may give back, in minor units: what was returned and
	// what is open count together, so that many small refunds need two people as well as a large
	// one.
	Limit int64
	// ReturnBy is how long after the payment a refund needs no goods. An order without a time of
	// payment always needs them.
	ReturnBy time.Duration
}

// Book is where the rules look up what has happened: the store.
type Book interface {
	History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error)
}

// rules are the Rules of a book.
type rules struct {
	Rules
	book Book
}

// guard is asked inside the update, before a decision is carried out. o is the order as it is
// before t.
func (r rules) guard(ctx context.Context, o *order.Order, t order.Transition) error {
	switch t.Event {
	case EventPropose, order.EventApprove:
		if err := r.goodsFirst(ctx, o, t); err != nil {
			return err
		}
	}
	if t.Event == order.EventApprove {
		return r.twoPeople(ctx, o, t)
	}
	return nil
}

// goodsFirst refuses a late refund whose goods are not back.
func (r rules) goodsFirst(ctx context.Context, o *order.Order, t order.Transition) error {
	if t.At.Sub(o.PaidAt) <= r.ReturnBy { // no time of payment is the year 1: too long ago
		return nil
	}
	newest, err := r.last(ctx, o.ID, t.RefundNo, EventAskReturn, EventGoodsArrived)
	if err != nil {
		return err
	}
	if newest.Event != EventGoodsArrived {
		return fmt.Errorf("the goods must be back first: no payment within the last %v is known", r.ReturnBy)
	}
	return nil
}

// twoPeople refuses an approval above the limit that is not the second yes of two people.
func (r rules) twoPeople(ctx context.Context, o *order.Order, t order.Transition) error {
	if t.From != StateSecondReview {
		if all := o.Refunded + o.Reserved; all > r.Limit {
			return fmt.Errorf("refunds of %d in all need two people: propose it", all)
		}
		return nil
	}
	first, err := r.last(ctx, o.ID, t.RefundNo, EventPropose)
	if err != nil {
		return err
	}
	if first.Actor == t.Actor {
		return fmt.Errorf("%s has proposed it: somebody else must approve", first.Actor)
	}
	return nil
}

// last returns the newest transition of a refund by one of the events; the zero one if there is
// none. The order that a guard gets has no history, so it is read from the book, in the transaction
// that ctx carries.
func (r rules) last(ctx context.Context, orderID, number string, events ...order.Event) (order.Transition, error) {
	var last order.Transition
	for after := int64(0); ; {
		page, err := r.book.History(ctx, orderID, after, refund.MaxLimit)
		if err != nil || len(page) == 0 {
			return last, err
		}
		for _, t := range page {
			if t.RefundNo == number && slices.Contains(events, t.Event) {
				last = t
			}
		}
		after = page[len(page)-1].Seq
	}
}
