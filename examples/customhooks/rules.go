package customhooks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Rules are the shop's rules. They are part of the machine, so no Service can be built without
// them.
type Rules struct {
	// Limit is the amount of an order, in minor units, that one person may refund. The sum of
	// refunded and open amounts counts, so many small refunds need two people, as a large one does.
	Limit int64
	// ReturnBy is the time after the payment in which the buyer may keep the goods. If the time of
	// payment is unknown, the goods must always come back.
	ReturnBy time.Duration
}

// Book is the part of the store that the rules read.
type Book interface {
	History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error)
}

// rules are Rules that read a Book.
type rules struct {
	Rules
	book Book
}

// guard is called inside the update, before a decision is carried out. o is the order before t.
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

// goodsFirst refuses a late refund if its goods are not back.
func (r rules) goodsFirst(ctx context.Context, o *order.Order, t order.Transition) error {
	// an unknown time of payment is the year 1, so it is too long ago.
	if t.At.Sub(o.PaidAt) <= r.ReturnBy {
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

// twoPeople refuses an approval above the limit, unless another person proposed it.
func (r rules) twoPeople(ctx context.Context, o *order.Order, t order.Transition) error {
	if t.From != StateSecondReview {
		if all := o.Refunded + o.Reserved; all > r.Limit {
			return fmt.Errorf("refunds of %d in total need two people: propose it first", all)
		}
		return nil
	}
	first, err := r.last(ctx, o.ID, t.RefundNo, EventPropose)
	if err != nil {
		return err
	}
	if first.Actor == t.Actor {
		return fmt.Errorf("%s proposed it: somebody else must approve", first.Actor)
	}
	return nil
}

// last returns the newest transition of a refund that one of the events caused. If there is none,
// it returns the zero Transition. The order that a guard gets has no history, so last reads it from
// the book, in the transaction that ctx carries.
func (r rules) last(
	ctx context.Context, orderID, number string, events ...order.Event,
) (order.Transition, error) {
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
