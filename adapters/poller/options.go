package poller

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Options are the optional parts of a [Poller]. The zero value is ready for use.
type Options struct {
	// Concurrency is the maximum number of refunds in flight. If zero, 8.
	Concurrency int
	// Batch is the maximum number of refunds in one list. If zero, four times Concurrency.
	Batch int
	// Gateways sets limits for single gateways, by order.Order.Gateway.
	Gateways map[string]GatewayOptions
	// IdleMin and IdleMax bound the wait after a list without new refunds. The wait starts at
	// IdleMin and doubles up to IdleMax. Each wait is up to a fifth shorter at random. If zero,
	// 100 ms and 5 s.
	IdleMin, IdleMax time.Duration
	// StopTimeout is how long Run waits for the calls in flight after it has cancelled them. If
	// zero, 10 s.
	StopTimeout time.Duration
	// Logger receives the records that the package documentation lists. If nil, slog.Default().
	Logger *slog.Logger
	// Now is the clock. If nil, time.Now. It should be the clock of the Service: the Poller
	// compares it with the times in the store to detect that another clock is wrong.
	Now func() time.Time
}

// GatewayOptions limit what this Poller sends to one gateway. With several replicas, each replica
// has its own limits.
type GatewayOptions struct {
	// Concurrency is the maximum number of refunds in flight. If zero, three quarters of
	// Options.Concurrency, at least 1.
	Concurrency int
	// Rate is the maximum number of refunds per second, evenly spaced. Each of them takes one or
	// two calls to the provider. If zero, there is no limit.
	Rate float64
}

func (o *Options) setDefaults() {
	if o.Concurrency == 0 {
		o.Concurrency = 8
	}
	if o.Batch == 0 {
		o.Batch = 4 * o.Concurrency
	}
	if o.IdleMin == 0 {
		o.IdleMin = 100 * time.Millisecond
	}
	if o.IdleMax == 0 {
		o.IdleMax = max(o.IdleMin, 5*time.Second)
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the one place where the wall clock is the default
	}
	o.Gateways = maps.Clone(o.Gateways)
}

func (o *Options) validate() error {
	var errs []error
	bad := func(field, problem string) {
		errs = append(errs, &order.InvalidError{Field: field, Problem: problem})
	}
	for _, n := range []struct {
		field string
		n     int64
	}{
		{"concurrency", int64(o.Concurrency)},
		{"batch", int64(o.Batch)},
		{"idle_min", int64(o.IdleMin)},
		{"idle_max", int64(o.IdleMax)},
		{"stop_timeout", int64(o.StopTimeout)},
	} {
		if n.n < 0 {
			bad(n.field, "is negative")
		}
	}
	if o.IdleMax < o.IdleMin {
		bad("idle_max", "is less than idle_min")
	}
	for name, l := range o.Gateways {
		if l.Concurrency < 0 {
			bad("gateways", fmt.Sprintf("concurrency of %q is negative", name))
		}
		if l.Rate < 0 || math.IsNaN(l.Rate) {
			bad("gateways", fmt.Sprintf("rate of %q is not a number of refunds per second", name))
		}
	}
	return errors.Join(errs...)
}
