package poller_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// inCall starts the Poller on 20 refunds and returns once six are with the provider, which answers when
// gate is closed or, if it heeds its context, when that ends.
func inCall(t *testing.T, heeds bool) (e *env, refs []refund.Ref, gate chan struct{}) {
	t.Helper()
	e = newEnv(t)
	gate = make(chan struct{})
	e.bank.answer = func(ctx context.Context, _ string, _ refund.Request) (refund.Result, error) {
		if !heeds {
			ctx = bg
		}
		select {
		case <-gate:
			return refund.Result{}, nil
		case <-ctx.Done():
			return refund.Result{}, ctx.Err()
		}
	}
	refs = e.approve("bank", 20)
	e.run()
	e.soon(func() bool { return e.bank.running() == 6 })
	return e, refs, gate
}

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e, refs, gate := inCall(t, true)
	down := make(chan error, 1)
	go func() { down <- e.shutdown(bg) }()
	require.Never(t, func() bool { return len(down) > 0 || len(e.ran) > 0 }, 20*time.Millisecond, time.Millisecond, "it waits")
	e.clock.advance(time.Hour)
	require.Never(t, func() bool { return len(down) > 0 || len(e.ran) > 0 }, 20*time.Millisecond, time.Millisecond, "as long as it has to")
	close(gate)
	require.NoError(t, e.result())
	require.NoError(t, <-down)
	goleak.VerifyNone(t, before)
	require.Equal(t, 6, e.count(refs, order.StateRefunded))
	require.Equal(t, 6, e.bank.total(), "nothing new was begun")
	require.NoError(t, e.shutdown(bg), "again")
}

// TestShutdownOutOfTime: the calls are cancelled, their leases are released, and their outcome is unknown.
func TestShutdownOutOfTime(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e, refs, _ := inCall(t, true)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, e.shutdown(ctx), context.Canceled)
	require.NoError(t, e.result())
	goleak.VerifyNone(t, before)
	e.released(refs)
}

// released: six refunds were asked about, nobody waits for the answer, and no lease is left.
func (e *env) released(refs []refund.Ref) {
	e.t.Helper()
	require.Equal(e.t, 6, e.bank.total())
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

func TestContextEndsRun(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e, refs, _ := inCall(t, true)
	e.cancel()
	require.NoError(t, e.result())
	goleak.VerifyNone(t, before)
	e.released(refs)
}

// TestCallThatDoesNotEnd: a gateway that breaks its contract cannot keep the host from ending.
func TestCallThatDoesNotEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e, refs, gate := inCall(t, false)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	down := make(chan error, 1)
	go func() { down <- e.p.Shutdown(ctx) }()
	e.soon(func() bool {
		e.clock.mu.Lock()
		defer e.clock.mu.Unlock()
		return e.clock.waits[len(e.clock.waits)-1] == 10*time.Second
	})
	require.Empty(t, e.ran)
	e.clock.advance(10 * time.Second)
	err := e.result()
	require.ErrorIs(t, err, poller.ErrLeftBehind)
	require.ErrorContains(t, err, "6 refunds in flight")
	require.ErrorIs(t, <-down, context.Canceled)
	close(gate)
	e.soon(func() bool { return e.count(refs, order.StateRefunded) == 6 })
	goleak.VerifyNone(t, before)
}

// TestShutdownWhileTheStoreHangs: a look that gets no answer does not hold it up.
func TestShutdownWhileTheStoreHangs(t *testing.T) {
	e := newEnv(t)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	looking := make(chan struct{}, 1)
	e.store.hang = func(ctx context.Context) error {
		looking <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	go func() { e.ran <- e.p.Run(ctx) }()
	e.wait(looking)
	require.NoError(t, e.shutdown(bg))
	require.NoError(t, e.result())
	e.store.hang = nil
	require.NoError(t, e.own().LookError, "stopped, not failed")
}

func TestOneRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(bg, patience/2) // for a Run that goes on
	defer cancel()
	e := newEnv(t)
	e.run()
	e.idle()
	require.ErrorIs(t, e.p.Run(ctx), poller.ErrStarted)
	require.NoError(t, e.shutdown(bg))
	require.ErrorIs(t, e.p.Run(ctx), poller.ErrStarted)

	e = newEnv(t)
	require.NoError(t, e.shutdown(bg), "before Run there is nothing to wait for")
	e.approve("bank", 1)
	require.NoError(t, e.p.Run(ctx), "and Run does nothing")
	require.NoError(t, ctx.Err())
	require.Zero(t, e.bank.total())
	require.Zero(t, e.store.looked())
}

func TestStats(t *testing.T) {
	e := newEnv(t)
	require.Equal(t, poller.Stats{}, e.stats())
	e.approve("bank", 3)
	start := e.clock.now()
	e.clock.advance(time.Hour)
	e.approve("bank", 2)
	st := e.stats()
	require.Equal(t, 5, st.Due)
	require.Equal(t, start, st.OldestDue)
	require.Zero(t, st.Stuck)
	e.clock.advance(23 * time.Hour)
	require.Equal(t, 3, e.stats().Stuck)
	for range 3 {
		e.approve("bank", 400)
		e.clock.advance(24 * time.Hour)
	}
	require.Equal(t, poller.MaxCount, e.stats().Due)
	require.Equal(t, poller.MaxCount, e.stats().Stuck)

	gone, cancel := context.WithCancel(bg)
	cancel()
	_, err := e.p.Stats(gone)
	require.ErrorIs(t, err, context.Canceled)
	e.store.onList = errLost
	_, err = e.p.Stats(bg)
	require.ErrorIs(t, err, errLost)
	e.store.set(func() error { return errLost }, nil)
	st, err = e.p.Stats(bg)
	require.ErrorIs(t, err, errLost)
	require.Equal(t, poller.Stats{}, st)
}

func TestOldestInFlight(t *testing.T) {
	e := newEnv(t)
	gate := make(chan struct{})
	e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
		<-gate
		return refund.Result{}, nil
	}
	start := e.clock.now()
	e.run()
	for i := range 5 {
		e.approve("bank", 1)
		e.soon(func() bool { return e.bank.running() == i+1 })
		e.clock.advance(time.Second)
	}
	for range 20 { // maps have no order
		require.Equal(t, start, e.stats().OldestInFlight)
	}
	close(gate)
}
