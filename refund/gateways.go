package refund

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Router is an optional interface of a [RefundGateway] that stands for several gateways, each with
// a name. The Service calls Refund and Query of the Router itself. It looks for the other optional
// interfaces at the gateway that Route returns. So a decorator of a Router must be a Router too,
// and its Route must return decorated gateways.
type Router interface {
	// Route returns the gateway of that name, or [ErrUnknownGateway].
	Route(gateway string) (RefundGateway, error)
}

// Gateways routes each order to the gateway that order.Order.Gateway names. It is a
// [RefundGateway] and a [Router]. It is immutable and safe for concurrent use.
type Gateways struct{ byName map[string]RefundGateway }

var (
	_ RefundGateway = (*Gateways)(nil)
	_ Router        = (*Gateways)(nil)
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

// routed returns the gateway of that name, which may have optional interfaces.
func (s *Service) routed(gateway string) (RefundGateway, error) {
	if r, ok := s.gateway.(Router); ok {
		return r.Route(gateway)
	}
	return s.gateway, nil
}
