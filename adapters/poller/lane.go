package poller

import (
	"errors"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// maxRest bounds how long a gateway rests because its provider limits the account.
	maxRest = time.Minute
	// setupRest is how long a gateway rests after a fault of its set-up. Each of its refunds waits
	// much longer by its own schedule, but a backlog of them must not fail all at once.
	setupRest = time.Second
)

// lane counts and limits the refunds of one gateway.
type lane struct {
	inFlight, limit int
	interval        time.Duration // between two starts
	next            time.Time     // the earliest next start
}

// lane returns the lane of a gateway.
func (r *run) lane(gateway string) *lane {
	l := r.lanes[gateway]
	if l == nil {
		opt := r.p.opt.Gateways[gateway]
		l = &lane{limit: opt.Concurrency, interval: opt.interval()}
		if l.limit == 0 {
			l.limit = max(1, r.p.opt.Concurrency*3/4)
		}
		r.lanes[gateway] = l
	}
	return l
}

func (o GatewayOptions) interval() time.Duration {
	if o.Rate == 0 {
		return 0
	}
	return time.Duration(min(float64(time.Second)/o.Rate, float64(24*time.Hour)))
}

// ready reports whether a refund of the gateway may start now.
func (l *lane) ready(now time.Time) bool {
	return l.inFlight < l.limit && reached(l.next, now, max(l.interval, maxRest))
}

// reached reports whether now is at or after a time that was at most d ahead when it was set. If
// the time is further ahead, the clock has been set back since, and reached returns true.
func reached(at, now time.Time, d time.Duration) bool {
	ahead := at.Sub(now)
	return ahead <= 0 || ahead > d
}

func (l *lane) start(now time.Time) {
	l.inFlight++
	l.next = now.Add(l.interval)
}

// rest delays the next start after an answer that concerns all refunds of the gateway. A provider
// that is busy with one refund delays only that refund, by its next attempt in the store.
func (l *lane) rest(now time.Time, err error) {
	var d time.Duration
	var busy *refund.BusyError
	switch {
	case errors.As(err, &busy) && busy.Account:
		d = min(busy.After, maxRest)
	case errors.Is(err, refund.ErrSetup):
		d = setupRest
	}
	if until := now.Add(d); d > 0 && until.After(l.next) {
		l.next = until
	}
}

// busy returns the gateways for which nothing can start now, sorted.
func (r *run) busy(now time.Time) (names []string) {
	for name, l := range r.lanes {
		if !l.ready(now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
