package refund_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// requested registers O1 and requests refund number.
func (e *env) requested(number string) refund.ApproveParams {
	e.t.Helper()
	e.register()
	_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1(number), Amount: 30, Actor: buyer})
	require.NoError(e.t, err)
	return refund.ApproveParams{Ref: o1(number), Amount: 30, Actor: seller}
}

// TestOnDueReportsWhatBecameDue: f is called once for each command that makes a refund due, and for
// no other command. The change is committed when f is called.
func TestOnDueReportsWhatBecameDue(t *testing.T) {
	e := newEnv(t)
	calls := 0
	defer e.svc.OnDue(func() {
		calls++
		require.Equal(t, order.StateApproved, e.refund("R1").State)
	})()
	approval := e.requested("R1")
	require.Zero(t, calls, "a request is not due")
	_, err := e.svc.Approve(bg, approval)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	_, err = e.svc.Approve(bg, approval)
	require.NoError(t, err)
	require.Equal(t, 1, calls, "a repeated command changes nothing")

	ref := o1("R1")
	e.bank.NextRefund(refundtest.Answer(refund.Result{Outcome: refund.OutcomeDeclined}))
	require.Equal(t, order.StateFailed, e.process(ref).State)
	require.Equal(t, 1, calls)
	_, err = e.svc.Retry(bg, refund.RetryParams{Ref: o1("R1"), Actor: seller})
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.Equal(t, order.StateApproved, e.process(ref).State)
	require.Equal(t, 2, calls, "the next attempt is left to Due")
}

// TestOnDueWaitsForTheHostsCommit: a command joins a transaction. f is called after its commit, and
// not after a roll-back.
func TestOnDueWaitsForTheHostsCommit(t *testing.T) {
	errHost := errors.New("host rolls back")
	for name, want := range map[string]error{"commit": nil, "roll-back": errHost} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			calls := 0
			defer e.svc.OnDue(func() { calls++ })()
			approval := e.requested("R1")
			_, err := e.svc.Register(bg, refund.RegisterParams{
				OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 100,
			})
			require.NoError(t, err)
			err = e.store.Update(bg, "O2", func(ctx context.Context, _ *order.Order) error {
				_, err := e.svc.Approve(ctx, approval)
				require.NoError(t, err)
				require.Zero(t, calls)
				return want
			})
			require.ErrorIs(t, err, want)
			require.Equal(t, want == nil, calls == 1)
			require.Equal(t, want != nil, calls == 0)
		})
	}
}

// TestOnDueIsSilentAfterARollback: a command fails, and f is not called.
func TestOnDueIsSilentAfterARollback(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, tr order.Transition) error {
			if tr.Event == order.EventApprove {
				return errors.New("no")
			}
			return nil
		}
	})
	defer e.svc.OnDue(func() { t.Error("called after a roll-back") })()
	_, err := e.svc.Approve(bg, e.requested("R1"))
	require.ErrorContains(t, err, "no")
}

// bareTx is a store on which every command joins a transaction whose commit nobody reports.
type bareTx struct{ refund.Store }

func (bareTx) Joined(context.Context) bool                                 { return true }
func (bareTx) AfterCommit(context.Context, func(ctx context.Context)) bool { return false }

// TestOnDueWithoutAReportedCommit: f is called with the command if nobody reports the commit.
func TestOnDueWithoutAReportedCommit(t *testing.T) {
	e := newEnv(t)
	svc, err := refund.NewService(e.machine, bareTx{e.store}, e.bank, refund.Options{})
	require.NoError(t, err)
	calls := 0
	defer svc.OnDue(func() { calls++ })()
	approval := e.requested("R1")
	_, err = svc.Approve(bg, approval)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
}

// TestOnDueStops: stop removes one function, once, and leaves the others.
func TestOnDueStops(t *testing.T) {
	e := newEnv(t)
	var first, second atomic.Int64
	count := func(n *atomic.Int64) func() { return func() { n.Add(1) } }
	stopFirst := e.svc.OnDue(count(&first))
	stopSecond := e.svc.OnDue(count(&second))
	e.approved("R1", 30)
	require.EqualValues(t, 1, first.Load())
	require.EqualValues(t, 1, second.Load())
	stopFirst()
	stopFirst()
	e.approved("R2", 30)
	require.EqualValues(t, 1, first.Load())
	require.EqualValues(t, 2, second.Load())
	stopSecond()
	e.approved("R3", 30)
	require.EqualValues(t, 2, second.Load())
}

// TestOnDueMayStopItself: f may call its own stop, and register another function.
func TestOnDueMayStopItself(t *testing.T) {
	e := newEnv(t)
	var stop func()
	calls, next := 0, 0
	stop = e.svc.OnDue(func() {
		calls++
		stop()
		e.svc.OnDue(func() { next++ })
	})
	e.approved("R1", 30)
	e.approved("R2", 30)
	require.Equal(t, 1, calls)
	require.Equal(t, 1, next)
}

// TestOnDueContainsAPanic: the command succeeds, and the other functions are called.
func TestOnDueContainsAPanic(t *testing.T) {
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Logger = log.Logger() })
	calls := 0
	defer e.svc.OnDue(func() { panic("engine broke") })()
	defer e.svc.OnDue(func() { calls++ })()
	e.approved("R1", 30)
	require.Equal(t, 1, calls)
	require.Equal(t, []string{"on_due"}, log.Values("hook panicked", "hook"))
}
