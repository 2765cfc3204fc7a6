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
	Ref
	Actor order.Actor
	Note  string
	// Evidence says why the refund cannot pay any more, if the provider does not answer: the number of
	// a statement, a ticket, a letter. It is kept in the note. It does not outweigh an answer of the
	// provider.
	Evidence string
}

// Abandon gives a failed refund up and releases its amount for a new one. Because a new number could
// then pay a second time, Abandon asks the provider once more and returns [ErrUnsettled] unless the
// answer is that the number was never seen or is closed. Any other answer is recorded: a late success
// settles the refund. If the provider does not answer, Evidence takes the place of its answer.
// Repeated, Abandon returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrUnsettled],
// [ErrConflict] (retried in the meantime), [ErrInTx], [ErrInvalid].
func (s *Service) Abandon(ctx context.Context, p AbandonParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "abandon", p.Ref, &err)
	defer end()
	if err := s.refuseInTx(ctx, "abandon", p.Ref); err != nil {
		return order.Refund{}, err
	}
	o, err := s.get(ctx, p.OrderID)
	if err != nil {
		return order.Refund{}, err
	}
	seen := o.Refund(p.RefundNo)
	if seen == nil {
		return order.Refund{}, fmt.Errorf("abandon %s: %w", p.name(), ErrRefundNotFound)
	}
	if seen.State == order.StateFailed {
		err := s.confirmUnpaid(ctx, o, seen)
		var silent *noAnswerError
		if errors.As(err, &silent) && strings.TrimSpace(p.Evidence) != "" {
			p.Note = strings.TrimSpace(p.Note + "\nunconfirmed by the provider: " + p.Evidence)
			err = nil
		}
		if err != nil {
			return order.Refund{}, err
		}
	}
	return s.command(ctx, p.Ref, order.EventAbandon, p.Actor, p.Note, func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateFailed && (r.Retries != seen.Retries || !r.EndedAt.Equal(seen.EndedAt)) {
			return false, fmt.Errorf("abandon %s: it was sent again in the meantime: %w", p.name(), ErrConflict)
		}
		return r.State == order.StateAbandoned, nil
	})
}

// noAnswerError is returned if the provider gave no clear answer.
type noAnswerError struct{ err error }

// Error implements error.
func (e *noAnswerError) Error() string { return ErrUnsettled.Error() + ": " + e.err.Error() }

// Unwrap returns what errors.Is and errors.As look for.
func (e *noAnswerError) Unwrap() []error { return []error{ErrUnsettled, e.err} }

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
		return fmt.Errorf("abandon %s: %w: %w", Ref{OrderID: o.ID, RefundNo: r.No}.name(), ErrUnsettled, ans.err)
	default:
		return fmt.Errorf("abandon refund %s of order %s: %w", r.No, o.ID, &noAnswerError{ans.err})
	}
	switch ans.res.Outcome {
	case OutcomeNotFound, OutcomeClosed, OutcomeDeclined:
		return nil
	case OutcomeUnknown, OutcomeAccepted, OutcomeSucceeded, OutcomeAbnormal:
	}
	return fmt.Errorf("abandon refund %s of order %s: it is %s: %w",
		r.No, o.ID, ans.res.Outcome, ErrUnsettled)
}
