package swapadapter

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Shop is the shop's own code. It does not name a provider: each order names its gateway.
type Shop struct{ Refunds *refund.Service }

// NewShop wires the shop, in production and in tests. A test differs only in the gateways and in
// the clock in opt.
func NewShop(
	store refund.Store, gateways map[string]refund.RefundGateway, opt refund.Options,
) (*Shop, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	router, err := refund.NewGateways(gateways)
	if err != nil {
		return nil, err
	}
	svc, err := refund.NewService(machine, store, router, opt)
	if err != nil {
		return nil, err
	}
	return &Shop{Refunds: svc}, nil
}

// GiveBack approves a refund and returns the message for the clerk.
func (s *Shop) GiveBack(ctx context.Context, p refund.ApproveParams) (string, error) {
	r, err := s.Refunds.ApproveAndSend(ctx, p)
	if err != nil {
		return "", err
	}
	return Describe(r), nil
}

// Describe returns the state of a refund for people. It says returned or refused only if the
// provider confirmed it.
func Describe(r order.Refund) string {
	switch r.State {
	case order.StateRefunded:
		return "returned"
	case order.StateFailed:
		return fmt.Sprintf("refused: %s", r.Code)
	case order.StateAbnormal:
		return "could not reach the buyer, accounting takes care of it"
	case order.StateApproved:
		return "on its way"
	default:
		return string(r.State)
	}
}
