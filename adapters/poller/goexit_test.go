package poller_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestGoexitLosesNoRefund: code of the host ends the goroutine that processes a refund. Nothing
// stays in flight, Run goes on, and the refund is paid once.
func TestGoexitLosesNoRefund(t *testing.T) {
	for name, where := range map[string]struct {
		once string // where Goexit is called, the first time
	}{
		"in the gateway": {"gateway"}, "in a hook": {"hook"}, "in the store": {"store"},
	} {
		t.Run(name, func(t *testing.T) {
			var log logbook
			var done atomic.Bool
			exit := func(at string) {
				if at == where.once && done.CompareAndSwap(false, true) {
					runtime.Goexit()
				}
			}
			e := newEnv(t, withLog(&log), func(o *refund.Options, _ *poller.Options) {
				o.Hooks = make([]refund.Hooks, 1)
				o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, tr order.Transition) error {
					if tr.Event == order.EventSettle {
						exit("hook")
					}
					return nil
				}
			})
			e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
				exit("gateway")
				return refund.Result{}, nil
			}
			refs := e.approve("bank", 10)
			e.store.set(nil, func(string) error { exit("store"); return nil })
			e.run()
			e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
			require.True(t, done.Load())
			for _, ref := range refs {
				require.Equal(t, 1, e.bank.paid[ref.RefundNo])
			}
			st := e.stats()
			require.Zero(t, st.InFlight)
			require.EqualValues(t, 1, st.Errors)
			require.Zero(t, st.Panics)
			require.Equal(t, 1, log.count("refund could not be processed"))
			require.Equal(t, 1, log.count("runtime.Goexit was called"))
			require.NoError(t, e.shutdown(bg))
			require.NoError(t, e.result())
		})
	}
}

// TestShutdownEndsAfterGoexit: all that is in flight is ended so, while Shutdown waits for it.
func TestShutdownEndsAfterGoexit(t *testing.T) {
	for name, ended := range map[string]bool{"calls live": false, "calls are cancelled": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			gate := make(chan struct{})
			e.bank.answer = func(context.Context, string, refund.Request) (refund.Result, error) {
				<-gate
				runtime.Goexit()
				return refund.Result{}, nil
			}
			refs := e.approve("bank", 20)
			e.run()
			e.soon(func() bool { return e.bank.running() == 6 })
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			if ended {
				cancel()
			}
			down := make(chan error, 1)
			go func() { down <- e.p.Shutdown(ctx) }()
			close(gate)
			require.NoError(t, e.result())
			require.Equal(t, ended, <-down != nil)
			require.Equal(t, 6, e.bank.total(), "nothing new was begun")
			require.Equal(t, len(refs), e.count(refs, order.StateApproved))
			require.EqualValues(t, 6, e.own().Errors)
		})
	}
}
