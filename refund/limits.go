package refund

import (
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Limiter is an optional interface of a [RefundGateway] that declares its provider's rules. The
// Service returns [ErrLimit] for a command that cannot work, and delays what must wait.
type Limiter interface {
	// Limits returns the limits of the named gateway, always the same.
	Limits(gateway string) Limits
}

// Limits are a provider's rules. A zero field is no limit.
type Limits struct {
	// MaxRefunds is the largest number of refunds of one order.
	MaxRefunds int
	// MaxAge is how long after its payment an order can be refunded. It needs order.Order.PaidAt.
	MaxAge time.Duration
	// MinInterval is the least time between two submissions of different refunds of one order.
	MinInterval time.Duration
}

func (s *Service) limits(gateway string) Limits {
	to, _ := s.routed(gateway) // an unknown gateway has no limits
	if l, ok := to.(Limiter); ok {
		return l.Limits(gateway)
	}
	return Limits{}
}

// checkRequests returns an error if o has no room for one more refund.
func (s *Service) checkRequests(o *order.Order, number string) error {
	if len(o.Refunds) < s.opt.MaxRequests {
		return nil
	}
	return &LimitError{
		Ref: Ref{OrderID: o.ID, RefundNo: number}, Limit: "max_requests",
		Problem: fmt.Sprintf("%d refunds were requested already", len(o.Refunds)),
	}
}

// checkLimits returns an error if the provider's limits do not allow a refund of o.
func (s *Service) checkLimits(o *order.Order, number string, now time.Time) error {
	l := s.limits(o.Gateway)
	if l.MaxAge > 0 && !o.PaidAt.IsZero() && now.Sub(o.PaidAt) > l.MaxAge {
		return &LimitError{
			Ref: Ref{OrderID: o.ID, RefundNo: number}, Limit: "max_age",
			Problem: fmt.Sprintf("paid %s, refundable for %v",
				o.PaidAt.Format(time.RFC3339), l.MaxAge),
		}
	}
	used := 0
	for i := range o.Refunds {
		switch o.Refunds[i].State {
		case order.StateRejected, order.StateCancelled, order.StateAbandoned: // not at the provider
		default:
			used++
		}
	}
	if l.MaxRefunds > 0 && used > l.MaxRefunds {
		return &LimitError{
			Ref: Ref{OrderID: o.ID, RefundNo: number}, Limit: "max_refunds",
			Problem: fmt.Sprintf("the provider takes %d refunds of one order", l.MaxRefunds),
		}
	}
	return nil
}

// earliestSubmission returns when the provider's MinInterval allows refund r of o to be submitted;
// zero if now. A refund that was sent already may be asked about at any time.
func (s *Service) earliestSubmission(
	o *order.Order, r *order.Refund, now time.Time,
) (earliest time.Time) {
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
