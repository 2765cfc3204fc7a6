package refund

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// DueRefund is an approved refund that is due, with what an engine needs to be fair between gateways.
type DueRefund struct {
	Ref
	// Gateway of the order.
	Gateway string
	// At is since when it is due, UTC.
	At time.Time
}

// GatewayDuer is an optional interface of a [Store]. With it an engine can leave out the gateways that it
// can send nothing to at the moment; without it, a backlog of one gateway hides what is due for the others.
type GatewayDuer interface {
	// DueExcept lists as Store.Due does, without the refunds of orders whose gateway is among except.
	DueExcept(ctx context.Context, now time.Time, limit int, except []string) ([]DueRefund, error)
}

// DueExcept lists what is due, longest due first, without the refunds of the given gateways; at most limit.
//
// Where the store is no [GatewayDuer], every order is read for its gateway, and the limit applies before
// the gateways are left out, so that the list may be empty although something is due further back. An order
// that cannot be read is listed without its gateway, so that Process tells what is wrong with it.
func (s *Service) DueExcept(ctx context.Context, limit int, except []string) ([]DueRefund, error) {
	if g, ok := s.store.(GatewayDuer); ok {
		due, err := g.DueExcept(ctx, s.now(), limit, except)
		if err != nil {
			return nil, fmt.Errorf("list due refunds: %w", err)
		}
		return due, nil
	}
	now := s.now()
	refs, err := s.Due(ctx, limit)
	if err != nil {
		return nil, err
	}
	due := make([]DueRefund, 0, len(refs))
	for _, ref := range refs {
		o, err := s.get(ctx, ref.OrderID)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("list due refunds: %w", ctx.Err())
		}
		if err != nil {
			due = append(due, DueRefund{Ref: ref, At: now}) // one bad order does not hide the others
			continue
		}
		r := o.Refund(ref.RefundNo)
		if r == nil || r.State != order.StateApproved || slices.Contains(except, o.Gateway) {
			continue // it has moved on since the list was made, or is not wanted
		}
		due = append(due, DueRefund{Ref: ref, Gateway: o.Gateway, At: r.NextAttemptAt})
	}
	return due, nil
}

// Stuck pages through the refunds that have been approved for AlertAfter or longer and still have no
// outcome: those that the Stuck hook tells of, whether or not it was heard. They go on being asked about.
//
// f narrows the selection; its States and To are set here. A page may hold fewer refunds than its limit,
// even none, and still have a Next.
func (s *Service) Stuck(ctx context.Context, f Filter) (Page, error) {
	before := s.now().Add(-s.opt.AlertAfter)
	f.States = []order.State{order.StateApproved}
	// To is exclusive. A refund is requested no later than it is approved, so this loses none.
	if until := before.Add(time.Microsecond); f.To.IsZero() || f.To.After(until) {
		f.To = until
	}
	p, err := s.store.List(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list stuck refunds: %w", err)
	}
	p.Entries = slices.DeleteFunc(p.Entries, func(e Entry) bool { return e.Refund.ApprovedAt.After(before) })
	return p, nil
}
