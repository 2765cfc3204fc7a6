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
	// Gateway names the provider that took the money: the key of [NewGateways] where there are several, and
	// what [Service.NotificationHandler] is given.
	Gateway string
	// PaymentID is the provider's number for the payment (WeChat: transaction_id); may be empty.
	PaymentID string
	// Currency is an ISO 4217 code; Total is what was paid, in its minor unit.
	Currency string
	Total    int64
	// PaidAt is when; may be zero.
	PaidAt time.Time
}

// Register records a paid order, where the store is not the host's own orders table. The same call again
// returns the order as it is now, without its history; another gateway, payment ID, currency, total or time of payment under the same
// ID is [ErrConflict]: take PaidAt from the payment, not from the clock. Bad input is [ErrInvalid], and a gateway that
// [NewGateways] has none of [ErrUnknownGateway]. Whether the provider can refund such an order at all, its currency and
// the form of its number, Request finds out.
func (s *Service) Register(ctx context.Context, p RegisterParams) (_ *order.Order, err error) {
	ctx, end := s.trace(ctx, "register", Ref{OrderID: p.OrderID}, &err)
	defer end()
	now := s.now()
	o := &order.Order{
		ID: p.OrderID, Gateway: p.Gateway, PaymentID: p.PaymentID, Currency: p.Currency, Total: p.Total,
		State: order.StatePaid, PaidAt: stored(p.PaidAt), CreatedAt: now, UpdatedAt: now,
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("register order: %w", err)
	}
	err = s.checkRoute(p.Gateway)
	if err == nil {
		err = s.store.Create(ctx, o)
	}
	if err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrUnknownGateway) {
		return nil, fmt.Errorf("register order %s: %w", p.OrderID, err)
	}
	known, getErr := s.get(ctx, p.OrderID)
	if errors.Is(getErr, ErrOrderNotFound) && err != nil { // one that is known already may have outlived its gateway
		return nil, fmt.Errorf("register order %s: %w", p.OrderID, err)
	}
	if getErr != nil {
		return nil, getErr
	}
	if term := firstDifference(known, o); term != "" {
		return nil, fmt.Errorf("register order %s: it is registered with another %s: %w", p.OrderID, term, ErrConflict)
	}
	return known, nil
}

// checkRoute returns ErrUnknownGateway where the gateway is a Router that has none of that name.
func (s *Service) checkRoute(gateway string) error {
	r, ok := s.gateway.(Router)
	if !ok {
		return nil
	}
	_, err := r.Route(gateway)
	return err
}

// firstDifference names the first term in which two registrations differ.
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
	case !a.PaidAt.Equal(b.PaidAt):
		return "paid_at"
	}
	return ""
}
