package refund

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"
)

// ReconcileParams select the orders that are compared with the provider.
type ReconcileParams struct {
	// Orders yields the IDs of the orders to compare, or an error, which ends Reconcile. A host
	// that knows all its paid orders yields them here: a refund that was made in the provider's own
	// console may be the only one of its order. If nil, the orders with a refund in the book that
	// the fields below select, by the time of the first such refund.
	Orders iter.Seq2[string, error]
	// Gateway of the order; empty for all.
	Gateway string
	// From and To bound RequestedAt: From ≤ RequestedAt < To. If From is zero, there is no lower
	// bound. If To is zero, now.
	From, To time.Time
	// After is the Cursor of the last report before. If nil, Reconcile starts at the beginning.
	After *Position
}

// OrderReport is what Reconcile found for one order.
type OrderReport struct {
	OrderID string
	SyncReport
	// Err is why the order could not be compared, or not completely; nil if it was.
	Err error
	// Cursor continues after this order; see [ReconcileParams].After. It is nil if Orders is set.
	Cursor *Position
}

// Reconcile runs [Service.Sync] on many orders, one after the other, and yields a report for each,
// also if book and provider agree. It may run beside everything else.
//
// If an order cannot be compared, its report has Err, and Reconcile goes on. An error of the
// iterator ends it. To go on from there, call Reconcile again with the Cursor of the last report.
//
// Errors: [ErrInTx], those of the store or of Orders, and that of ctx once it has ended.
func (s *Service) Reconcile(ctx context.Context, p ReconcileParams) iter.Seq2[OrderReport, error] {
	return func(yield func(OrderReport, error) bool) {
		fail := func(err error) { yield(OrderReport{}, fmt.Errorf("reconcile: %w", err)) }
		if s.joined(ctx) {
			fail(ErrInTx)
			return
		}
		for at, err := range s.ordersOf(ctx, p) {
			if err != nil {
				fail(err)
				return
			}
			report := OrderReport{OrderID: at.OrderID}
			if p.Orders == nil {
				report.Cursor = &at
			}
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

// ordersOf yields the orders that p names, each once.
func (s *Service) ordersOf(ctx context.Context, p ReconcileParams) iter.Seq2[Position, error] {
	if p.Orders == nil {
		return s.refundedOrders(ctx, p)
	}
	return func(yield func(Position, error) bool) {
		for id, err := range p.Orders {
			if err != nil {
				err = fmt.Errorf("list orders: %w", err)
			}
			if !yield(Position{Ref: Ref{OrderID: id}}, err) {
				return
			}
		}
	}
}

// refundedOrders yields the first selected refund of each order that has one.
func (s *Service) refundedOrders(
	ctx context.Context, p ReconcileParams,
) iter.Seq2[Position, error] {
	return func(yield func(Position, error) bool) {
		f := Filter{Gateway: p.Gateway, From: p.From, To: p.To, After: p.After}
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
					number = s.firstRefund(ctx, e, p.From)
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
