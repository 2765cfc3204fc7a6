package refund

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/orderfsm/orderfsm/order"
)

// Router is an optional interface of a [RefundGateway] that stands for several, each under a name of its own.
// [Service.NotificationHandler] finds the one that reads a provider's notifications with it, so a decorator of a
// Router must be one too.
type Router interface {
	// Route returns the gateway of that name, or [ErrUnknownGateway].
	Route(gateway string) (RefundGateway, error)
}

// Gateways routes each order to the gateway that took its money, by order.Order.Gateway. It is itself a
// [RefundGateway], [Router], [Checker], [Lister] and [Limiter], and forwards to what the routed gateway implements. It is
// immutable and safe for concurrent use.
type Gateways struct{ byName map[string]RefundGateway }

var (
	_ RefundGateway = (*Gateways)(nil)
	_ Router        = (*Gateways)(nil)
	_ Checker       = (*Gateways)(nil)
	_ Lister        = (*Gateways)(nil)
	_ Limiter       = (*Gateways)(nil)
)

// NewGateways returns a router over the named gateways. Mutating byName afterwards has no effect.
func NewGateways(byName map[string]RefundGateway) (*Gateways, error) {
	var errs []error
	for name, g := range byName {
		if g == nil {
			errs = append(errs, &order.InvalidError{Field: "gateway", Problem: fmt.Sprintf("%q is nil", name)})
		}
	}
	if len(byName) == 0 {
		errs = append(errs, &order.InvalidError{Field: "gateways", Problem: "there is none"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("new gateways: %w", err)
	}
	return &Gateways{byName: maps.Clone(byName)}, nil
}

// Route implements [Router].
func (g *Gateways) Route(gateway string) (RefundGateway, error) {
	if to, ok := g.byName[gateway]; ok {
		return to, nil
	}
	return nil, fmt.Errorf("gateway %q: %w", gateway, ErrUnknownGateway)
}

// Refund forwards. An unknown gateway is a [*SetupError].
func (g *Gateways) Refund(ctx context.Context, req Request) (Result, error) {
	to, err := g.Route(req.Gateway)
	if err != nil {
		return Result{}, &SetupError{Gateway: req.Gateway, Err: err}
	}
	return to.Refund(ctx, req)
}

// Query forwards. An unknown gateway is a [*SetupError].
func (g *Gateways) Query(ctx context.Context, req Request) (Result, error) {
	to, err := g.Route(req.Gateway)
	if err != nil {
		return Result{}, &SetupError{Gateway: req.Gateway, Err: err}
	}
	return to.Query(ctx, req)
}

// Check returns [ErrUnknownGateway] for an order whose gateway is not here, and forwards to a [Checker].
func (g *Gateways) Check(req Request) error {
	to, err := g.Route(req.Gateway)
	if err != nil {
		return err
	}
	if c, ok := to.(Checker); ok {
		return c.Check(req)
	}
	return nil
}

// Limits forwards to a [Limiter]; a gateway that is none, or is not here, has no limits.
func (g *Gateways) Limits(gateway string) Limits {
	if l, ok := g.byName[gateway].(Limiter); ok {
		return l.Limits(gateway)
	}
	return Limits{}
}

// List forwards to a [Lister]; a gateway that is none is [ErrUnsupported].
func (g *Gateways) List(ctx context.Context, req Request) ([]Result, error) {
	to, err := g.Route(req.Gateway)
	if err != nil {
		return nil, &SetupError{Gateway: req.Gateway, Err: err}
	}
	if l, ok := to.(Lister); ok {
		return l.List(ctx, req)
	}
	return nil, fmt.Errorf("list refunds through gateway %q: %w", req.Gateway, ErrUnsupported)
}
