package refund

import (
	"math/rand/v2"
	"time"
)

// Backoff returns how long to wait after an attempt that ended without an outcome. gateway is
// order.Order.Gateway, so that a provider can have its own waits. attempts counts from 1. It must
// be safe for concurrent use.
type Backoff func(gateway string, attempts int) time.Duration

// ExponentialBackoff begins at first and doubles up to most. Each wait is up to a fifth shorter, at
// random, so that refunds which failed together are not retried together. It ignores the gateway.
func ExponentialBackoff(first, most time.Duration) Backoff {
	return func(_ string, attempts int) time.Duration {
		d := first
		for i := 1; i < attempts && 0 < d && d < most; i++ {
			d += min(d, most-d) // doubles, without overflow
		}
		d = min(d, most)
		if fifth := int64(d / 5); fifth > 0 {
			d -= time.Duration(rand.Int64N(fifth)) //nolint:gosec // spreads load, guards nothing
		}
		return d
	}
}

// defaultBackoff begins within seconds, because most refunds are settled at once, and ends at
// hours, because a bank may take days. There is no last attempt.
func defaultBackoff() Backoff { return ExponentialBackoff(5*time.Second, 2*time.Hour) }
