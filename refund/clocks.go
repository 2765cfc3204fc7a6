package refund

import (
	"context"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Clock is an optional interface of a [Store] that several processes share: one clock for all of
// them. The Service uses it to measure how long a refusal waits for proof ([Options].QuietPeriod).
// Without it, Options.Now: the period is then only as exact as the clocks of the processes.
type Clock interface {
	// Now returns the store's time. ctx may carry a transaction of the store.
	Now(ctx context.Context) (time.Time, error)
}

// A stored time in the future was written by another process, whose clock may be wrong by years. It
// is ignored if it is further ahead than a right clock can have written it.

// isAhead reports whether at is in the future, and by no more than most.
func isAhead(at, now time.Time, most time.Duration) bool {
	d := at.Sub(now)
	return 0 < d && d <= most
}

// longestWait bounds NextAttemptAt.
func (s *Service) longestWait() time.Duration { return max(s.opt.MaxWait, s.opt.QuietPeriod) }

// longestLease bounds LeasedUntil. It allows clocks to differ by a Lease.
func (s *Service) longestLease() time.Duration { return 2 * s.opt.Lease }

// longestQuiet bounds the end of a quiet period. It allows clocks to differ by a Lease.
func (s *Service) longestQuiet() time.Duration { return s.opt.QuietPeriod + s.opt.Lease }

// isWaiting reports whether r is not due yet.
func (s *Service) isWaiting(r *order.Refund, now time.Time) bool {
	if r.LeasedUntil.IsZero() {
		return isAhead(r.NextAttemptAt, now, s.longestWait())
	}
	return isAhead(r.NextAttemptAt, now, s.longestLease())
}

// isLeased reports whether a call to the provider for r may be under way.
func (s *Service) isLeased(r *order.Refund, now time.Time) bool {
	return isAhead(r.LeasedUntil, now, s.longestLease())
}

// otherLeaseEnd returns the latest end of a lease on a refund of o other than r; may be zero.
func (s *Service) otherLeaseEnd(o *order.Order, r *order.Refund, now time.Time) (until time.Time) {
	for i := range o.Refunds {
		other := &o.Refunds[i]
		if other.No != r.No && s.isLeased(other, now) && other.LeasedUntil.After(until) {
			until = other.LeasedUntil
		}
	}
	return until
}

// isStuck reports whether a refund that was approved at that time should have an outcome by now. If
// a wrong clock wrote the approval in the future, the refund counts as stuck.
func (s *Service) isStuck(approvedAt, now time.Time) bool {
	return now.Sub(approvedAt) >= s.opt.AlertAfter || approvedAt.Sub(now) > s.opt.Lease
}
