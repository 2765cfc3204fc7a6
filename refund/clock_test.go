package refund_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestClocksAnHourApart: two machines disagree about the time. That wastes calls and an hour, not
// money.
func TestClocksAnHourApart(t *testing.T) {
	e := newEnv(t)
	opt := refund.Options{Backoff: func(string, int) time.Duration { return time.Minute }}
	opt.Now = e.clock.Now
	slow := e.service(e.bank, opt)
	opt.Now = func() time.Time { return e.clock.Now().Add(time.Hour) }
	fast := e.service(e.bank, opt)

	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
	e.bank.NextQuery(refundtest.Fail(errLost), refundtest.Fail(errLost))
	start, state := e.clock.Now(), order.StateApproved
	for i := 0; state == order.StateApproved; i++ {
		next, err := []*refund.Service{slow, fast, slow}[i%3].Process(bg, ref)
		require.NoError(t, err)
		state = next.State
		e.clock.Advance(time.Minute)
		require.Less(t, e.clock.Now().Sub(start), 2*time.Hour, "not wedged")
	}
	require.Equal(t, order.StateRefunded, state)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
	require.Equal(t, order.StateRefunded, e.order().Refund("R1").State)
}

// TestLeaseTooFarAheadIsIgnored: the machine dies in a call, and restarts with a clock that is an
// hour behind. No right clock writes a lease that far ahead.
func TestLeaseTooFarAheadIsIgnored(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	failing := &flakyStore{Store: e.store}
	dying, err := refund.NewService(
		e.machine, failing, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	e.bank.NextRefund(refundtest.AsUsual().After(failing.down))
	_, err = dying.Process(bg, ref)
	require.ErrorIs(t, err, errLost)

	e.clock.Advance(-time.Hour)
	require.Equal(t, order.StateRefunded, e.process(ref).State)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

// pausing is a store whose caller stands still after each commit: a machine that sleeps, a garbage
// collection, a connection that answers late.
type pausing struct {
	refund.Store
	pause func()
}

func (p pausing) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	err := p.Store.Update(ctx, id, fn)
	p.pause()
	return err
}

// TestNothingIsSentAfterTheLease: a process was suspended until its lease had run out. Others have
// processed the refund since: it was sent, closed and booked as failed. A late submission would
// open it again.
func TestNothingIsSentAfterTheLease(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	slept := false
	late, err := refund.NewService(e.machine, pausing{e.store, func() {
		if slept {
			return
		}
		slept = true
		e.clock.Advance(time.Minute)
		e.bank.NextQuery(refundtest.Answer(isNotFound), refundtest.Answer(isClosed))
		e.bank.NextRefund(refundtest.Answer(isAccepted))
		e.process(ref)
		e.clock.Advance(time.Minute)
		require.Equal(t, order.StateFailed, e.process(ref).State)
	}}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)

	_, err = late.Process(bg, ref)
	require.NoError(t, err)
	require.Equal(
		t, []string{"query R1", "refund R1", "query R1"}, called(e.bank),
		"the late one sends nothing",
	)
	require.Equal(t, refund.OutcomeNotFound, e.bank.State("R1"))
	require.Equal(t, order.StateFailed, e.refund("R1").State)
}

// TestLateProcessReleasesTheRefund: if no other process has the refund, the late one releases it
// unchanged.
func TestLateProcessReleasesTheRefund(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	late, err := refund.NewService(e.machine, pausing{
		e.store, func() { e.clock.Advance(2 * time.Minute) },
	}, e.bank,
		refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	next, err := late.Process(bg, ref)
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, next.State)
	require.ErrorContains(t, next.Err, "lease")
	require.Empty(t, called(e.bank))
	require.False(t, e.refund("R1").Outstanding, "nothing was sent")

	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

const year = 365 * 24 * time.Hour

// TestClockAYearAheadStopsNothing: a machine whose clock is a year ahead leases a refund and dies
// before it sends. Machines with the right time go on with this refund and the others of the order,
// and carry out commands on them.
func TestClockAYearAheadStopsNothing(t *testing.T) {
	for name, ahead := range map[string]time.Duration{
		"a year": year, "ten years": 10 * year, "an hour": time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref1, ref2 := e.approved("R1", 3000), e.approved("R2", 3000)
			e.clock.Advance(ahead)
			require.NoError(t, e.store.Update(bg, "O1", func(
				_ context.Context, o *order.Order,
			) error {
				r := o.Refund("R1")
				r.Attempts, r.Outstanding, r.SubmittedAt = 1, true, e.clock.Now()
				r.LeasedUntil = e.clock.Now().Add(time.Minute)
				r.NextAttemptAt = r.LeasedUntil
				return nil
			}))
			e.clock.Advance(-ahead)
			e.steps(ref2, 2)
			require.Equal(t, order.StateRefunded, e.refund("R2").State)
			e.process(ref1)
			e.steps(ref1, 1)
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.EqualValues(t, 6000, e.bank.PaidTotal("O1"))
		})
	}
}

// TestResolveAfterALeaseOfAWrongClock: a lease too far ahead does not stop Resolve.
func TestResolveAfterALeaseOfAWrongClock(t *testing.T) {
	for lease, allowed := range map[time.Duration]bool{
		time.Minute: false, 2 * time.Minute: false, 121 * time.Second: true, year: true,
	} {
		e := newEnv(t)
		e.process(e.approved("R1", 3000))
		require.NoError(t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
			o.Refund("R1").LeasedUntil = e.clock.Now().Add(lease)
			return nil
		}))
		_, err := e.svc.Resolve(bg, refund.ResolveParams{
			Ref: o1("R1"), Resolution: refund.ResolutionReturned, Evidence: "x", Actor: seller,
		})
		if allowed {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, order.ErrConflict)
		}
	}
}

// TestApprovedByAClockAYearAhead: the web server that approves has the wrong date, the workers have
// the right one.
func TestApprovedByAClockAYearAhead(t *testing.T) {
	e := newEnv(t)
	fast := e.service(
		e.bank,
		refund.Options{
			Now:   func() time.Time { return e.clock.Now().Add(year) },
			Hooks: []refund.Hooks{e.hooks()},
		},
	)
	e.register()
	_, err := fast.Request(bg, refund.RequestParams{Ref: o1("R1"), Amount: 4000, Actor: buyer})
	require.NoError(t, err)
	_, err = fast.Approve(bg, refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller})
	require.NoError(t, err)
	e.process(o1("R1"))
	require.Len(t, e.stuck, 1, "an approval in the future is for somebody to look at")
	e.steps(o1("R1"), 1)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestIntervalOfAWrongClock: another refund of the order was sent in the future. It delays this one
// no longer than the provider's interval.
func TestIntervalOfAWrongClock(t *testing.T) {
	for sent, waits := range map[time.Duration]bool{
		-61 * time.Second: false, 0: true, time.Minute: true, 2 * time.Minute: false, year: false,
	} {
		e := newEnv(t)
		e.bank.SetLimits(refund.Limits{MinInterval: time.Minute})
		s := e.service(e.bank, refund.Options{Now: e.clock.Now})
		e.process(e.approved("R1", 3000))
		ref := e.approved("R2", 3000)
		require.NoError(t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
			o.Refund("R1").SubmittedAt = e.clock.Now().Add(sent)
			return nil
		}))
		_, err := s.Process(bg, ref)
		require.NoError(t, err)
		require.Equal(t, waits, len(submissions(e.bank, "R2")) == 0, "sent %v from now", sent)
	}
}

// timedStore is a store with a clock, as a database has one.
type timedStore struct {
	refund.Store
	now func() (time.Time, error)
}

func (s timedStore) Now(context.Context) (time.Time, error) { return s.now() }

// TestQuietPeriodOnOneClock: the process that gets the refusal and the one that checks it have
// clocks an hour apart. The quiet period is measured on the store's clock.
func TestQuietPeriodOnOneClock(t *testing.T) {
	e := newEnv(t)
	var broken error
	store := timedStore{e.store, func() (time.Time, error) { return e.clock.Now(), broken }}
	process := func(off time.Duration) (refund.ProcessResult, error) {
		s, err := refund.NewService(e.machine, store, e.bank, refund.Options{
			Now: func() time.Time {
				return e.clock.Now().Add(off)
			}, Backoff: func(string, int) time.Duration { return time.Second },
		})
		require.NoError(t, err)
		return s.Process(bg, o1("R1"))
	}
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.clock.Advance(time.Minute)
	_, err := process(0) // refused
	require.NoError(t, err)
	require.Equal(t, e.clock.Now(), e.refund("R1").DeclinedAt)
	for range 4 { // twenty seconds each
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		next, err := process(time.Hour + 10*time.Minute)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, next.State, "the quiet period is not over")
		e.clock.Advance(20 * time.Second)
	}
	broken = errLost
	e.clock.Advance(40 * time.Second)
	e.bank.NextQuery(refundtest.Answer(isNotFound), refundtest.Answer(isNotFound))
	_, err = process(time.Hour + 20*time.Minute)
	require.ErrorIs(t, err, errLost, "without the store's time nothing is booked")
	broken = nil
	next, err := process(2 * time.Hour)
	require.NoError(t, err)
	require.Equal(t, order.StateFailed, next.State)
	require.Equal(t, refund.OutcomeNotFound, e.bank.State("R1"))
}
