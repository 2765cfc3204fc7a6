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

// recordAnswer is the one way by which what the provider said reaches the book: a verdict, and then its effects. It reports
// whether the provider must be asked once more, because the answer may be older than the book.
func (u *update) recordAnswer(ctx context.Context, no string, q *question, a answer) (again bool, err error) {
	r := u.order.Refund(no)
	before := *r
	now, err := u.s.quietClock(ctx, q, a)
	if err != nil {
		return false, err
	}
	if q.isNewest(r) && !a.submitted {
		r.Outstanding, r.SubmittedAt = q.seen.Outstanding, q.seen.SubmittedAt // nothing was sent after all
	}
	v := judge(r, q, a, now, u.s.opt.QuietPeriod)
	if err := u.book(ctx, no, v, a.res, now); err != nil {
		return false, err
	}
	r = u.order.Refund(no)
	if q.isNewest(r) {
		u.reschedule(r, a.err, now)
	}
	if r.Equal(&before) && len(u.fired) == 0 && u.discrepancy == nil {
		return v.again, errUnchanged
	}
	u.order.UpdatedAt = u.s.now()
	return v.again, nil
}

// quietClock is what refusals are timed with: the store's clock if it has one and a refusal may be timed, so that
// the quiet period is measured on one clock whatever process sees its end.
func (s *Service) quietClock(ctx context.Context, q *question, a answer) (time.Time, error) {
	if c, ok := s.store.(Clock); ok && q.attempt > 0 && a.err == nil && isRefusal(a.res.Outcome) {
		now, err := c.Now(ctx)
		return stored(now), err
	}
	return s.now(), nil
}

// book carries a verdict out.
func (u *update) book(ctx context.Context, no string, v verdict, res Result, now time.Time) error {
	r := u.order.Refund(no)
	if v.discrepancy != nil {
		u.setDiscrepancy(r, res, v.discrepancy)
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
		if err := u.fireFromProvider(ctx, order.EventAdopt, no, v.words); err != nil {
			return err
		}
	}
	if v.event == "" {
		return nil
	}
	return u.fireFromProvider(ctx, v.event, no, v.words)
}

// fireFromProvider fires an event that the provider caused and keeps its words with the refund.
func (u *update) fireFromProvider(ctx context.Context, ev order.Event, no string, res Result) error {
	r := u.order.Refund(no)
	setWords(r, res)
	if ev == order.EventSettle {
		r.ConfirmedAt = u.s.now()
		if at := stored(res.RefundedAt); !at.IsZero() && 1 <= at.Year() && at.Year() <= 9999 {
			r.RefundedAt = at // no store keeps other years; the money counts, not its date
		}
	}
	return u.fire(ctx, order.Trigger{
		Event: ev, RefundNo: no, Actor: order.ActorProvider, Note: joinWords(res), At: u.s.now(),
	})
}

// reschedule ends the lease of the newest attempt and says when to ask again. failed is why it has no outcome; now is
// on the clock that refusals are timed with.
func (u *update) reschedule(r *order.Refund, failed error, now time.Time) {
	wait := u.s.backoff(u.order.Gateway, r.Attempts)
	var later *BusyError
	switch {
	case errors.Is(failed, ErrSetup):
		wait = max(wait, u.s.opt.SetupBackoff)
	case errors.As(failed, &later):
		wait = max(wait, later.After)
	}
	wait = min(wait, u.s.opt.MaxWait)
	if !r.DeclinedAt.IsZero() {
		// A refusal that waits is checked after the quiet period, not before.
		wait = max(wait, min(r.DeclinedAt.Add(u.s.opt.QuietPeriod).Sub(now), u.s.opt.QuietPeriod))
	}
	if failed != nil && r.DeclinedAt.IsZero() { // a refusal that waits keeps its code
		r.Code, r.Message = "", clip(failed.Error(), order.MaxMessage)
	}
	r.LeasedUntil, r.NextAttemptAt = time.Time{}, stored(u.s.now().Add(wait))
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

// setDiscrepancy raises a conflict once the Update is committed.
func (u *update) setDiscrepancy(r *order.Refund, res Result, err error) {
	u.discrepancy = &Discrepancy{
		OrderID: u.order.ID, RefundNo: r.No, Book: r.State, Result: res,
		Err: fmt.Errorf("refund %s of order %s: %w", r.No, u.order.ID, err),
	}
}

// setWords notes the provider's words on a refund.
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

func joinWords(res Result) string {
	return strings.TrimSpace(clip(res.Code+" "+res.Message, order.MaxMessage))
}

// clipWords cuts the provider's words to what every store keeps, so that none of them keeps an outcome from being booked.
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

// clip makes foreign text fit to be stored: valid UTF-8 without control characters, at most most bytes.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*most)], "?") // no more than can be left of it
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
