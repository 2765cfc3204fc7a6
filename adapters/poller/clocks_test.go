package poller_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// together moves the clocks of several replicas by the same steps, from timer to timer, for d.
func together(t *testing.T, d time.Duration, all ...*env) {
	t.Helper()
	for end := all[0].clock.now().Add(d); all[0].clock.now().Before(end); {
		step := d
		for _, e := range all {
			e.idle()
			step = min(step, e.clock.untilNext())
		}
		for _, e := range all {
			e.clock.advance(step)
		}
	}
	for _, e := range all {
		e.idle()
	}
}

// TestClocksAYearApart: two replicas share a store, and the clock of one is wrong by a year. Each
// finds due what the other has put off. A refund without an outcome is asked about by each about
// once a minute, and not in turns without a pause; and it is paid at last.
func TestClocksAYearApart(t *testing.T) {
	for name, tc := range map[string]struct {
		years   int // that the second one is ahead
		backoff time.Duration
		most    int // calls of each in an hour
	}{
		"ahead":                   {1, time.Minute, 65},
		"behind":                  {-1, time.Minute, 65},
		"ahead, long backoff":     {1, 20 * time.Minute, 65},
		"behind, long backoff":    {-1, 20 * time.Minute, 65},
		"the same, long backoff":  {0, 20 * time.Minute, 4},
		"ahead, backoff of 20 s":  {1, 20 * time.Second, 185},
		"behind, backoff of 20 s": {-1, 20 * time.Second, 185},
	} {
		t.Run(name, func(t *testing.T) {
			opt := refund.Options{Backoff: func(string, int) time.Duration { return tc.backoff }}
			e := newEnv(t, func(o *refund.Options, _ *poller.Options) { o.Backoff = opt.Backoff })
			e.store.beyond = 24 * time.Hour // as a store lists what no right clock could have written
			other := e.replica(opt)
			other.clock.t = other.clock.t.AddDate(tc.years, 0, 0)
			refs := e.approve("bank", 3)
			paid := false
			for _, e := range []*env{e, other} {
				e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
					if paid {
						return result(refund.OutcomeSucceeded, req), nil
					}
					return result(refund.OutcomeAccepted, req), nil
				}
				e.run()
			}
			together(t, time.Hour, e, other)
			for _, ref := range refs {
				require.LessOrEqual(t, e.bank.callsOf(ref.RefundNo), tc.most)
				require.LessOrEqual(t, other.bank.callsOf(ref.RefundNo), tc.most)
				least := int(time.Hour/max(tc.backoff, time.Minute)) - 1
				require.GreaterOrEqual(t, e.bank.callsOf(ref.RefundNo)+other.bank.callsOf(ref.RefundNo), least)
			}
			t.Logf("%d and %d calls an hour", e.bank.callsOf(refs[0].RefundNo), other.bank.callsOf(refs[0].RefundNo))
			paid = true
			together(t, max(tc.backoff, time.Minute)+10*time.Second, e, other)
			require.Equal(t, 3, e.count(refs, order.StateRefunded))
		})
	}
}

// TestNoHealthyRefundWaitsForClocks: what a right clock makes due is asked about within two
// seconds.
func TestNoHealthyRefundWaitsForClocks(t *testing.T) {
	e := newEnv(t, func(o *refund.Options, p *poller.Options) {
		o.Backoff = func(string, int) time.Duration { return 3 * time.Second }
		p.IdleMax = time.Second
	})
	// Twice three seconds of backoff, and then a person closes and retries it, by a clock that is
	// half a minute behind.
	var done, open bool
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		switch {
		case done:
			return result(refund.OutcomeSucceeded, req), nil
		case open, e.bank.callsOf(req.RefundNo) <= 2:
			return result(refund.OutcomeAccepted, req), nil
		}
		return refund.Result{}, nil
	}
	ref := e.approve("bank", 1)[0]
	e.run()
	took := e.until(func() bool { return e.bank.callsOf(ref.RefundNo) == 3 })
	require.GreaterOrEqual(t, took, 6*time.Second)
	require.LessOrEqual(t, took, 8*time.Second, "two backoffs, and an idle wait after each")

	open = true
	ref = e.approve("bank", 1)[0]
	e.until(func() bool { return e.bank.callsOf(ref.RefundNo) == 2 })
	calls := e.bank.callsOf(ref.RefundNo)
	behind := newService(t, e.store, e.bank, refund.Options{
		Now: func() time.Time { return e.clock.now().Add(-30 * time.Second) },
	})
	_, err := behind.Resolve(bg, refund.ResolveParams{
		Ref: ref, Resolution: refund.ResolutionReturned, Evidence: "ticket 1", Actor: "staff:1",
	})
	require.NoError(t, err)
	_, err = behind.Retry(bg, refund.RetryParams{Ref: ref, Actor: "staff:1"})
	require.NoError(t, err)
	done = true
	took = e.until(func() bool { return e.bank.callsOf(ref.RefundNo) > calls })
	require.LessOrEqual(t, took, 2*time.Second)
}
