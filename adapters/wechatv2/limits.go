package wechatv2

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderfsm/orderfsm/refund"
)

// WeChat Pay's limits (official document 4011935217).
const (
	maxRefunds  = 50                   // of one order
	maxAge      = 365 * 24 * time.Hour // after an order's payment
	minInterval = time.Minute          // between two refunds of one order
)

// Limits implements [refund.Limiter]. It returns [Config].Limits for every name.
func (g *Gateway) Limits(string) refund.Limits { return g.limits }

// newPace bounds requests per second, with bursts of a tenth of that: no second has many more.
func newPace(perSecond float64) *rate.Limiter {
	if perSecond < 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(min(perSecond, 1e6)/10)))
}

// wait returns when the next request may be sent. It returns a *refund.BusyError if that would take
// more than half of the time that ctx has left.
func (e *endpoint) wait(ctx context.Context) error {
	turn := e.pace.Reserve()
	delay := turn.Delay()
	if delay == 0 {
		return nil
	}
	end, ok := ctx.Deadline()
	if ok && delay > time.Until(end)/2 { //nolint:forbidigo // contexts end by the real clock
		turn.Cancel()
		err := errors.New("the configured rate is used up")
		return &refund.BusyError{After: max(delay, time.Second), Account: true, Err: err}
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		turn.Cancel()
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
