package poller_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestEveryApprovedRefundEnds: half of the submissions lose their answer after they paid, a quarter before.
func TestEveryApprovedRefundEnds(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 100)
	fate := map[string]int{}
	for i, ref := range refs {
		fate[ref.RefundNo] = i % 4
	}
	e.bank.answer = func(_ context.Context, op string, req refund.Request) (refund.Result, error) {
		if op == "query" || e.bank.callsOf(req.RefundNo) > 1 {
			return refund.Result{}, nil
		}
		switch fate[req.RefundNo] {
		case 0, 1:
			e.bank.pay(req.RefundNo)
			return refund.Result{}, errLost
		case 2:
			return refund.Result{}, errLost
		}
		return refund.Result{}, nil
	}
	e.run()
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Less(t, took, 2*time.Minute, "one minute of backoff, and the idle wait")
	for _, ref := range refs {
		require.Equal(t, 1, e.bank.paid[ref.RefundNo])
	}
	st := e.stats()
	require.EqualValues(t, 100, st.Ended)
	require.EqualValues(t, 175, st.Processed, "75 of them twice, none a third time")
	require.Zero(t, st.Errors)
}

func TestConcurrencyIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  poller.Options
		want int
	}{
		"three quarters for one gateway": {poller.Options{Concurrency: 8}, 6},
		"the gateway's own":              {poller.Options{Concurrency: 8, Gateways: map[string]poller.GatewayOptions{"bank": {Concurrency: 2}}}, 2},
		"all of them":                    {poller.Options{Concurrency: 3, Gateways: map[string]poller.GatewayOptions{"bank": {Concurrency: 10}}}, 3},
		"at least one":                   {poller.Options{Concurrency: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
				o.Concurrency, o.Gateways = tc.opt.Concurrency, tc.opt.Gateways
			})
			refs := e.approve("bank", 30)
			gate := make(chan struct{})
			e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
				<-gate
				return refund.Result{}, nil
			}
			e.run()
			e.soon(func() bool { return e.bank.running() == tc.want })
			timers := e.clock.timers()
			require.Never(t, func() bool { return e.clock.timers() > timers+2 },
				20*time.Millisecond, time.Millisecond, "it does not spin while there is no place")
			require.Equal(t, tc.want, e.stats().InFlight)
			require.Equal(t, e.clock.now(), e.stats().OldestInFlight)
			close(gate)
			e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
			require.Equal(t, tc.want, e.bank.top, "never more")
		})
	}
}

// TestOneListServesManyRefunds: the clock stands still, so every look is one that the backlog needs.
func TestOneListServesManyRefunds(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 320)
	e.run()
	e.soon(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.LessOrEqual(t, e.store.looked(), 60, "of 32, some of them for other gateways, which have nothing")
}

// TestOneGatewayDoesNotStarveAnother: one gateway hangs with 10,000 refunds due. What is approved for another
// one is sent at once.
func TestOneGatewayDoesNotStarveAnother(t *testing.T) {
	e := newEnv(t)
	e.bank.answer = func(ctx context.Context, _ string, req refund.Request) (refund.Result, error) {
		if req.Gateway == "hangs" {
			<-ctx.Done()
			return refund.Result{}, ctx.Err()
		}
		return refund.Result{}, nil
	}
	e.approve("hangs", 10000)
	e.run()
	e.soon(func() bool { return e.own().InFlight == 6 })
	e.clock.advance(time.Second)
	refs := e.approve("works", 20)
	e.soon(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Equal(t, poller.MaxCount, e.stats().Due, "counted as far as that")
	e.cancel()
	require.NoError(t, e.result())
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{0.5, 8} {
		interval := time.Duration(float64(time.Second) / rate)
		t.Run(interval.String(), func(t *testing.T) {
			e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
				o.Gateways = map[string]poller.GatewayOptions{"slow": {Rate: rate}}
			})
			slow, fast := e.approve("slow", 20), e.approve("fast", 10)
			var at []time.Time
			e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
				if req.Gateway == "slow" { // one at a time: they are an interval apart
					at = append(at, e.clock.now())
				}
				return refund.Result{}, nil
			}
			e.run()
			require.Less(t, e.until(func() bool { return e.count(fast, order.StateRefunded) == len(fast) }), time.Second)
			e.until(func() bool { return e.count(slow, order.StateRefunded) == len(slow) })
			require.Len(t, at, 20)
			for i := range at[1:] {
				wait := at[i+1].Sub(at[i])
				require.GreaterOrEqual(t, wait, interval)
				require.LessOrEqual(t, wait, interval+10*time.Millisecond, "nor less often")
			}
		})
	}
}

// TestProviderThatIsBusy: an answer that concerns the whole gateway slows down all its refunds, and no other.
func TestProviderThatIsBusy(t *testing.T) {
	for name, tc := range map[string]struct {
		err         error
		least, most time.Duration
	}{
		"the account": {
			fmt.Errorf("call: %w", &refund.BusyError{After: 20 * time.Second, Account: true, Err: errLost}),
			20 * time.Second, 30 * time.Second,
		},
		"the account, without end": {
			&refund.BusyError{After: math.MaxInt64, Account: true, Err: errLost}, time.Minute, 70 * time.Second,
		},
		"the account, until before": {&refund.BusyError{After: -time.Hour, Account: true, Err: errLost}, 0, time.Second},
		"one refund":                {&refund.BusyError{After: time.Hour, Err: errLost}, 0, time.Second},
		"set-up":                    {&refund.SetupError{Err: errLost}, time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
				o.Gateways = map[string]poller.GatewayOptions{"busy": {Concurrency: 1}}
			})
			refs := e.approve("busy", 2)
			first := true
			e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
				if first {
					first = false
					return refund.Result{}, tc.err
				}
				return refund.Result{}, nil
			}
			e.run()
			took := e.until(func() bool { return e.count(refs, order.StateRefunded) == 1 })
			require.GreaterOrEqual(t, took, tc.least)
			require.LessOrEqual(t, took, tc.most)
		})
	}
}

// TestOneBusyOrderDoesNotRestTheGateway: the provider is busy with one order, each time that it is
// asked. All other refunds of the gateway are paid meanwhile.
func TestOneBusyOrderDoesNotRestTheGateway(t *testing.T) {
	e := newEnv(t)
	busy := e.approve("bank", 1)[0]
	refs := e.approve("bank", 300)
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		if req.OrderID == busy.OrderID {
			return refund.Result{}, &refund.BusyError{After: 5 * time.Second, Err: errLost}
		}
		return refund.Result{}, nil
	}
	e.run()
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Less(t, took, time.Second, "nothing waits for the busy order")
	require.Equal(t, order.StateApproved, e.refund(busy).State)
	require.Positive(t, e.bank.callsOf(busy.RefundNo))
}

// TestRefundsOfOneOrder go one at a time, one right after the other, without asking the store all the time.
func TestRefundsOfOneOrder(t *testing.T) {
	e := newEnv(t)
	refs := e.approveOn(20)
	e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
		for e.own().InFlight > 1 { // the others see that they must wait
			runtime.Gosched()
		}
		return refund.Result{}, nil
	}
	e.run()
	took := e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Equal(t, 1, e.bank.top)
	require.Less(t, took, 5*time.Second)
	require.Less(t, e.store.looked(), 100)
}

// TestRefundsThatWaitForAnother: a call for another refund of the order is under way elsewhere.
func TestRefundsThatWaitForAnother(t *testing.T) {
	e := newEnv(t)
	refs := e.approveOn(3)
	require.NoError(t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
		r := o.Refund("R0")
		r.Attempts, r.LeasedUntil, r.NextAttemptAt = 1, e.clock.now().Add(time.Minute), e.clock.now().Add(time.Minute)
		return nil
	}))
	e.run()
	took := e.until(func() bool { return e.count(refs[1:], order.StateRefunded) == 2 })
	require.GreaterOrEqual(t, took, time.Minute)
	require.Less(t, took, 67*time.Second, "the lease, a hold and an idle wait")
	require.Less(t, e.stats().Processed, int64(150), "about once a second each")
}

// TestRefundsThatWaitHideNoOther: more of them than are listed at once.
func TestRefundsThatWaitHideNoOther(t *testing.T) {
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Batch = 4 })
	waiting := e.approveOn(20)
	require.NoError(t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
		r := o.Refund("R0")
		r.Attempts, r.LeasedUntil, r.NextAttemptAt = 1, e.clock.now().Add(time.Minute), e.clock.now().Add(time.Minute)
		return nil
	}))
	e.clock.advance(time.Second)
	other := e.approve("bank", 1)
	e.run()
	took := e.until(func() bool { return e.count(other, order.StateRefunded) == 1 })
	require.Less(t, took, 10*time.Second)
	require.Zero(t, e.count(waiting, order.StateRefunded))
}

// TestStaleList: what a slow gateway's turn comes to late may have been done by another replica long since.
func TestStaleList(t *testing.T) {
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
		o.Gateways = map[string]poller.GatewayOptions{"slow": {Rate: 0.5}}
	})
	refs := e.approve("slow", 20)
	e.run()
	e.until(func() bool { return e.count(refs, order.StateRefunded) > 0 })
	for _, ref := range refs {
		_, err := e.svc.Process(bg, ref)
		require.NoError(t, err)
	}
	more := e.approve("slow", 1)
	took := e.until(func() bool {
		e.approve("fast", 1) // other lists keep being made
		return e.count(more, order.StateRefunded) == 1
	})
	require.Less(t, took, 10*time.Second, "not after all the others")
}

// TestReplicasTakeTurnsOfTheirOwn: they would all meet at the same refunds if they took them as listed.
func TestReplicasTakeTurnsOfTheirOwn(t *testing.T) {
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Concurrency, o.Batch = 1, 100 })
	refs := e.approve("bank", 100)
	var got []string
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		got = append(got, req.RefundNo) // one at a time
		return refund.Result{}, nil
	}
	e.run()
	e.until(func() bool { return e.count(refs, order.StateRefunded) == 100 })
	require.False(t, slices.IsSorted(got))
}

// TestBackoffOfNothing: a host that has refunds asked about again at once does not make the Poller a hammer.
func TestBackoffOfNothing(t *testing.T) {
	e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
		o.Backoff = func(string, int) time.Duration { return 0 }
	})
	e.bank.answer = func(_ context.Context, _ string, req refund.Request) (refund.Result, error) {
		return result(refund.OutcomeAccepted, req), nil
	}
	e.approve("bank", 1)
	start := e.clock.now()
	e.run()
	e.until(func() bool { return e.clock.now().Sub(start) >= time.Minute })
	require.LessOrEqual(t, e.bank.total(), 61)
	require.Greater(t, e.bank.total(), 20)
}

func TestSeveralReplicas(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 300)
	e.run()
	for range 2 {
		svc := newService(t, e.store, e.bank, refund.Options{Now: e.clock.now})
		p, err := poller.New(svc, poller.Options{Now: e.clock.now, NewTimer: e.clock.newTimer, Logger: silent()})
		require.NoError(t, err)
		(&env{t: t, p: p, ran: make(chan error, 1)}).run()
	}
	e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Equal(t, 300, e.bank.total(), "nobody asked what another one was asking")
}

// plain hides the optional interfaces of a store.
type plain struct{ refund.Store }

// TestPlainStore: a host's store that has the port and nothing more.
func TestPlainStore(t *testing.T) {
	e := newEnv(t)
	refs := e.approve("bank", 100)
	svc := newService(t, plain{e.store}, e.bank, refund.Options{Now: e.clock.now})
	var err error
	e.p, err = poller.New(svc, poller.Options{Now: e.clock.now, NewTimer: e.clock.newTimer, Logger: silent()})
	require.NoError(t, err)
	e.run()
	e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Equal(t, 100, e.bank.total())
}

func TestOptions(t *testing.T) {
	svc := newEnv(t).svc
	for want, opt := range map[string]poller.Options{
		"concurrency: is negative":                               {Concurrency: -1},
		"batch: is negative":                                     {Batch: -1},
		"idle_min: is negative":                                  {IdleMin: -1},
		"idle_max: is negative":                                  {IdleMax: -1},
		"idle_max: is less than idle_min":                        {IdleMin: 2, IdleMax: 1},
		"stop_timeout: is negative":                              {StopTimeout: -1},
		`gateways: concurrency of "b" is negative`:               {Gateways: map[string]poller.GatewayOptions{"b": {Concurrency: -1}}},
		`gateways: rate of "b" is not a number of refunds per s`: {Gateways: map[string]poller.GatewayOptions{"b": {Rate: math.NaN()}}},
		`gateways: rate of "c" is not a number of refunds per s`: {Gateways: map[string]poller.GatewayOptions{"c": {Rate: -1}}},
	} {
		_, err := poller.New(svc, opt)
		require.ErrorIs(t, err, refund.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
	_, err := poller.New(nil, poller.Options{Batch: -1})
	require.ErrorContains(t, err, "service: is nil")
	require.ErrorContains(t, err, "batch: is negative")
	_, err = poller.New(svc, poller.Options{IdleMin: time.Hour})
	require.NoError(t, err, "the default of the other follows")
	_, err = poller.New(svc, poller.Options{Gateways: map[string]poller.GatewayOptions{"b": {Rate: math.Inf(1)}, "c": {Rate: 1e-300}}})
	require.NoError(t, err)
}
