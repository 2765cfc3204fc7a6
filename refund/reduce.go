package refund

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// observation is something learned of a refund.
type observation struct {
	answer
	// attempt is the attempt of Process that learned it; nil where it was asked for outside one
	// (notification, Sync, Abandon). seen is then the refund as the book had it when the question was asked.
	attempt *attempt
	seen    order.Refund
}

// owns reports whether the observation is of the newest attempt of r: only that one may reschedule it, and
// only that one's no counts, because a newer attempt may have been accepted.
func (ob observation) owns(r *order.Refund) bool {
	return ob.attempt != nil && r.State == order.StateApproved &&
		r.Attempts == ob.attempt.number && r.Retries == ob.attempt.retries
}

// current reports whether the refund stands as it did when the question was asked. If it does not, an answer
// that ends the asking may be older than a submission.
func (ob observation) current(r *order.Refund) bool {
	if ob.attempt != nil {
		return ob.owns(r)
	}
	return *r == ob.seen
}

// reduce is the one way by which what the provider said reaches the book. It works on the refund as it is
// now, which may have moved on since the question was asked.
func (u *update) reduce(ctx context.Context, r *order.Refund, ob observation) error {
	before := *r
	if ob.owns(r) && !ob.submitted && !ob.attempt.declined {
		r.Outstanding, r.SubmittedAt = ob.attempt.outstanding, ob.attempt.submittedAt // nothing was sent after all
	}
	if ob.err == nil {
		if err := u.take(ctx, r, ob); err != nil {
			return err
		}
		r = u.order.Refund(before.No)
	} else if errors.Is(ob.err, ErrMismatch) {
		u.disagree(&before, ob.res, ob.err)
	}
	if ob.owns(r) {
		u.reschedule(r, ob)
	}
	if *r == before && len(u.fired) == 0 && u.conflict == nil {
		return errUnchanged
	}
	u.order.UpdatedAt = u.s.now()
	return nil
}

// take applies a clear answer.
func (u *update) take(ctx context.Context, r *order.Refund, ob observation) error {
	switch ob.res.Outcome {
	case OutcomeSucceeded:
		return u.settle(ctx, r, ob.res)
	case OutcomeAccepted:
		return u.accept(ctx, r, ob.res)
	case OutcomeAbnormal:
		return u.hold(ctx, r, ob)
	case OutcomeDeclined, OutcomeClosed:
		return u.refuse(ctx, r, ob)
	case OutcomeNotFound:
		return u.missing(ctx, r, ob)
	case OutcomeUnknown:
	}
	return nil
}

// missing takes in that the provider does not know the number: a reason to send it, and no more than that,
// unless a no waits for it, or it must not be sent.
func (u *update) missing(ctx context.Context, r *order.Refund, ob observation) error {
	switch {
	case !ob.owns(r):
	case r.DeclinedAt.IsZero(): // also where the provider has accepted it since this attempt began
		if ob.attempt.unsendable != "" {
			keep(r, Result{Message: ob.attempt.unsendable})
			r.DeclinedAt = u.s.now()
		}
	case u.s.now().Sub(r.DeclinedAt) >= u.s.opt.Quiet:
		// The no stands: an earlier submission has had its time and did not arrive.
		return u.fact(ctx, order.EventFail, r.No, Result{Code: r.Code, Message: r.Message})
	}
	return nil
}

// settle books money returned.
func (u *update) settle(ctx context.Context, r *order.Refund, res Result) error {
	if r.State == order.StateRefunded {
		return nil
	}
	if err := u.ensureLive(ctx, r, res, order.StateFailed, order.StateAbnormal); err != nil {
		return err
	}
	return u.fact(ctx, order.EventSettle, r.No, res)
}

// accept notes that the provider has the refund.
func (u *update) accept(ctx context.Context, r *order.Refund, res Result) error {
	switch r.State {
	case order.StateRefunded, order.StateAbnormal: // older than what the book knows
		return nil
	}
	if err := u.ensureLive(ctx, r, res); err != nil {
		return err
	}
	r = u.order.Refund(r.No)
	keep(r, res)
	r.DeclinedAt = time.Time{}
	return nil
}

// hold books money that left and did not arrive.
func (u *update) hold(ctx context.Context, r *order.Refund, ob observation) error {
	res := ob.res
	switch {
	case r.State == order.StateAbnormal:
		return nil
	case r.State == order.StateApproved && !ob.current(r):
		return nil // Process goes on asking
	case r.State == order.StateRefunded:
		u.disagree(r, res, errors.New("the provider says abnormal of a refund that is booked as refunded"))
		return nil
	}
	if err := u.ensureLive(ctx, r, res); err != nil {
		return err
	}
	return u.fact(ctx, order.EventHold, r.No, res)
}

// refuse books a definite no, unless a submission of unknown outcome may be behind it. A failed refund is
// asked about no more, so in doubt it stays approved.
func (u *update) refuse(ctx context.Context, r *order.Refund, ob observation) error {
	outside := ob.attempt == nil
	switch {
	case r.State == order.StateRefunded && ob.queried:
		u.disagree(r, ob.res, fmt.Errorf("the provider says %s of a refund that is booked as refunded", ob.res.Outcome))
		return nil
	case !ob.current(r):
		return nil
	case r.State == order.StateAbnormal && ob.res.Outcome == OutcomeClosed:
		return u.fact(ctx, order.EventFail, r.No, ob.res)
	case r.State != order.StateApproved:
		return nil
	case outside && (!r.LeasedUntil.IsZero() || r.Retries > 0):
		return nil // left to Process, which goes on asking and knows what may be under way
	case !outside && ob.attempt.outstanding && !ob.attempt.declined && (ob.submitted || r.Retries > 0):
		// The echo of an earlier submission, or a no from before the retry that has not arrived yet.
		keep(r, ob.res)
		r.DeclinedAt = u.s.now()
		return nil
	}
	return u.fact(ctx, order.EventFail, r.No, ob.res)
}

// ensureLive adopts a refund that the book does not expect to be with the provider, so that the fact which
// follows is a row of the table. States in also need no adoption.
func (u *update) ensureLive(ctx context.Context, r *order.Refund, res Result, also ...order.State) error {
	if r.State == order.StateApproved || slices.Contains(also, r.State) {
		return nil
	}
	u.disagree(r, res, fmt.Errorf("the provider says %s of a refund that is booked as %s", res.Outcome, r.State))
	return u.fact(ctx, order.EventAdopt, r.No, res)
}

// fact fires an event that the provider caused and keeps its words with the refund.
func (u *update) fact(ctx context.Context, ev order.Event, no string, res Result) error {
	r := u.order.Refund(no)
	keep(r, res)
	if y := res.RefundedAt.Year(); ev == order.EventSettle && !res.RefundedAt.IsZero() && 1 <= y && y <= 9999 {
		r.RefundedAt = stored(res.RefundedAt) // other years no store keeps; the money counts, not its date
	}
	return u.fire(ctx, order.Firing{
		Event: ev, RefundNo: no, Actor: order.ActorProvider, Note: note(res), At: u.s.now(),
	})
}

// reschedule ends the lease of the newest attempt and says when to ask again.
func (u *update) reschedule(r *order.Refund, ob observation) {
	now := u.s.now()
	wait := u.s.backoff(ob.attempt.req.Gateway, r.Attempts)
	var later *RetryLater
	switch {
	case errors.Is(ob.err, ErrSetup):
		wait = max(wait, u.s.opt.SetupBackoff)
	case errors.As(ob.err, &later):
		wait = max(wait, later.After)
	}
	wait = min(wait, u.s.opt.MaxWait)
	if !r.DeclinedAt.IsZero() {
		// The no that waits is checked after the quiet period, not before.
		wait = max(wait, r.DeclinedAt.Add(u.s.opt.Quiet).Sub(now))
	}
	if ob.err != nil && r.DeclinedAt.IsZero() { // a no that waits keeps its code
		r.Code, r.Message = "", clip(ob.err.Error())
	}
	r.LeasedUntil, r.NextAttemptAt = time.Time{}, stored(now.Add(wait))
}

// backoff asks the host's Backoff. The provider has been asked by now: a panic must not lose its answer.
func (s *Service) backoff(gateway string, attempts int) (wait time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("backoff panicked", slog.String("gateway", gateway), slog.Any("panic", p))
			wait = s.opt.SetupBackoff
		}
	}()
	return max(0, s.opt.Backoff(gateway, attempts))
}

// disagree raises a conflict once the Update is committed.
func (u *update) disagree(r *order.Refund, res Result, err error) {
	u.conflict = &Conflict{
		OrderID: u.order.ID, RefundNo: r.No, Book: r.State, Result: res,
		Err: fmt.Errorf("refund %s of order %s: %w", r.No, u.order.ID, err),
	}
}

// keep notes the provider's words on a refund.
func keep(r *order.Refund, res Result) {
	r.Code, r.Message = clip(res.Code), clip(res.Message)
	if res.RefundID != "" {
		r.RefundID = clip(res.RefundID)
	}
}

func note(res Result) string {
	return strings.TrimSpace(clip(res.Code + " " + res.Message))
}

// clip makes foreign text fit to be stored: valid UTF-8 without control characters, 500 bytes at most.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	for len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "")
	}
	return s
}
