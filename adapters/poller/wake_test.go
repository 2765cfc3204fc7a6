package poller_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// runIdle runs the Poller until it waits IdleMax between two lists.
func (e *env) runIdle() {
	e.t.Helper()
	e.run()
	pass(3 * time.Hour)
}

// TestApproveWakes: no idle wait ends meanwhile, so only the wake can make the Poller list.
func TestApproveWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.runIdle()
		e.soon(e.refunded(e.approve("bank", 50)))
	})
}

func TestRetryWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.Decline("NO"))
		refs := e.approve("bank", 1)
		e.runIdle()
		require.Equal(t, order.StateFailed, e.refund(refs[0]).State)
		_, err := e.svc.Retry(bg, refund.RetryParams{
			Ref: refund.Ref{OrderID: refs[0].OrderID, RefundNo: refs[0].RefundNo}, Actor: "staff:1",
		})
		require.NoError(t, err)
		e.soon(e.refunded(refs))
	})
}

// TestWakeAfterTheCommit: the Poller lists once, after the commit, if the store reports it. If not,
// the Poller lists too early, and again soon after.
func TestWakeAfterTheCommit(t *testing.T) {
	for name, tc := range map[string]struct {
		bare bool
		most time.Duration
	}{
		"the store reports the commit": {false, 0},
		"nobody reports the commit":    {true, 400 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.IdleMax = time.Hour })
				e.store.bare = tc.bare
				e.runIdle()
				lists := e.store.listed()
				refs := []refund.Ref{{OrderID: "O1", RefundNo: "R-O1"}}
				request(t, e.svc, "bank", refs[0])
				request(t, e.svc, "bank", refund.Ref{OrderID: "O2", RefundNo: "R-O2"})
				require.NoError(t, e.store.Update(bg, "O2",
					func(ctx context.Context, _ *order.Order) error {
						_, err := e.svc.Approve(ctx, approval(refs[0], 100))
						synctest.Wait()
						require.Equal(t, tc.bare, e.store.listed() > lists)
						require.Zero(t, e.total())
						return err
					}))
				if tc.bare {
					require.LessOrEqual(t, e.until(e.refunded(refs)), tc.most)
					return
				}
				e.soon(e.refunded(refs))
				require.Equal(t, lists+1, e.store.listed(), "one list, after the commit")
			})
		})
	}
}

// TestNoWakeAfterARollback: an approval that is rolled back wakes nobody.
func TestNoWakeAfterARollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
			o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, tr order.Transition) error {
				if tr.Event == order.EventApprove {
					return errLost
				}
				return nil
			}
		})
		e.runIdle()
		lists := e.store.listed()
		ref := refund.Ref{OrderID: "O1", RefundNo: "R1"}
		request(t, e.svc, "bank", ref)
		_, err := e.svc.Approve(bg, approval(ref, 100))
		require.ErrorIs(t, err, errLost)
		synctest.Wait()
		require.Equal(t, lists, e.store.listed())
	})
}

// TestIdleBackoff: the wait is 100 ms and doubles up to 5 s. Each wait is a little shorter at
// random.
func TestIdleBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.run()
		pass(11 * time.Minute)
		e.store.mu.Lock()
		defer e.store.mu.Unlock()
		var waits []time.Duration
		for i, at := range e.store.lists[1:] {
			waits = append(waits, at.Sub(e.store.lists[i]))
		}
		want := 100 * time.Millisecond
		require.Less(t, slices.Min(waits[10:]), 5*time.Second, "shorter at random")
		for i, d := range waits {
			require.LessOrEqual(t, d, want, "wait %d", i)
			require.Greater(t, d, want*4/5-time.Nanosecond, "wait %d", i)
			want = min(2*want, 5*time.Second)
		}
		perMinute := float64(len(waits)) / 11
		require.Less(t, perMinute, 16.0, "queries per minute of an idle Poller")
		t.Logf("%.1f queries per minute when idle", perMinute)
	})
}
