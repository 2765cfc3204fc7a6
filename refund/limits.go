package refund

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// ErrLimit matches every [*LimitError].
var ErrLimit = errors.New("limit reached")

// Limiter is an optional interface of a [RefundGateway] that declares what its provider's rules allow. The
// Service refuses what cannot work, with [ErrLimit] and before anything changes, and paces what must wait.
type Limiter interface {
	// Limits returns the limits of the named gateway, always the same.
	Limits(gateway string) Limits
}

// Limits are a provider's rules. A zero field is no limit.
type Limits struct {
	// MaxRefunds is how many refunds of one order the provider takes.
	MaxRefunds int
	// MaxAge is how long after the payment an order can be refunded. It needs order.Order.PaidAt.
	MaxAge time.Duration
	// MinInterval is the least time between two submissions of different refunds of one order.
	MinInterval time.Duration
}

// LimitError says which limit a command would break. It matches [ErrLimit].
type LimitError struct {
	OrderID  string
	RefundNo string
	// Limit is "max_refunds", "max_age" or "max_requests".
	Limit string
	// Problem says it in words.
	Problem string
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("refund %s of order %s: %s: %s", e.RefundNo, e.OrderID, e.Limit, e.Problem)
}

// Is reports whether target is ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

func (s *Service) limits(gateway string) Limits {
	if l, ok := s.gateway.(Limiter); ok {
		return l.Limits(gateway)
	}
	return Limits{}
}

// checkRequests refuses a refund of o that is one too many.
func (s *Service) checkRequests(o *order.Order, no string) error {
	if len(o.Refunds) < s.opt.MaxRequests {
		return nil
	}
	return &LimitError{
		OrderID: o.ID, RefundNo: no, Limit: "max_requests",
		Problem: fmt.Sprintf("%d refunds were requested already", len(o.Refunds)),
	}
}

// checkLimits refuses to let refund no of o go on towards the provider where that could not work.
func (s *Service) checkLimits(o *order.Order, no string, now time.Time) error {
	l := s.limits(o.Gateway)
	if l.MaxAge > 0 && !o.PaidAt.IsZero() && now.Sub(o.PaidAt) > l.MaxAge {
		return &LimitError{
			OrderID: o.ID, RefundNo: no, Limit: "max_age",
			Problem: fmt.Sprintf("paid %s, refundable for %v", o.PaidAt.Format(time.RFC3339), l.MaxAge),
		}
	}
	used := 0
	for i := range o.Refunds {
		switch o.Refunds[i].State {
		case order.StateRejected, order.StateCancelled, order.StateAbandoned: // the provider has none of these
		default:
			used++
		}
	}
	if l.MaxRefunds > 0 && used > l.MaxRefunds {
		return &LimitError{
			OrderID: o.ID, RefundNo: no, Limit: "max_refunds",
			Problem: fmt.Sprintf("the provider takes %d refunds of one order", l.MaxRefunds),
		}
	}
	return nil
}

// earliestSubmission returns when refund r of o may be submitted at the earliest, because of the provider's interval between
// refunds of one order; zero if it may be now. A refund that was sent already may be asked about at any time.
func (s *Service) earliestSubmission(o *order.Order, r *order.Refund, now time.Time) (earliest time.Time) {
	interval := s.limits(o.Gateway).MinInterval
	if interval <= 0 || r.Outstanding {
		return time.Time{}
	}
	for i := range o.Refunds {
		other := &o.Refunds[i]
		if other.No == r.No || other.SubmittedAt.IsZero() {
			continue
		}
		next := stored(other.SubmittedAt.Add(interval))
		if isAhead(next, now, interval+s.opt.Lease) && next.After(earliest) {
			earliest = next
		}
	}
	return earliest
}
