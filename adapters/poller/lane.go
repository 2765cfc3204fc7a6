package poller

import (
	"errors"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// restMost bounds how long a gateway is left alone because its provider limits the account.
	restMost = time.Minute
	// restSetup is how long a gateway is left alone that fails because of its set-up: each refund waits
	// long by itself, but a backlog of them need not knock on a locked door in one go.
	restSetup = time.Second
)

// lane is what one gateway has in flight and may have.
type lane struct {
	inFlight, most int
	interval       time.Duration // between two starts
	next           time.Time     // earliest next start
}

// lane returns that of a gateway.
func (r *run) lane(gateway string) *lane {
	l := r.lanes[gateway]
	if l == nil {
		limits := r.p.opt.Gateways[gateway]
		l = &lane{most: limits.Concurrency, interval: limits.interval()}
		if l.most == 0 {
			l.most = max(1, r.p.opt.Concurrency*3/4)
		}
		r.lanes[gateway] = l
	}
	return l
}

func (l GatewayOptions) interval() time.Duration {
	if l.Rate == 0 {
		return 0
	}
	return time.Duration(min(float64(time.Second)/l.Rate, float64(24*time.Hour)))
}

func (l *lane) ready(now time.Time) bool {
	return l.inFlight < l.most && reached(l.next, now, max(l.interval, restMost))
}

// reached reports whether now is at or behind a moment that was at most d ahead when it was set. One that
// is further ahead was set before the clock was set back.
func reached(at, now time.Time, d time.Duration) bool {
	ahead := at.Sub(now)
	return ahead <= 0 || ahead > d
}

func (l *lane) take(now time.Time) {
	l.inFlight++
	l.next = now.Add(l.interval)
}

// rest leaves the gateway alone after an answer that concerns all its refunds. A provider that is
// busy with one refund delays that refund, by its next attempt in the store, and no other.
func (l *lane) rest(now time.Time, err error) {
	var d time.Duration
	var later *refund.BusyError
	switch {
	case errors.As(err, &later) && later.Account:
		d = min(later.After, restMost)
	case errors.Is(err, refund.ErrSetup):
		d = restSetup
	}
	if until := now.Add(d); d > 0 && until.After(l.next) {
		l.next = until
	}
}

// busy lists the gateways that nothing can be started for now, in order.
func (r *run) busy(now time.Time) (names []string) {
	for name, l := range r.lanes {
		if !l.ready(now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
