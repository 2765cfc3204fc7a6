package refund

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// recordAnswer records what a means for its refund: a verdict, and then its effects. again reports
// that the answer may be older than the book, so the provider must be asked once more.
func (u *update) recordAnswer(
	ctx context.Context, op string, q *question, a answer,
) (again bool, err error) {
	r, err := u.refund(op, q.seen.No)
	if err != nil {
		return false, err
	}
	before := *r
	now, err := u.s.quietClock(ctx, q, a)
	if err != nil {
		return false, err
	}
	if q.isNewest(r) && !a.submitted { // nothing was sent after all
		r.Outstanding, r.SubmittedAt = q.seen.Outstanding, q.seen.SubmittedAt
	}
	v := judge(r, q, a, now, u.s.opt.QuietPeriod)
	if err := u.book(ctx, r, v, a.res, now); err != nil {
		return false, err
	}
	if q.isNewest(r) {
		u.reschedule(r, a.err, now)
	}
	if r.Equal(&before) && len(u.fired) == 0 && u.discrepancy == nil {
		return v.again, errUnchanged
	}
	u.order.UpdatedAt = u.s.now()
	return v.again, nil
}

// quietClock returns the time that refusals are timed with. It is the store's, if the store has a
// clock and a may be a refusal, so that all processes measure the quiet period on one clock.
func (s *Service) quietClock(ctx context.Context, q *question, a answer) (time.Time, error) {
	c, ok := s.store.(Clock)
	if ok && q.attempt > 0 && a.err == nil && isRefusal(a.res.Outcome) {
		now, err := c.Now(ctx)
		return stored(now), err
	}
	return s.now(), nil
}

// book carries a verdict out. A transition changes r in place.
func (u *update) book(
	ctx context.Context, r *order.Refund, v verdict, res Result, now time.Time,
) error {
	if v.discrepancy != nil {
		u.setDiscrepancy(r.No, r.State, res, v.discrepancy)
		u.marker = v.marker
	}
	if v.keep {
		setWords(r, v.words)
	}
	switch {
	case v.accepted:
		r.DeclinedAt = time.Time{}
		if r.AcceptedAt.IsZero() {
			r.AcceptedAt = u.s.now()
		}
	case v.refused:
		r.DeclinedAt = now
	}
	if v.adopt {
		if err := u.fireFromProvider(ctx, order.EventAdopt, r, v.words); err != nil {
			return err
		}
	}
	if v.event == "" {
		return nil
	}
	return u.fireFromProvider(ctx, v.event, r, v.words)
}

// fireFromProvider fires an event that the provider caused and keeps its words with the refund.
func (u *update) fireFromProvider(
	ctx context.Context, ev order.Event, r *order.Refund, res Result,
) error {
	setWords(r, res)
	if ev == order.EventSettle {
		r.ConfirmedAt = u.s.now()
		if at := stored(res.RefundedAt); !at.IsZero() && 1 <= at.Year() && at.Year() <= 9999 {
			r.RefundedAt = at // stores keep no other years; a wrong date must not lose a payment
		}
	}
	_, err := u.fire(ctx, order.Trigger{
		Event: ev, RefundNo: r.No,
		Actor: order.ActorProvider, Note: joinWords(res), At: u.s.now(),
	})
	return err
}

// reschedule ends the lease of the newest attempt and sets when to ask again. failed is why it has
// no outcome; now is on the clock that refusals are timed with.
func (u *update) reschedule(r *order.Refund, failed error, now time.Time) {
	wait := u.s.backoff(u.order.Gateway, r.Attempts)
	var busy *BusyError
	switch {
	case errors.Is(failed, ErrSetup):
		wait = max(wait, u.s.opt.SetupBackoff)
	case errors.As(failed, &busy):
		wait = max(wait, busy.After)
	}
	wait = min(wait, u.s.opt.MaxWait)
	if !r.DeclinedAt.IsZero() {
		// A refusal that waits is checked after the quiet period, not before.
		quiet := u.s.opt.QuietPeriod
		wait = max(wait, min(r.DeclinedAt.Add(quiet).Sub(now), quiet))
	}
	if failed != nil && r.DeclinedAt.IsZero() { // a refusal that waits keeps its code
		r.Code, r.Message = "", clip(failed.Error(), order.MaxMessage)
	}
	r.LeasedUntil, r.NextAttemptAt = time.Time{}, stored(u.s.now().Add(wait))
}

// backoff calls the host's Backoff. A panic must not lose the provider's answer.
func (s *Service) backoff(gateway string, attempts int) (wait time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("backoff panicked", slog.String("gateway", gateway), slog.Any("panic", p))
			wait = s.opt.SetupBackoff
		}
	}()
	return max(0, s.opt.Backoff(gateway, attempts))
}

// setDiscrepancy makes the Update report a discrepancy; book was the refund's state.
func (u *update) setDiscrepancy(number string, book order.State, res Result, err error) {
	u.discrepancy = &Discrepancy{
		Ref: Ref{OrderID: u.order.ID, RefundNo: number}, Book: book, Result: res,
		Err: fmt.Errorf("refund %s of order %s: %w", number, u.order.ID, err),
	}
}

// setWords keeps the provider's words with a refund.
func setWords(r *order.Refund, res Result) {
	res = clipWords(res)
	r.Code, r.Message = res.Code, res.Message
	if res.ProviderRefundID != "" {
		r.ProviderRefundID = res.ProviderRefundID
	}
	if res.Recipient != "" {
		r.Recipient = res.Recipient
	}
	if res.Settled != 0 {
		r.Settled = res.Settled
	}
}

// joinWords returns the provider's words as one text.
func joinWords(res Result) string {
	return strings.TrimSpace(clip(res.Code+" "+res.Message, order.MaxMessage))
}

// clipWords shortens the provider's words to what every store keeps, so that they cannot prevent an
// outcome from being booked.
func clipWords(res Result) Result {
	res.ProviderRefundID = clip(res.ProviderRefundID, order.MaxCode)
	res.Code = clip(res.Code, order.MaxCode)
	res.Message = clip(res.Message, order.MaxMessage)
	res.Recipient = clip(res.Recipient, order.MaxCode)
	if res.Settled < 0 || res.Settled > res.Amount {
		res.Settled = 0
	}
	return res
}

// clip makes text storable: valid UTF-8 without control characters, at most most bytes.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*most)], "?") // saves work: the rest is cut anyway
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
