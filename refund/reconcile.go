package refund

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"
)

// OrderReport is what Reconcile found for one order.
type OrderReport struct {
	OrderID string
	SyncReport
	// Err is why the order could not be compared, or not completely; nil if it was.
	Err error
	// Cursor is Filter.After to continue after this order.
	Cursor *Position
}

// Reconcile runs [Service.Sync] on the orders that have a refund in the book which f selects, one
// after the other, and yields a report for each, also if book and provider agree. The orders come
// by the time of their first such refund. It may run beside everything else.
//
// If f.To is zero, now. Reconcile ignores f.States and f.Limit: Sync compares all refunds of an
// order. It does not visit orders without a refund in the book. A refund made in the provider's own
// console may be the only one of its order: to find it, call Sync for each paid order.
//
// If an order cannot be compared, its report has Err, and Reconcile goes on. An error of the
// iterator ends it. To go on from there, call Reconcile again with the Cursor of the last report as
// f.After.
//
// Errors: [ErrInTx], those of the store, and that of ctx once it has ended.
func (s *Service) Reconcile(ctx context.Context, f Filter) iter.Seq2[OrderReport, error] {
	return func(yield func(OrderReport, error) bool) {
		fail := func(err error) { yield(OrderReport{}, fmt.Errorf("reconcile: %w", err)) }
		if s.joined(ctx) {
			fail(ErrInTx)
			return
		}
		for at, err := range s.refundedOrders(ctx, f) {
			if err != nil {
				fail(err)
				return
			}
			report := OrderReport{OrderID: at.OrderID, Cursor: &at}
			report.SyncReport, report.Err = s.Sync(ctx, at.OrderID)
			if err := ctx.Err(); err != nil { // the order must be compared again
				fail(err)
				return
			}
			if !yield(report, nil) {
				return
			}
		}
	}
}

// refundedOrders yields the first selected refund of each order that has one.
func (s *Service) refundedOrders(ctx context.Context, f Filter) iter.Seq2[Position, error] {
	return func(yield func(Position, error) bool) {
		f.States, f.Limit = nil, 0
		if f.To.IsZero() {
			f.To = s.now() // refunds that are requested in the meantime are left out
		}
		// known has the number of the first refund of each order on the page before, so that an
		// order with many refunds is read once.
		known := map[string]string{}
		for {
			page, err := s.ListRefunds(ctx, f)
			if err != nil {
				yield(Position{}, err)
				return
			}
			firsts := map[string]string{}
			for _, e := range page.Entries {
				number := cmp.Or(firsts[e.OrderID], known[e.OrderID])
				if number == "" {
					number = s.firstRefund(ctx, e, f.From)
				}
				firsts[e.OrderID] = number
				if e.Refund.No == number && !yield(e.Position(), nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			f.After, known = page.Next, firsts
		}
	}
}

// firstRefund returns the number of the first refund since from of e's order. If the order cannot
// be read, it is e's: Sync reports the error.
func (s *Service) firstRefund(ctx context.Context, e Entry, from time.Time) string {
	o, err := s.get(ctx, e.OrderID)
	if err != nil {
		return e.Refund.No
	}
	for i := range o.Refunds {
		other := Entry{OrderID: o.ID, Refund: o.Refunds[i]}
		if !other.Refund.RequestedAt.Before(from) && other.Position().Compare(e.Position()) < 0 {
			e = other
		}
	}
	return e.Refund.No
}
