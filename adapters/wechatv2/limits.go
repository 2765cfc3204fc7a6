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
	// MaxRefunds is how many refunds of one order it takes.
	MaxRefunds = 50
	// MaxAge is how long after the payment it takes them.
	MaxAge = 365 * 24 * time.Hour
	// MinInterval is the least time between two of them.
	MinInterval = time.Minute
)

// Limits implements [refund.Limiter]: [Config.Limits], by default WeChat Pay's. It is the same for every name.
func (g *Gateway) Limits(string) refund.Limits { return g.limits }

// newPace bounds requests to some per second, in bursts of a tenth of that, so that no second has many more.
func newPace(perSecond float64) *rate.Limiter {
	if perSecond < 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(min(perSecond, 1e6)/10)))
}

// wait holds a request to path until its turn comes. Where that would take more than half of the time that ctx
// has left, nothing is sent.
func (g *Gateway) wait(ctx context.Context, path string) error {
	pace := g.queryPace
	if path == pathRefund {
		pace = g.refundPace
	}
	turn := pace.Reserve()
	delay := turn.Delay()
	if delay == 0 {
		return nil
	}
	if end, ok := ctx.Deadline(); ok && delay > time.Until(end)/2 { //nolint:forbidigo // contexts end by the real clock
		turn.Cancel()
		err := errors.New("more requests than the configured rate takes")
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
