package refund

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orderfsm/orderfsm/order"
)

// AbandonParams name the failed refund that is given up.
type AbandonParams struct {
	OrderID  string
	RefundNo string
	Actor    order.Actor
	Note     string
	// Evidence says why the refund cannot pay any more, for a provider that does not answer: the number of a
	// statement, a ticket, a letter. It is kept in the note. It does not outweigh what the provider says.
	Evidence string
}

// Abandon gives a failed refund up and releases its amount for a new one. Because a new number could then
// pay a second time, it asks the provider once more, and refuses with [ErrUnsettled] unless the answer is
// that the number was never seen or is closed. What the provider says instead is recorded: a late success
// settles the refund. If the provider does not answer, Evidence takes the place of its answer. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrUnsettled], [ErrConflict]
// (retried in the meantime), [ErrInTx], [ErrInvalid].
func (s *Service) Abandon(ctx context.Context, p AbandonParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"abandon", p.OrderID, p.RefundNo}, &err)
	defer end()
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
	note := p.Note
	if seen.State == order.StateFailed {
		err := s.confirmUnpaid(ctx, o, seen)
		var silent *silentError
		if errors.As(err, &silent) && strings.TrimSpace(p.Evidence) != "" {
			note, err = strings.TrimSpace(note+"\nunconfirmed by the provider: "+p.Evidence), nil
		}
		if err != nil {
			return order.Refund{}, err
		}
	}
	f := order.Trigger{Event: order.EventAbandon, RefundNo: p.RefundNo, Actor: p.Actor, Note: note}
	return s.command(ctx, p.OrderID, f, func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateFailed && (r.Retries != seen.Retries || !r.EndedAt.Equal(seen.EndedAt)) {
			return false, fmt.Errorf("abandon refund %s of order %s: it was sent again in the meantime: %w",
				p.RefundNo, p.OrderID, ErrConflict)
		}
		return r.State == order.StateAbandoned, nil
	})
}

// silentError is returned if the provider gave no clear answer.
type silentError struct{ err error }

// Error implements error.
func (e *silentError) Error() string { return ErrUnsettled.Error() + ": " + e.err.Error() }

// Unwrap returns what errors.Is and errors.As look for.
func (e *silentError) Unwrap() []error { return []error{ErrUnsettled, e.err} }

// confirmUnpaid returns nil only if the provider says now that the refund has not been and is not being paid.
func (s *Service) confirmUnpaid(ctx context.Context, o *order.Order, r *order.Refund) error {
	ans, _, err := s.observe(ctx, "abandon", o, r)
	if err != nil {
		return err
	}
	switch {
	case ans.err == nil:
	case errors.Is(ans.err, ErrMismatch), errors.Is(ans.err, errOvertaken), ctx.Err() != nil:
		// The provider did answer, or was given no time to.
		return fmt.Errorf("abandon refund %s of order %s: %w: %w", r.No, o.ID, ErrUnsettled, ans.err)
	default:
		return fmt.Errorf("abandon refund %s of order %s: %w", r.No, o.ID, &silentError{ans.err})
	}
	switch ans.res.Outcome {
	case OutcomeNotFound, OutcomeClosed, OutcomeDeclined:
		return nil
	case OutcomeUnknown, OutcomeAccepted, OutcomeSucceeded, OutcomeAbnormal:
	}
	return fmt.Errorf("abandon refund %s of order %s: it is %s: %w",
		r.No, o.ID, ans.res.Outcome, ErrUnsettled)
}
