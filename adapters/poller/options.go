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
	// Concurrency is the most refunds in flight at once. If zero, 8.
	Concurrency int
	// Batch is the most refunds taken from the store's list at once. If zero, four times Concurrency.
	Batch int
	// Gateways sets limits for the gateways that it names, by order.Order.Gateway.
	Gateways map[string]GatewayOptions
	// IdleMin and IdleMax bound the wait between two looks that find nothing. It doubles from the one to the
	// other, each time less up to a fifth at random. If zero, 100 ms and 5 s.
	IdleMin, IdleMax time.Duration
	// StopTimeout is how long Run waits, once calls are cancelled, for their outcome to be written down. If
	// zero, 10 s.
	StopTimeout time.Duration
	// Logger receives the records that the package documentation lists. If nil, slog.Default().
	Logger *slog.Logger
	// Now is the clock. If nil, time.Now. It should be that of the Service: by it the Poller sees
	// that a refund was put off by a clock that is wrong.
	Now func() time.Time
	// NewTimer starts a timer: fired receives once d has passed, unless stop was called before. If nil, that
	// of package time.
	NewTimer func(d time.Duration) (fired <-chan time.Time, stop func())
}

// GatewayOptions are what the Poller sends to one gateway at most, in this process: with several replicas each has
// its own.
type GatewayOptions struct {
	// Concurrency is the most refunds in flight at once. If zero, three quarters of Options.Concurrency,
	// at least 1.
	Concurrency int
	// Rate is the most refunds processed per second, evenly spaced; each takes one call to the provider, or
	// two. If zero, there is no limit.
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
	if o.NewTimer == nil {
		o.NewTimer = newTimer
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

func newTimer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
