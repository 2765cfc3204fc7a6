package poller_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestClocksAYearApart: two replicas share a store, and the clock of one is wrong by a year. Each
// lists as due what the other has scheduled. Each asks about a refund without an outcome about once
// a minute, and not in turns without a pause. In the end the refund is paid.
func TestClocksAYearApart(t *testing.T) {
	for name, tc := range map[string]struct {
		years   int // that the second clock is ahead
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
			synctest.Test(t, func(t *testing.T) {
				backoff := func(string, int) time.Duration { return tc.backoff }
				e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
					o.Backoff = backoff
				})
				e.store.beyond = 24 * time.Hour // what no right clock can have written
				other := e.replica(refund.Options{
					Backoff: backoff,
					Now:     func() time.Time { return now().AddDate(tc.years, 0, 0) },
				})
				refs := e.approve("bank", 3)
				outcome := func(o refund.Outcome) {
					for _, e := range []*env{e, other} {
						e.bank.Choose(func(refundtest.Call) refundtest.Step { return answer(o) })
					}
				}
				outcome(refund.OutcomeAccepted)
				e.run()
				other.run()
				pass(time.Hour)
				for _, ref := range refs {
					require.LessOrEqual(t, e.calls(ref), tc.most)
					require.LessOrEqual(t, other.calls(ref), tc.most)
					least := int(time.Hour/max(tc.backoff, time.Minute)) - 1
					require.GreaterOrEqual(t, e.calls(ref)+other.calls(ref), least)
				}
				t.Logf("%d and %d calls an hour", e.calls(refs[0]), other.calls(refs[0]))
				outcome(refund.OutcomeSucceeded)
				pass(max(tc.backoff, time.Minute) + 10*time.Second)
				require.Equal(t, 3, e.count(refs, order.StateRefunded))
			})
		})
	}
}

// TestNoHealthyRefundWaitsForClocks: the Poller asks within two seconds about what a right clock
// makes due.
func TestNoHealthyRefundWaitsForClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(o *refund.Options, p *poller.Options) {
			o.Backoff = func(string, int) time.Duration { return 3 * time.Second }
			p.IdleMax = time.Second
		})
		// The refund waits twice for its backoff of three seconds.
		e.bank.Next(answer(refund.OutcomeAccepted), answer(refund.OutcomeAccepted))
		e.bank.Next(answer(refund.OutcomeSucceeded))
		ref := e.approve("bank", 1)[0]
		e.run()
		took := e.until(func() bool { return e.calls(ref) == 3 })
		require.GreaterOrEqual(t, took, 6*time.Second)
		require.LessOrEqual(t, took, 8*time.Second, "two backoffs, and an idle wait after each")

		// A person closes and retries a refund by a clock that is half a minute behind.
		e.bank.ByDefault(refundtest.Accept())
		ref = e.approve("bank", 1)[0]
		e.until(func() bool { return e.calls(ref) == 2 })
		behind := newService(t, e.store, e.bank, refund.Options{
			Now: func() time.Time { return now().Add(-30 * time.Second) },
		})
		_, err := behind.Resolve(bg, refund.ResolveParams{
			Ref: ref, Resolution: refund.ResolutionReturned,
			Evidence: "ticket 1", Actor: "staff:1",
		})
		require.NoError(t, err)
		_, err = behind.Retry(bg, refund.RetryParams{Ref: ref, Actor: "staff:1"})
		require.NoError(t, err)
		took = e.until(func() bool { return e.calls(ref) > 2 })
		require.LessOrEqual(t, took, 2*time.Second)
	})
}
