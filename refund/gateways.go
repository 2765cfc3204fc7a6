package refund

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Router is an optional interface of a [RefundGateway] that stands for several gateways, each with
// a name. [Service.NotificationHandler] uses it to find the gateway that reads a provider's
// notifications, so a decorator of a Router must be a Router too.
type Router interface {
	// Route returns the gateway of that name, or [ErrUnknownGateway].
	Route(gateway string) (RefundGateway, error)
}

// Gateways routes each order to the gateway that order.Order.Gateway names. It is a
// [RefundGateway], [Router], [Checker], [Lister] and [Limiter], and forwards to what the routed
// gateway implements. It is immutable and safe for concurrent use.
type Gateways struct{ byName map[string]RefundGateway }

var (
	_ RefundGateway = (*Gateways)(nil)
	_ Router        = (*Gateways)(nil)
	_ Checker       = (*Gateways)(nil)
	_ Lister        = (*Gateways)(nil)
	_ Limiter       = (*Gateways)(nil)
)

// NewGateways returns a router for the named gateways. Later changes of byName have no effect.
func NewGateways(byName map[string]RefundGateway) (*Gateways, error) {
	var errs []error
	for name, g := range byName {
		if g == nil {
			errs = append(errs, invalid("gateway", fmt.Sprintf("%q is nil", name)))
		}
	}
	if len(byName) == 0 {
		errs = append(errs, invalid("gateways", "is empty"))
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

// routeCall is Route for a call to the provider.
func (g *Gateways) routeCall(gateway string) (RefundGateway, error) {
	to, err := g.Route(gateway)
	if err != nil {
		return nil, &SetupError{Gateway: gateway, Err: err}
	}
	return to, nil
}

// Refund forwards. An unknown gateway is a [*SetupError].
func (g *Gateways) Refund(ctx context.Context, req Request) (Result, error) {
	to, err := g.routeCall(req.Gateway)
	if err != nil {
		return Result{}, err
	}
	return to.Refund(ctx, req)
}

// Query forwards. An unknown gateway is a [*SetupError].
func (g *Gateways) Query(ctx context.Context, req Request) (Result, error) {
	to, err := g.routeCall(req.Gateway)
	if err != nil {
		return Result{}, err
	}
	return to.Query(ctx, req)
}

// List forwards to a [Lister]. It returns [ErrUnsupported] if the gateway is not one, and a
// [*SetupError] if it is unknown.
func (g *Gateways) List(ctx context.Context, req Request) ([]Result, error) {
	to, err := g.routeCall(req.Gateway)
	if err != nil {
		return nil, err
	}
	if l, ok := to.(Lister); ok {
		return l.List(ctx, req)
	}
	return nil, fmt.Errorf("list refunds through gateway %q: %w", req.Gateway, ErrUnsupported)
}

// Check forwards to a [Checker]. It returns [ErrUnknownGateway] if the gateway is unknown.
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

// Limits forwards to a [Limiter]. It returns no limits if the gateway is not one, or is unknown.
func (g *Gateways) Limits(gateway string) Limits {
	if l, ok := g.byName[gateway].(Limiter); ok {
		return l.Limits(gateway)
	}
	return Limits{}
}
