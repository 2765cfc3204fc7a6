package refund

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
)

// AbandonParams name the failed refund that is given up.
type AbandonParams struct {
	OrderID  string
	RefundNo string
	Actor    order.Actor
	Note     string
}

// Abandon gives a failed refund up and releases its amount for a new one. Because a new number could then
// pay a second time, it asks the provider once more, and refuses with [ErrUnsettled] unless the answer is
// that the number was never seen or is closed. What the provider says instead is recorded: a late success
// settles the refund. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrUnsettled], [ErrConflict]
// (retried in the meantime), [ErrInTx], [ErrInvalid].
func (s *Service) Abandon(ctx context.Context, p AbandonParams) (order.Refund, error) {
	return run(ctx, s, Command{"abandon", p.OrderID, p.RefundNo}, p, s.abandon)
}

func (s *Service) abandon(ctx context.Context, p AbandonParams) (order.Refund, error) {
	ref := Ref{p.OrderID, p.RefundNo}
	if err := s.outsideTx(ctx, "abandon", ref); err != nil {
		return order.Refund{}, err
	}
	o, err := s.get(ctx, p.OrderID)
	if err != nil {
		return order.Refund{}, err
	}
	seen := o.Refund(p.RefundNo)
	if seen == nil {
		return order.Refund{}, fmt.Errorf("abandon refund %s of order %s: %w", p.RefundNo, p.OrderID, ErrRefundNotFound)
	}
	if seen.State == order.StateFailed {
		if err := s.confirmUnpaid(ctx, o, seen); err != nil {
			return order.Refund{}, err
		}
	}
	f := order.Firing{Event: order.EventAbandon, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note}
	return s.command(ctx, p.OrderID, f, func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateFailed && (r.Retries != seen.Retries || !r.EndedAt.Equal(seen.EndedAt)) {
			return false, fmt.Errorf("abandon refund %s of order %s: it was sent again in the meantime: %w",
				p.RefundNo, p.OrderID, ErrConflict)
		}
		return r.State == order.StateAbandoned, nil
	})
}

// confirmUnpaid returns nil only if the provider says now that the refund has not been and is not being paid.
func (s *Service) confirmUnpaid(ctx context.Context, o *order.Order, r *order.Refund) error {
	ans, err := s.observe(ctx, "abandon", o, r)
	if err != nil {
		return err
	}
	if ans.err != nil {
		return fmt.Errorf("abandon refund %s of order %s: %w: %w", r.No, o.ID, ErrUnsettled, ans.err)
	}
	switch ans.res.Outcome {
	case OutcomeNotFound, OutcomeClosed, OutcomeDeclined:
		return nil
	case OutcomeUnknown, OutcomeAccepted, OutcomeSucceeded, OutcomeAbnormal:
	}
	return fmt.Errorf("abandon refund %s of order %s: it is %s: %w",
		r.No, o.ID, ans.res.Outcome, ErrUnsettled)
}

// observe asks the provider about refund seen of o and records the answer. The error is the store's; the
// provider's is in the answer.
func (s *Service) observe(ctx context.Context, op string, o *order.Order, seen *order.Refund) (answer, error) {
	ref := Ref{o.ID, seen.No}
	call, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	res, err := s.query(call, newRequest(o, seen).query())
	cancel()
	ans := answer{res: res, err: err, queried: true}
	// What the provider said is a fact, whether or not the caller still waits for it.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.opt.Lease)
	defer cancel()
	return ans, s.update(ctx, op, ref, func(ctx context.Context, u *update) error {
		r, err := u.refund(op, ref.RefundNo)
		if err != nil {
			return err
		}
		return u.reduce(ctx, r, observation{answer: ans, seen: *seen})
	})
}
