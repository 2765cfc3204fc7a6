package swapadapter

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Shop is the shop's own code. It says refund, not WeChat: which provider an order goes back to is
// in the order.
type Shop struct{ Refunds *refund.Service }

// NewShop is the one place where the shop is put together, in production and in its tests. A test
// passes other gateways, and a clock in opt; nothing else differs.
func NewShop(store refund.Store, gateways map[string]refund.RefundGateway, opt refund.Options) (*Shop, error) {
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
	return Tell(r), nil
}

// Tell says how a refund stands, for people. Only what the provider confirmed is called returned or
// refused.
func Tell(r order.Refund) string {
	switch r.State {
	case order.StateRefunded:
		return "returned"
	case order.StateFailed:
		return fmt.Sprintf("refused: %s", r.Code)
	case order.StateAbnormal:
		return "could not reach the buyer, accounting has it"
	case order.StateApproved:
		return "on its way"
	default:
		return string(r.State)
	}
}
