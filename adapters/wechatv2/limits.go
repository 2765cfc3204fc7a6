package wechatv2

import (
	"time"

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
