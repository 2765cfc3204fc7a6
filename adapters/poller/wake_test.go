package poller_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// asleep runs the Poller until it waits long between its looks.
func (e *env) asleep() {
	e.t.Helper()
	e.run()
	start := e.clock.now()
	e.until(func() bool { return e.clock.now().Sub(start) > time.Minute })
}

// TestApproveWakes: the clock stands still, so nothing but the wake can have made the Poller look.
func TestApproveWakes(t *testing.T) {
	e := newEnv(t)
	e.asleep()
	refs := e.approve("bank", 50)
	e.soon(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
}

func TestRetryWakes(t *testing.T) {
	e := newEnv(t)
	declined := true
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		if declined {
			return result(refund.OutcomeDeclined, req), nil
		}
		return refund.Result{}, nil
	}
	refs := e.approve("bank", 1)
	e.run()
	e.until(func() bool { return e.refund(refs[0]).State == order.StateFailed })
	start := e.clock.now()
	e.until(func() bool { return e.clock.now().Sub(start) > time.Minute })
	declined = false
	_, err := e.svc.Retry(bg, refund.RetryParams{Ref: refund.Ref{OrderID: refs[0].OrderID, RefundNo: refs[0].RefundNo}, Actor: "staff:1"})
	require.NoError(t, err)
	e.soon(func() bool { return e.refund(refs[0]).State == order.StateRefunded })
}

// TestWakeAfterTheCommit: the Poller looks once, after the commit, if the store reports it. If the
// store does not, the Poller looks too early, and again soon after.
func TestWakeAfterTheCommit(t *testing.T) {
	for name, tc := range map[string]struct {
		hide bool
		most time.Duration
	}{
		"the store tells of the commit": {false, 0},
		"nobody tells of the commit":    {true, 400 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inTx, commit := make(chan struct{}), make(chan struct{})
			e := newEnv(t)
			e.store.bare = tc.hide
			e.asleep()
			looks := e.store.looked()
			ref := refund.Ref{OrderID: "O1", RefundNo: "R-O1"}
			request(t, e.svc, "bank", ref)
			request(t, e.svc, "bank", refund.Ref{OrderID: "O2", RefundNo: "R-O2"})
			approved := make(chan error, 1)
			go func() {
				approved <- e.store.Update(bg, "O2", func(ctx context.Context, _ *order.Order) error {
					_, err := e.svc.Approve(ctx, approval(ref, 100))
					close(inTx)
					<-commit
					return err
				})
			}()
			e.wait(inTx)
			if tc.hide {
				e.soon(func() bool { return e.store.looked() > looks })
				e.idle() // it has looked in vain
			}
			require.Zero(t, e.bank.total())
			close(commit)
			require.NoError(t, <-approved)
			if tc.most == 0 {
				e.soon(func() bool { return e.refund(ref).State == order.StateRefunded })
				require.Equal(t, looks+1, e.store.looked(), "one look, after the commit")
				return
			}
			took := e.until(func() bool { return e.refund(ref).State == order.StateRefunded })
			require.LessOrEqual(t, took, tc.most)
		})
	}
}

// TestNoWakeWhenItIsRolledBack: an approval that did not happen wakes nobody.
func TestNoWakeWhenItIsRolledBack(t *testing.T) {
	e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
		o.Hooks = make([]refund.Hooks, 1)
		o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, tr order.Transition) error {
			if tr.Event == order.EventApprove {
				return errLost
			}
			return nil
		}
	})
	e.asleep()
	looks := e.store.looked()
	ref := refund.Ref{OrderID: "O1", RefundNo: "R1"}
	request(t, e.svc, "bank", ref)
	_, err := e.svc.Approve(bg, approval(ref, 100))
	require.ErrorIs(t, err, errLost)
	require.Never(t, func() bool { return e.store.looked() > looks }, 20*time.Millisecond, time.Millisecond)
}

// TestIdleBackoff: 100 ms, doubling to 5 s, each a little less at random.
func TestIdleBackoff(t *testing.T) {
	e := newEnv(t)
	e.asleep()
	e.clock.mu.Lock()
	waits := e.clock.waits
	e.clock.mu.Unlock()
	want := 100 * time.Millisecond
	require.Less(t, slices.Min(waits[10:]), 5*time.Second, "a little at random")
	for i, d := range waits {
		require.LessOrEqual(t, d, want, "wait %d", i)
		require.Greater(t, d, want*4/5-time.Nanosecond, "wait %d", i)
		want = min(2*want, 5*time.Second)
	}
	looks, start := e.store.looked(), e.clock.now()
	e.until(func() bool { return e.clock.now().Sub(start) >= 10*time.Minute })
	perMinute := float64(e.store.looked()-looks) / 10
	require.Less(t, perMinute, 16.0, "what an idle Poller costs, in queries per minute")
	t.Logf("%.1f queries per minute when idle", perMinute)
}
