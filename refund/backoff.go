package refund

import (
	"math/rand/v2"
	"time"
)

// Backoff tells how long to wait after an attempt that ended without an outcome. attempts counts from 1.
// It must be safe for concurrent use.
type Backoff func(gateway string, attempts int) time.Duration

// ExponentialBackoff begins at first and doubles up to most, each time less up to a fifth at random, so
// that refunds which failed together do not come back together. It is the same for every gateway.
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
