package refund

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RegisterParams describe a paid order.
type RegisterParams struct {
	// OrderID is the host's order number (WeChat: out_trade_no).
	OrderID string
	// Gateway names the provider that took the money. With [NewGateways] it is a key of byName.
	Gateway string
	// PaymentID is the provider's number for the payment (WeChat: transaction_id); may be empty.
	PaymentID string
	// Currency is an ISO 4217 code. Total is the paid amount, in minor units. An order for which
	// nothing was paid has nothing to refund: do not register it.
	Currency string
	Total    int64
	// PaidAt is the time of the payment, not of the call; may be zero. The first one counts.
	PaidAt time.Time
}

// Register records a paid order. A host needs it if its own orders table is not the store. Repeated
// with the same parameters, it returns the order as it is now, without its history. It does not
// check whether the provider can refund such an order (currency, form of the number); Request does.
//
// Errors: [order.ErrInvalid], [ErrUnknownGateway], [order.ErrConflict] if the order is registered
// with another gateway, payment ID, currency or total, or with a time of payment that differs by a
// second or more. A host may have read the time from a column that holds seconds.
func (s *Service) Register(ctx context.Context, p RegisterParams) (_ *order.Order, err error) {
	ctx, end := s.trace(ctx, "register", Ref{OrderID: p.OrderID}, &err)
	defer end()
	now := s.now()
	o := &order.Order{
		ID: p.OrderID, Gateway: p.Gateway, PaymentID: p.PaymentID, Currency: p.Currency,
		Total: p.Total, State: order.StatePaid,
		PaidAt: stored(p.PaidAt), CreatedAt: now, UpdatedAt: now,
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("register order: %w", err)
	}
	_, err = s.routed(p.Gateway)
	if err == nil {
		err = s.store.Create(ctx, o)
	}
	if err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrUnknownGateway) {
		return nil, fmt.Errorf("register order %s: %w", p.OrderID, err)
	}
	known, getErr := s.get(ctx, p.OrderID)
	if errors.Is(getErr, ErrOrderNotFound) && err != nil {
		// The gateway is unknown. An order that exists may have had it before.
		return nil, fmt.Errorf("register order %s: %w", p.OrderID, err)
	}
	if getErr != nil {
		return nil, getErr
	}
	if field := firstDifference(known, o); field != "" {
		return nil, fmt.Errorf("register order %s: it is registered with another %s: %w",
			p.OrderID, field, order.ErrConflict)
	}
	return known, nil
}

// firstDifference names the first field in which two registrations differ.
func firstDifference(a, b *order.Order) string {
	switch {
	case a.Gateway != b.Gateway:
		return "gateway"
	case a.PaymentID != b.PaymentID:
		return "payment_id"
	case a.Currency != b.Currency:
		return "currency"
	case a.Total != b.Total:
		return "total"
	case a.PaidAt.IsZero() || b.PaidAt.IsZero():
	case a.PaidAt.Sub(b.PaidAt).Abs() >= time.Second:
		return "paid_at"
	}
	return ""
}
