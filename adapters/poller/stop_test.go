package poller_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// inCall starts the Poller on 20 refunds and returns when six calls wait at the provider. The
// provider answers when gate is closed.
func inCall(t *testing.T, step refundtest.Step) (e *env, refs []refund.Ref, gate chan struct{}) {
	t.Helper()
	e = newEnv(t, func(o *refund.Options, _ *poller.Options) {
		o.CallTimeout, o.Lease = 12*time.Hour, 24*time.Hour
	})
	gate = make(chan struct{})
	step = step.Before(refundtest.Until(gate))
	e.bank.Choose(func(refundtest.Call) refundtest.Step { return step })
	refs = e.approve("bank", 20)
	e.run()
	synctest.Wait()
	require.Equal(t, 6, e.total())
	return e, refs, gate
}

// shutdown calls Shutdown and returns its result in a channel.
func (e *env) shutdown(ctx context.Context) chan error {
	down := make(chan error, 1)
	go func() { down <- e.p.Shutdown(ctx) }()
	return down
}

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		e, refs, gate := inCall(t, refundtest.AsUsual())
		down := e.shutdown(bg)
		synctest.Wait()
		require.Empty(t, down, "it waits")
		pass(time.Hour)
		require.Empty(t, down, "as long as it has to")
		require.Empty(t, e.ran)
		close(gate)
		require.NoError(t, <-e.ran)
		require.NoError(t, <-down)
		goleak.VerifyNone(t, before)
		require.Equal(t, 6, e.count(refs, order.StateRefunded))
		require.Equal(t, 6, e.total(), "nothing new was started")
		require.NoError(t, e.p.Shutdown(bg), "again")
	})
}

// TestShutdownOutOfTime: the calls are cancelled, their leases are released, and their outcome is
// unknown.
func TestShutdownOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		e, refs, _ := inCall(t, refundtest.AsUsual())
		ctx, cancel := context.WithCancel(bg)
		cancel()
		require.ErrorIs(t, e.p.Shutdown(ctx), context.Canceled)
		require.NoError(t, <-e.ran)
		goleak.VerifyNone(t, before)
		e.requireReleased(refs)
	})
}

func TestContextEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		e, refs, _ := inCall(t, refundtest.AsUsual())
		e.cancel()
		require.NoError(t, <-e.ran)
		goleak.VerifyNone(t, before)
		e.requireReleased(refs)
	})
}

// requireReleased: the provider was called for six refunds, nobody waits for an answer, and no
// lease is left.
func (e *env) requireReleased(refs []refund.Ref) {
	e.t.Helper()
	require.Equal(e.t, 6, e.total())
	attempted := 0
	for _, ref := range refs {
		r := e.refund(ref)
		require.Equal(e.t, order.StateApproved, r.State)
		require.True(e.t, r.LeasedUntil.IsZero())
		attempted += r.Attempts
	}
	require.Equal(e.t, 6, attempted)
	require.Zero(e.t, e.stats().InFlight)
}

// TestCallThatDoesNotEnd: a gateway that ignores its context cannot keep the host from ending.
func TestCallThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		e, refs, gate := inCall(t, refundtest.AsUsual().IgnoreContext())
		ctx, cancel := context.WithCancel(bg)
		cancel()
		start := now()
		down := e.shutdown(ctx)
		err := <-e.ran
		require.Equal(t, 10*time.Second, now().Sub(start), "StopTimeout")
		require.ErrorIs(t, err, poller.ErrLeftBehind)
		require.ErrorContains(t, err, "6 refunds in flight")
		require.ErrorIs(t, <-down, context.Canceled)
		close(gate)
		synctest.Wait()
		require.Equal(t, 6, e.count(refs, order.StateRefunded))
		goleak.VerifyNone(t, before)
	})
}

// TestShutdownWhileTheStoreHangs: a list that gets no answer does not delay Shutdown.
func TestShutdownWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.store.onList = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		e.run()
		synctest.Wait()
		require.Equal(t, 1, e.store.listed())
		start := now()
		require.NoError(t, e.p.Shutdown(bg))
		require.Equal(t, start, now())
		require.NoError(t, <-e.ran)
		require.NoError(t, e.counts().ListError, "stopped, not failed")
	})
}

// TestListThatHangs: a list that gets no answer ends after 30 s, and the Poller lists again.
func TestListThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.store.onList = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		refs := e.approve("bank", 1)
		e.run()
		pass(30 * time.Second)
		require.ErrorIs(t, e.counts().ListError, context.DeadlineExceeded)
		e.store.failLists(nil)
		e.until(e.refunded(refs))
		require.NoError(t, e.counts().ListError)
	})
}

func TestPollerRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.run()
		synctest.Wait()
		require.ErrorIs(t, e.p.Run(bg), poller.ErrStarted)
		require.NoError(t, e.p.Shutdown(bg))
		require.ErrorIs(t, e.p.Run(bg), poller.ErrStarted)

		e = newEnv(t)
		require.NoError(t, e.p.Shutdown(bg), "before Run there is nothing to wait for")
		e.approve("bank", 1)
		require.NoError(t, e.p.Run(bg), "and Run does nothing")
		require.Zero(t, e.total())
		require.Zero(t, e.store.listed())
	})
}
