package poller_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestEveryApprovedRefundEnds: half of the submissions lose their answer after the payment, and a
// quarter fail before it.
func TestEveryApprovedRefundEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approve("bank", 100)
		for i, ref := range refs {
			switch i % 4 {
			case 0, 1:
				e.bank.NextRefund(refundtest.Pay().ThenFail(errLost).For(ref.RefundNo))
			case 2:
				e.bank.NextRefund(refundtest.Fail(errLost).For(ref.RefundNo))
			}
		}
		e.run()
		took := e.until(e.refunded(refs))
		require.Less(t, took, 2*time.Minute, "one minute of backoff, and the idle wait")
		for _, ref := range refs {
			require.EqualValues(t, 100, e.bank.PaidTotal(ref.OrderID))
		}
		st := e.stats()
		require.EqualValues(t, 100, st.Ended)
		require.EqualValues(t, 175, st.Processed, "75 of them twice, none a third time")
		require.Zero(t, st.Errors)
	})
}

// meter records how many calls to a gateway run at the same time.
type meter struct {
	mu      sync.Mutex
	in, top int
}

// step returns a step that goes as usual, with the meter. The call waits in wait.
func (m *meter) step(wait func(context.Context)) refundtest.Step {
	return refundtest.AsUsual().Before(func(ctx context.Context) {
		m.mu.Lock()
		m.in++
		m.top = max(m.top, m.in)
		m.mu.Unlock()
		wait(ctx)
	}).After(func(context.Context) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.in--
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	bank := func(n int) map[string]poller.GatewayOptions {
		return map[string]poller.GatewayOptions{"bank": {Concurrency: n}}
	}
	for name, tc := range map[string]struct {
		opt  poller.Options
		want int
	}{
		"three quarters for one gateway": {poller.Options{Concurrency: 8}, 6},
		"the gateway's own":              {poller.Options{Concurrency: 8, Gateways: bank(2)}, 2},
		"all of them":                    {poller.Options{Concurrency: 3, Gateways: bank(10)}, 3},
		"at least one":                   {poller.Options{Concurrency: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, func(r *refund.Options, o *poller.Options) {
					o.Concurrency, o.Gateways = tc.opt.Concurrency, tc.opt.Gateways
					r.CallTimeout, r.Lease = time.Hour, 2*time.Hour
				})
				refs := e.approve("bank", 30)
				gate := make(chan struct{})
				var m meter
				e.bank.Choose(func(refundtest.Call) refundtest.Step {
					return m.step(refundtest.Until(gate))
				})
				e.run()
				start := now()
				e.soon(func() bool { return e.total() == tc.want })
				lists := e.store.listed()
				pass(time.Minute)
				require.Less(t, e.store.listed()-lists, 25, "it does not list without a pause")
				require.Equal(t, tc.want, e.stats().InFlight)
				require.Less(t, e.stats().OldestInFlight.Sub(start), time.Millisecond)
				close(gate)
				e.until(e.refunded(refs))
				require.Equal(t, tc.want, m.top, "never more")
			})
		})
	}
}

// TestOneListServesManyRefunds: no idle wait ends, so every list is one that the backlog needs.
func TestOneListServesManyRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approve("bank", 320)
		e.run()
		e.soon(e.refunded(refs))
		require.LessOrEqual(t, e.store.listed(), 60, "of 32, and some without the busy gateway")
	})
}

// TestOneGatewayDoesNotStarveAnother: one gateway hangs with 10,000 refunds due. A refund that is
// approved for another gateway is sent at once.
func TestOneGatewayDoesNotStarveAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.bank.Choose(func(c refundtest.Call) refundtest.Step {
			if c.Request.Gateway == "hangs" {
				return refundtest.Hang()
			}
			return refundtest.AsUsual()
		})
		e.approve("hangs", 10000)
		e.run()
		e.soon(func() bool { return e.counts().InFlight == 6 })
		pass(time.Second)
		refs := e.approve("works", 20)
		e.soon(e.refunded(refs))
		require.Equal(t, 1000, e.stats().Due, "it counts no further")
		e.cancel()
		require.NoError(t, <-e.ran)
	})
}

func TestRateIsKept(t *testing.T) {
	for _, rate := range []float64{0.5, 8} {
		interval := time.Duration(float64(time.Second) / rate)
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
					o.Gateways = map[string]poller.GatewayOptions{"slow": {Rate: rate}}
				})
				slow, fast := e.approve("slow", 20), e.approve("fast", 10)
				var at []time.Time
				e.bank.Choose(func(c refundtest.Call) refundtest.Step {
					if c.Request.Gateway == "slow" { // one at a time: they are an interval apart
						at = append(at, now())
					}
					return refundtest.AsUsual()
				})
				e.run()
				require.Less(t, e.until(e.refunded(fast)), time.Second)
				e.until(e.refunded(slow))
				require.Len(t, at, 20)
				for i := range at[1:] {
					wait := at[i+1].Sub(at[i])
					require.GreaterOrEqual(t, wait, interval)
					require.LessOrEqual(t, wait, interval+10*time.Millisecond, "and not less often")
				}
			})
		})
	}
}

// TestBusyProviderRestsItsGateway: an answer that concerns the whole gateway delays all its
// refunds. An answer that concerns one refund delays no other.
func TestBusyProviderRestsItsGateway(t *testing.T) {
	busy := func(after time.Duration, account bool) error {
		return fmt.Errorf("call: %w", &refund.BusyError{After: after, Account: account, Err: errLost})
	}
	for name, tc := range map[string]struct {
		err         error
		least, most time.Duration
	}{
		"the account":              {busy(20*time.Second, true), 20 * time.Second, 30 * time.Second},
		"the account, without end": {busy(math.MaxInt64, true), time.Minute, 70 * time.Second},
		"the account, in the past": {busy(-time.Hour, true), 0, time.Second},
		"one refund":               {busy(time.Hour, false), 0, time.Second},
		"set-up":                   {&refund.SetupError{Err: errLost}, time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
					o.Gateways = map[string]poller.GatewayOptions{"busy": {Concurrency: 1}}
				})
				refs := e.approve("busy", 2)
				e.bank.Next(refundtest.Fail(tc.err))
				e.run()
				took := e.until(func() bool { return e.count(refs, order.StateRefunded) == 1 })
				require.GreaterOrEqual(t, took, tc.least)
				require.LessOrEqual(t, took, tc.most)
			})
		})
	}
}

// TestOneBusyOrderDoesNotRestTheGateway: the provider is busy with one order each time it is asked.
// All other refunds of the gateway are paid meanwhile.
func TestOneBusyOrderDoesNotRestTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		busy := e.approve("bank", 1)[0]
		refs := e.approve("bank", 300)
		e.bank.Choose(func(c refundtest.Call) refundtest.Step {
			if c.Request.OrderID == busy.OrderID {
				return refundtest.Fail(&refund.BusyError{After: 5 * time.Second, Err: errLost})
			}
			return refundtest.AsUsual()
		})
		e.run()
		require.Less(t, e.until(e.refunded(refs)), time.Second, "nothing waits for the busy order")
		require.Equal(t, order.StateApproved, e.refund(busy).State)
		require.Positive(t, e.calls(busy))
	})
}

// TestRefundsOfOneOrderFollowOneAnother: one at a time, each right after the one before, and with
// few lists.
func TestRefundsOfOneOrderFollowOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approveOn(20)
		var m meter
		e.bank.Choose(func(refundtest.Call) refundtest.Step {
			// The call takes a moment, so that the other refunds find that they must wait.
			return m.step(func(context.Context) {
				time.Sleep(time.Microsecond) //nolint:forbidigo // the time of testing/synctest
			})
		})
		e.run()
		require.Less(t, e.until(e.refunded(refs)), 5*time.Second)
		require.Equal(t, 1, m.top)
		require.Less(t, e.store.listed(), 100)
	})
}

// TestRefundsThatWaitForAnother: another process is asking about another refund of the order.
func TestRefundsThatWaitForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approveOn(3)
		e.lease(refs[0])
		e.run()
		took := e.until(e.refunded(refs[1:]))
		require.GreaterOrEqual(t, took, time.Minute)
		require.Less(t, took, 67*time.Second, "the lease, a hold and an idle wait")
		require.Less(t, e.stats().Processed, int64(150), "about once a second each")
	})
}

// TestRefundsThatWaitHideNoOther: more of them wait than one list has.
func TestRefundsThatWaitHideNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Batch = 4 })
		waiting := e.approveOn(20)
		e.lease(waiting[0])
		pass(time.Second)
		other := e.approve("bank", 1)
		e.run()
		require.Less(t, e.until(e.refunded(other)), 10*time.Second)
		require.Zero(t, e.count(waiting, order.StateRefunded))
	})
}

// TestStaleListIsDropped: another replica processes what a slow gateway still has to do. What is
// approved later does not wait for it.
func TestStaleListIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
			e.approve("fast", 1) // so that there are more lists
			return e.refunded(more)()
		})
		require.Less(t, took, 10*time.Second, "not after all the others")
	})
}

// TestReplicasWorkInRandomOrder: in the order of the list, all replicas would start the same
// refunds at the same time.
func TestReplicasWorkInRandomOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(_ *refund.Options, o *poller.Options) {
			o.Concurrency, o.Batch = 1, 100
		})
		refs := e.approve("bank", 100)
		e.run()
		e.until(e.refunded(refs))
		var got []string
		for _, c := range e.bank.Calls() {
			got = append(got, c.Request.RefundNo)
		}
		require.Len(t, got, 100)
		require.False(t, slices.IsSorted(got))
	})
}

// TestBackoffOfZero: the Poller asks about once a second, although the host's Backoff asks for no
// wait.
func TestBackoffOfZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(o *refund.Options, _ *poller.Options) {
			o.Backoff = func(string, int) time.Duration { return 0 }
		})
		e.bank.ByDefault(refundtest.Accept())
		e.approve("bank", 1)
		e.run()
		pass(time.Minute)
		require.LessOrEqual(t, e.total(), 61)
		require.Greater(t, e.total(), 20)
	})
}

func TestReplicasShareTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		refs := e.approve("bank", 300)
		e.run()
		for range 2 {
			other := &env{t: t}
			svc := newService(t, e.store, e.bank, refund.Options{})
			other.setPoller(svc, poller.Options{Logger: silent()})
			other.run()
		}
		e.until(e.refunded(refs))
		require.Equal(t, 300, e.total(), "no refund is asked about twice")
	})
}

// plain hides the optional interfaces of a store.
type plain struct{ refund.Store }

// TestPlainStore: a store of the host that has no optional interface.
func TestPlainStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.svc = newService(t, plain{e.store}, e.bank, refund.Options{})
		e.setPoller(e.svc, poller.Options{Logger: silent()})
		e.runIdle()
		e.soon(e.refunded(e.approve("bank", 100)))
		require.Equal(t, 100, e.total())
	})
}

func TestOptionsAreChecked(t *testing.T) {
	svc := newEnv(t).svc
	bank := func(o poller.GatewayOptions) poller.Options {
		return poller.Options{Gateways: map[string]poller.GatewayOptions{"b": o}}
	}
	const noRate = `gateways: rate of "b" is not a number of refunds per second`
	for _, tc := range []struct {
		want string
		opt  poller.Options
	}{
		{"concurrency: is negative", poller.Options{Concurrency: -1}},
		{"batch: is negative", poller.Options{Batch: -1}},
		{"idle_min: is negative", poller.Options{IdleMin: -1}},
		{"idle_max: is negative", poller.Options{IdleMax: -1}},
		{"idle_max: is less than idle_min", poller.Options{IdleMin: 2, IdleMax: 1}},
		{"stop_timeout: is negative", poller.Options{StopTimeout: -1}},
		{`gateways: concurrency of "b" is negative`, bank(poller.GatewayOptions{Concurrency: -1})},
		{noRate, bank(poller.GatewayOptions{Rate: math.NaN()})},
		{noRate, bank(poller.GatewayOptions{Rate: -1})},
	} {
		_, err := poller.New(svc, tc.opt)
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, tc.want)
	}
	_, err := poller.New(nil, poller.Options{Batch: -1})
	require.ErrorContains(t, err, "service: is nil")
	require.ErrorContains(t, err, "batch: is negative")
	_, err = poller.New(svc, poller.Options{IdleMin: time.Hour})
	require.NoError(t, err, "the default of IdleMax follows IdleMin")
	for _, rate := range []float64{math.Inf(1), 1e-300} {
		_, err = poller.New(svc, bank(poller.GatewayOptions{Rate: rate}))
		require.NoError(t, err)
	}
}
