package refundtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Clock is a clock that moves only by [Clock.Advance]. [Clock.Now] is for [refund.Options].Now.
// Make it with [NewClock]; it is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that shows t.
func NewClock(t time.Time) *Clock { return &Clock{t: t} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock by d. If d is negative, it moves the clock back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// maxRounds is how many rounds Pass works on refunds that are due at the same moment.
const maxRounds = 100

// Pass lets d pass as if a worker were running. It moves the clock from one due refund to the next
// and calls svc.Process for each, so that days of asking take no time. clock must be the clock of
// svc. In the end it shows d more.
//
// Pass returns the first error of svc. It also returns an error if refunds stay due at the same
// moment however often they are processed, as with a Backoff of zero. The answer of the provider is
// not an error of Pass: look at the refund.
func Pass(ctx context.Context, clock *Clock, svc *refund.Service, d time.Duration) error {
	end := clock.Now().Add(d)
	for rounds := 0; ; {
		next, found, err := nextDue(ctx, svc)
		if err != nil {
			return err
		}
		now := clock.Now()
		if !found || next.After(end) {
			clock.Advance(end.Sub(now))
			return nil
		}
		if wait := next.Sub(now); wait > 0 {
			clock.Advance(wait)
			rounds = 0
		}
		if rounds++; rounds > maxRounds {
			return fmt.Errorf("pass %v: refunds are due at %s after %d rounds", d,
				next.Format(time.RFC3339Nano), maxRounds)
		}
		due, err := svc.Due(ctx, refund.MaxLimit, nil)
		if err != nil {
			return err
		}
		for _, d := range due {
			if _, err := svc.Process(ctx, d.Ref); err != nil {
				return err
			}
		}
	}
}

// nextDue returns when the next approved refund is due. found is false if there is none.
func nextDue(ctx context.Context, svc *refund.Service) (next time.Time, found bool, err error) {
	f := refund.Filter{States: []order.State{order.StateApproved}, Limit: refund.MaxLimit}
	for {
		page, err := svc.ListRefunds(ctx, f)
		if err != nil {
			return time.Time{}, false, err
		}
		for _, e := range page.Entries {
			if at := e.Refund.NextAttemptAt; !found || at.Before(next) {
				next, found = at, true
			}
		}
		if page.Next == nil {
			return next, found, nil
		}
		f.After = page.Next
	}
}
