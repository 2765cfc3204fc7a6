package poller_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

const (
	cannotList    = "due refunds could not be listed, trying again"
	cannotProcess = "refund could not be processed, trying again"
)

// TestDatabaseAway: for ten minutes nothing can be read or written. Then the Poller continues by
// itself.
func TestDatabaseAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Recorder{}
		e := newEnv(t, withLog(log))
		refs := e.approve("bank", 20)
		e.store.failLists(fail)
		e.store.failUpdates(func(string) error { return errLost })
		e.run()
		pass(10 * time.Minute)
		require.Less(t, e.store.listed(), 10*16, "the Poller does not list without a pause")
		require.ErrorIs(t, e.counts().ListError, errLost)
		require.True(t, e.counts().ListedAt.IsZero())
		require.Len(t, log.Values(cannotList, "error"), 1, "logged once")

		e.store.failLists(nil)
		e.store.failUpdates(nil)
		require.LessOrEqual(t, e.until(e.refunded(refs)), 6*time.Second)
		require.NoError(t, e.stats().ListError)
		require.False(t, e.stats().ListedAt.IsZero())
		pass(30 * time.Second)
		listed := 0
		for _, r := range log.Records() {
			if r.Message == "due refunds are listed again" {
				listed++
			}
		}
		require.Equal(t, 1, listed)
		require.Len(t, log.Values(cannotList, "error"), 1)
	})
}

// TestDatabaseAwayForWrites: the due refunds can be listed, and nothing can be changed.
func TestDatabaseAwayForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approve("bank", 200)
		e.store.failUpdates(func(string) error { return errLost })
		e.run()
		pass(10 * time.Minute)
		require.Less(t, e.stats().Processed, int64(10*16*6), "six for each list")
		require.Zero(t, e.total(), "nothing is sent without a lease")
		require.Equal(t, e.stats().Processed, e.stats().Errors)
		e.store.failUpdates(nil)
		require.Less(t, e.until(e.refunded(refs)), 20*time.Second)
	})
}

// TestOneRefundThatCannotBeProcessed: it does not delay the others.
func TestOneRefundThatCannotBeProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Recorder{}
		e := newEnv(t, withLog(log))
		bad := e.approve("bank", 1)[0]
		pass(time.Second)
		e.failUpdatesOf(bad)
		refs := e.approve("bank", 100)
		e.run()
		require.Less(t, e.until(e.refunded(refs)), 5*time.Second)
		before := e.stats().Errors
		pass(time.Minute)
		require.LessOrEqual(t, e.stats().Errors-before, int64(7), "every ten seconds")
		numbers := log.Values(cannotProcess, "refund_no")
		require.GreaterOrEqual(t, len(numbers), 4)
		require.Contains(t, numbers, bad.RefundNo)
	})
}

func (e *env) failUpdatesOf(bad refund.Ref) {
	e.store.failUpdates(func(id string) error {
		if id == bad.OrderID {
			return errLost
		}
		return nil
	})
}

// TestPanicsAreContained: the store and the gateway panic. The Poller logs it and continues.
func TestPanicsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Recorder{}
		e := newEnv(t, withLog(log))
		refs := e.approve("bank", 3)
		e.store.failLists(func() error { panic("list broke") })
		e.run()
		e.until(func() bool { return e.counts().ListError != nil })
		require.ErrorContains(t, e.counts().ListError, "list broke")

		e.store.failLists(nil)
		e.store.failUpdates(func(string) error { panic("update broke") })
		e.until(func() bool { return e.counts().Panics > 0 })
		require.Equal(t, e.counts().Errors, e.counts().Panics)
		require.Contains(t, log.Values("processing a refund panicked", "panic"), "update broke")
		stacks := strings.Join(log.Values("processing a refund panicked", "stack"), "\n")
		require.Contains(t, stacks, "trouble_test.go")
		require.Empty(t, log.Values(cannotProcess, "error"), "a panic is one record")

		e.store.failUpdates(nil)
		broken := refundtest.AsUsual().Before(func(context.Context) { panic("bank broke") })
		for _, ref := range refs {
			e.bank.Next(broken.For(ref.RefundNo))
		}
		e.until(e.refunded(refs))
		require.Zero(t, e.bank.Unused())
	})
}

// TestGatewayThatHangs: each call ends at its deadline, each refund is asked about again, and in
// the end it is paid.
func TestGatewayThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.bank.Choose(func(refundtest.Call) refundtest.Step { return refundtest.Hang() })
		refs := e.approve("bank", 10)
		e.run()
		pass(10 * time.Minute)
		require.Equal(t, 10, e.count(refs, order.StateApproved))
		e.bank.Choose(nil)
		e.until(e.refunded(refs))
	})
}

// TestProcessDies: the process that had the refunds in flight is gone. Another process has them
// when the leases end.
func TestProcessDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approve("bank", 10)
		for _, ref := range refs {
			e.lease(ref)
		}
		e.run()
		took := e.until(e.refunded(refs))
		require.GreaterOrEqual(t, took, time.Minute)
		require.LessOrEqual(t, took, 66*time.Second, "the lease and one idle wait")
	})
}

// TestClockSetBack: the clock of the process is set back an hour while the Poller waits in every
// way. The Poller continues within its idle wait. (What the store schedules in an hour is due in an
// hour.)
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		clock := func() time.Time { return now().Add(-time.Duration(back.Load())) }
		e := newEnv(t, func(r *refund.Options, o *poller.Options) {
			o.Gateways = map[string]poller.GatewayOptions{"slow": {Rate: 1}}
			r.Now, o.Now = clock, clock
		})
		bad := e.approve("bank", 1)[0]
		e.failUpdatesOf(bad)
		slow := e.approve("slow", 20)
		e.run()
		pass(5 * time.Second)
		require.Positive(t, e.counts().Errors)
		require.Positive(t, e.count(slow, order.StateRefunded))
		e.store.failUpdates(nil)
		back.Store(int64(time.Hour))
		later := e.approve("bank", 5) // by the new clock
		require.Less(t, e.until(e.refunded(later)), 10*time.Second)
		pass(time.Hour + 50*time.Second)
		require.True(t, e.refunded(append(slow, bad))())
	})
}

// TestStoreThatListsTwice: no refund is in flight twice, so Shutdown waits for all of them.
func TestStoreThatListsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.store.twice = true
		gate := make(chan struct{})
		e.bank.Choose(func(refundtest.Call) refundtest.Step {
			return refundtest.AsUsual().Before(refundtest.Until(gate))
		})
		e.approve("bank", 5)
		e.run()
		synctest.Wait()
		require.Equal(t, 5, e.stats().InFlight)
		close(gate)
		require.NoError(t, e.p.Shutdown(bg))
		require.EqualValues(t, 5, e.counts().Processed)
		require.EqualValues(t, 5, e.counts().Ended)
	})
}
