package refund_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestClocksAnHourApart: two machines disagree about the time. That wastes calls and an hour, not money.
func TestClocksAnHourApart(t *testing.T) {
	e := newEnv(t)
	opt := refund.Options{Backoff: func(string, int) time.Duration { return time.Minute }}
	opt.Now = e.clock.Now
	slow := e.service(e.bank, opt)
	opt.Now = func() time.Time { return e.clock.Now().Add(time.Hour) }
	fast := e.service(e.bank, opt)

	ref := e.approved("R1", 4000)
	e.bank.next(fault{op: "refund", pay: true, err: errLost}, fault{op: "query", err: errLost}, fault{op: "query", err: errLost})
	start, state := e.clock.Now(), order.StateApproved
	for i := 0; state == order.StateApproved; i++ {
		next, err := []*refund.Service{slow, fast, slow}[i%3].Process(bg, ref)
		require.NoError(t, err)
		state = next.State
		e.clock.Advance(time.Minute)
		require.Less(t, e.clock.Now().Sub(start), 2*time.Hour, "not wedged")
	}
	require.Equal(t, order.StateRefunded, state)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
	require.Equal(t, order.StateRefunded, e.order().Refund("R1").State)
}

// TestLeaseOfAFastClockIsOver: the machine dies in a call, and comes back with a clock that is an hour behind. No right
// clock writes a lease that far ahead.
func TestLeaseOfAFastClockIsOver(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	failing := &flakyStore{Store: e.store}
	dying, err := refund.NewService(e.machine, failing, dieOn{e.bank, nil, func() { failing.fail(errLost) }}, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	_, err = dying.Process(bg, ref)
	require.ErrorIs(t, err, errLost)

	e.clock.Advance(-time.Hour)
	require.Equal(t, order.StateRefunded, e.process(ref).State)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}

// pausing is a store whose caller stands still after each commit: a machine that sleeps, a garbage collection,
// a connection that answers late.
type pausing struct {
	refund.Store
	pause func()
}

func (p pausing) Update(ctx context.Context, id string, fn func(context.Context, *order.Order) error) error {
	err := p.Store.Update(ctx, id, fn)
	p.pause()
	return err
}

// TestLateToSend: a process that stood still until its lease had run out does not send any more. Others have
// taken the refund over: it may have been sent, closed and booked as failed, and would be opened again.
func TestLateToSend(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	slept := false
	late, err := refund.NewService(e.machine, pausing{e.store, func() {
		if slept {
			return
		}
		slept = true
		e.clock.Advance(time.Minute)
		e.bank.next(fault{op: "query", res: isNotFound}, fault{op: "refund", res: isAccepted}, fault{op: "query", res: isClosed})
		e.process(ref)
		e.clock.Advance(time.Minute)
		require.Equal(t, order.StateFailed, e.process(ref).State)
	}}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)

	_, err = late.Process(bg, ref)
	require.NoError(t, err)
	require.Equal(t, []string{"query R1", "refund R1", "query R1"}, e.bank.called(), "the late one sends nothing")
	require.Zero(t, e.bank.paid("O1"))
	require.Equal(t, order.StateFailed, e.refund("R1").State)
}

// TestLateAlone: where nobody has taken it over, the late one gives the refund back untouched.
func TestLateAlone(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	late, err := refund.NewService(e.machine, pausing{e.store, func() { e.clock.Advance(2 * time.Minute) }}, e.bank,
		refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	next, err := late.Process(bg, ref)
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, next.State)
	require.ErrorContains(t, next.Err, "lease")
	require.Empty(t, e.bank.called())
	require.False(t, e.refund("R1").Outstanding, "nothing was sent")

	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}
