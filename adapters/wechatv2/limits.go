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

// wait holds a request to path until its turn comes. Where ctx would leave it less than a call's time-out then,
// nothing is sent.
func (g *Gateway) wait(ctx context.Context, path string) error {
	pace := g.queryPace
	if path == pathRefund {
		pace = g.refundPace
	}
	if pace.Allow() {
		return nil
	}
	turn := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		turn, cancel = context.WithDeadline(ctx, end.Add(-g.timeout))
		defer cancel()
	}
	if err := pace.Wait(turn); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &refund.RetryLater{After: time.Second, Err: errors.New("more requests than the configured rate takes")}
	}
	return nil
}
