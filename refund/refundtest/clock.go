package refundtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Clock stands still until it is told to move. [Clock.Now] is for [refund.Options].Now. Make it with
// [NewClock]; it is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that shows t.
func NewClock(t time.Time) *Clock { return &Clock{t: t} }

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock; back, where d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// maxRounds is how often Pass has the same moment worked on before it gives up.
const maxRounds = 100

// Pass lets d pass as it passes with a worker: it moves the clock from one due refund to the next and has
// svc process each, so that days of asking take no time. The clock is svc's own, and shows d more in the end.
//
// It returns the first error of svc, and one where refunds stay due at the same moment however often they are
// processed (a Backoff of nothing). What the provider answers is no error: see the refund.
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
			return fmt.Errorf("pass %v: refunds are due at %s after %d rounds", d, next.Format(time.RFC3339Nano), maxRounds)
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

// nextDue returns when the next approved refund is due; found is false where there is none.
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
