package poller_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// logbook is a log that several goroutines may write.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func withLog(l *logbook) func(*refund.Options, *poller.Options) {
	return func(_ *refund.Options, o *poller.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }
}

// TestDatabaseAway: for ten minutes nothing can be read or written. Then everything goes on by itself.
func TestDatabaseAway(t *testing.T) {
	var log logbook
	e := newEnv(t, withLog(&log))
	refs := e.approve("bank", 20)
	away := func() error { return errLost }
	e.store.set(away, func(string) error { return errLost })
	start := e.clock.now()
	e.run()
	e.until(func() bool { return e.clock.now().Sub(start) >= 10*time.Minute })
	require.Less(t, e.store.looked(), 10*16, "it does not hammer at a database that is away")
	require.ErrorIs(t, e.own().LookError, errLost)
	require.True(t, e.own().LookedAt.IsZero())
	require.Equal(t, 1, log.count("due refunds could not be listed"), "told once")

	e.store.set(nil, nil)
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.LessOrEqual(t, took, 6*time.Second)
	require.NoError(t, e.stats().LookError)
	require.False(t, e.stats().LookedAt.IsZero())
	require.Equal(t, 1, log.count("due refunds are listed again"))
	start = e.clock.now()
	e.until(func() bool { return e.clock.now().Sub(start) >= 30*time.Second })
	require.Equal(t, 1, log.count("due refunds could not be listed"))
}

// TestDatabaseAwayForWrites: the list can be read, nothing can be changed.
func TestDatabaseAwayForWrites(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 200)
	e.store.set(nil, func(string) error { return errLost })
	start := e.clock.now()
	e.run()
	e.until(func() bool { return e.clock.now().Sub(start) >= 10*time.Minute })
	require.Less(t, e.stats().Processed, int64(10*16*6), "six at each look")
	require.Zero(t, e.bank.total(), "nothing is sent that could not be leased")
	require.Equal(t, e.stats().Processed, e.stats().Errors)
	e.store.set(nil, nil)
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Less(t, took, 20*time.Second)
}

// TestOneRefundThatCannotBeProcessed holds up no other.
func TestOneRefundThatCannotBeProcessed(t *testing.T) {
	var log logbook
	e := newEnv(t, withLog(&log))
	bad := e.approve("bank", 1)[0]
	e.clock.advance(time.Second)
	e.store.set(nil, func(id string) error {
		if id == bad.OrderID {
			return errLost
		}
		return nil
	})
	refs := e.approve("bank", 100)
	e.run()
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Less(t, took, 5*time.Second)
	start, before := e.clock.now(), e.stats().Errors
	e.until(func() bool { return e.clock.now().Sub(start) > time.Minute })
	require.LessOrEqual(t, e.stats().Errors-before, int64(7), "about every ten seconds")
	require.GreaterOrEqual(t, log.count("refund could not be processed"), 4)
	require.Positive(t, log.count("refund_no="+bad.RefundNo))
}

func TestPanics(t *testing.T) {
	var log logbook
	e := newEnv(t, withLog(&log))
	refs := e.approve("bank", 3)
	broken := true
	var mu sync.Mutex
	is := func() bool { mu.Lock(); defer mu.Unlock(); return broken }
	e.store.set(func() error {
		if is() {
			panic("list broke")
		}
		return nil
	}, nil)
	e.run()
	e.until(func() bool { return e.own().LookError != nil })
	require.ErrorContains(t, e.own().LookError, "list broke")

	e.store.set(nil, func(string) error {
		if is() {
			panic("update broke")
		}
		return nil
	})
	e.until(func() bool { return e.own().Panics > 0 })
	require.Equal(t, e.own().Errors, e.own().Panics)
	require.Positive(t, log.count("update broke"))
	require.Positive(t, log.count("trouble_test.go"), "with the stack")
	require.Zero(t, log.count("could not be processed"), "a panic is one record")

	mu.Lock()
	broken = false
	mu.Unlock()
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		if e.bank.callsOf(req.RefundNo) == 1 {
			panic("bank broke")
		}
		return refund.Result{}, nil
	}
	e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
}

// TestGatewayThatHangs: the calls end with their deadline, each refund comes again, and in the end it is paid.
func TestGatewayThatHangs(t *testing.T) {
	e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
		o.CallTimeout = time.Millisecond // by the real clock: it is the gateway's context
	})
	var mu sync.Mutex
	hangs := true
	e.bank.answer = func(ctx context.Context, _ string, _ refund.Request) (refund.Result, error) {
		mu.Lock()
		h := hangs
		mu.Unlock()
		if h {
			<-ctx.Done()
			return refund.Result{}, ctx.Err()
		}
		return refund.Result{}, nil
	}
	refs := e.approve("bank", 10)
	start := e.clock.now()
	e.run()
	e.until(func() bool { return e.clock.now().Sub(start) > 10*time.Minute })
	require.Equal(t, 10, e.count(refs, order.StateApproved))
	mu.Lock()
	hangs = false
	mu.Unlock()
	e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
}

// TestProcessDies: the process that had the refunds in flight is gone. Another one has them when the leases end.
func TestProcessDies(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 10)
	for _, ref := range refs { // leased, and nothing came of it
		require.NoError(t, e.store.Update(bg, ref.OrderID, func(_ context.Context, o *order.Order) error {
			r, until := o.Refund(ref.RefundNo), e.clock.now().Add(time.Minute)
			r.Attempts, r.Outstanding, r.SubmittedAt, r.LeasedUntil, r.NextAttemptAt = 1, true, e.clock.now(), until, until
			return nil
		}))
	}
	e.run()
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.GreaterOrEqual(t, took, time.Minute)
	require.LessOrEqual(t, took, 66*time.Second, "the lease and one idle wait")
}

// TestClockSetBack: the Poller's own clock is set back an hour while it waits for all sorts of things. It
// goes on within its idle wait. (What the store says is due in an hour is due in an hour.)
func TestClockSetBack(t *testing.T) {
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
		o.Gateways = map[string]poller.GatewayOptions{"slow": {Rate: 1}}
	})
	bad := e.approve("bank", 1)[0]
	e.store.set(nil, func(id string) error {
		if id == bad.OrderID {
			return errLost
		}
		return nil
	})
	slow := e.approve("slow", 20)
	e.run()
	e.until(func() bool { return e.own().Errors > 0 && e.count(slow, order.StateRefunded) > 3 })
	e.store.set(nil, nil)
	e.clock.setBack(time.Hour)
	start := e.clock.now()
	later := e.approve("bank", 5) // approved by the clock as it is now
	e.until(func() bool { return e.count(later, order.StateRefunded) == 5 })
	require.Less(t, e.clock.now().Sub(start), 10*time.Second)
	e.until(func() bool {
		return e.count(slow, order.StateRefunded) == 20 && e.refund(bad).State == order.StateRefunded
	})
	require.Less(t, e.clock.now().Sub(start), time.Hour+time.Minute)
}

// TestStoreThatListsTwice: nothing is in flight twice, so that a stop waits for all of it.
func TestStoreThatListsTwice(t *testing.T) {
	e := newEnv(t)
	e.store.twice = true
	var all sync.WaitGroup
	all.Add(5)
	e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
		all.Done()
		all.Wait() // so that they are in flight at once
		return refund.Result{}, nil
	}
	e.approve("bank", 5)
	e.run()
	e.soon(func() bool { return e.own().Processed > 0 })
	require.NoError(t, e.shutdown(bg))
	require.EqualValues(t, 5, e.own().Processed)
	require.EqualValues(t, 5, e.own().Ended)
}
