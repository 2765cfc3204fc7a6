package refund

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// AbandonParams name the failed refund that is given up.
type AbandonParams struct {
	Ref
	Actor order.Actor
	Note  string
	// Evidence is why the refund cannot pay any more: the number of a statement, a ticket, a
	// letter. It is used only if the provider does not answer, and is then kept in the note.
	Evidence string
}

// Abandon gives a failed refund up and releases its amount for a new one. A new number could pay a
// second time, so Abandon asks the provider once more. It returns [ErrUnsettled] unless the
// provider has closed or declined the refund, or does not know the number although
// [Options].QuietPeriod has passed since the last submission: some providers answer so while they
// process a refund. Any other answer is recorded: a late success settles the refund. If the
// provider does not answer, Evidence takes the place of its answer. Repeated, Abandon returns the
// refund as it is now.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition], [order.ErrVetoed],
// [ErrUnsettled], [order.ErrConflict] (retried in the meantime), [ErrInTx], [order.ErrInvalid].
func (s *Service) Abandon(ctx context.Context, p AbandonParams) (_ order.Refund, err error) {
	const op = "abandon"
	ctx, end := s.trace(ctx, op, p.Ref, &err)
	defer end()
	if err := s.refuseInTx(ctx, op, p.Ref); err != nil {
		return order.Refund{}, err
	}
	o, err := s.get(ctx, p.OrderID)
	if err != nil {
		return order.Refund{}, err
	}
	seen := o.Refund(p.RefundNo)
	if seen == nil {
		return order.Refund{}, p.wrap(op, order.ErrRefundNotFound)
	}
	if seen.State == order.StateFailed {
		err := s.confirmUnpaid(ctx, p.Ref, o, seen)
		var noAnswer *noAnswerError
		if errors.As(err, &noAnswer) && strings.TrimSpace(p.Evidence) != "" {
			p.Note = strings.TrimSpace(p.Note + "\nunconfirmed by the provider: " + p.Evidence)
			err = nil
		}
		if err != nil {
			return order.Refund{}, err
		}
	}
	done := func(_ *update, r *order.Refund) (bool, error) {
		isSame := r.Retries == seen.Retries && r.EndedAt.Equal(seen.EndedAt)
		if r.State == order.StateFailed && !isSame {
			err := fmt.Errorf("it was sent again in the meantime: %w", order.ErrConflict)
			return false, p.wrap(op, err)
		}
		return r.State == order.StateAbandoned, nil
	}
	return s.command(ctx, p.Ref, order.EventAbandon, p.Actor, p.Note, done)
}

// noAnswerError is returned if the provider gave no clear answer.
type noAnswerError struct{ err error }

// Error implements error.
func (e *noAnswerError) Error() string { return ErrUnsettled.Error() + ": " + e.err.Error() }

// Unwrap returns ErrUnsettled and the cause.
func (e *noAnswerError) Unwrap() []error { return []error{ErrUnsettled, e.err} }

// confirmUnpaid asks the provider. It returns nil only if the refund was not paid and will not be.
func (s *Service) confirmUnpaid(
	ctx context.Context, ref Ref, o *order.Order, r *order.Refund,
) error {
	const op = "abandon"
	ans, _, err := s.observe(ctx, op, o, r)
	if err != nil {
		return err
	}
	switch {
	case ans.err == nil:
	case errors.Is(ans.err, ErrMismatch), errors.Is(ans.err, errOvertaken), ctx.Err() != nil:
		// The provider did answer, or was given no time to.
		return ref.wrap(op, fmt.Errorf("%w: %w", ErrUnsettled, ans.err))
	default:
		return ref.wrap(op, &noAnswerError{ans.err})
	}
	if !isRefusal(ans.res.Outcome) {
		return ref.wrap(op, fmt.Errorf("it is %s: %w", ans.res.Outcome, ErrUnsettled))
	}
	until := r.SubmittedAt.Add(s.opt.QuietPeriod)
	if ans.res.Outcome == OutcomeNotFound && isAhead(until, s.now(), s.longestQuiet()) {
		return ref.wrap(op, fmt.Errorf("the provider may not show it before %s: %w",
			until.Format(time.RFC3339), ErrUnsettled))
	}
	return nil
}
