package poller_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestGoexitLosesNoRefund: code of the host ends the goroutine that processes a refund. Nothing
// stays in flight, Run continues, and the refund is paid once.
func TestGoexitLosesNoRefund(t *testing.T) {
	for _, place := range []string{"gateway", "hook", "store"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logtest.Recorder{}
				var exited atomic.Bool
				exit := func(at string) {
					if at == place && exited.CompareAndSwap(false, true) {
						runtime.Goexit()
					}
				}
				e := newEnv(t, withLog(log), func(o *refund.Options, _ *poller.Options) {
					o.Hooks[0].InTx = func(
						_ context.Context, _ *order.Order, t order.Transition,
					) error {
						if t.Event == order.EventSettle {
							exit("hook")
						}
						return nil
					}
				})
				e.bank.Choose(func(refundtest.Call) refundtest.Step {
					exit("gateway")
					return refundtest.AsUsual()
				})
				refs := e.approve("bank", 10)
				e.store.failUpdates(func(string) error { exit("store"); return nil })
				e.run()
				e.until(e.refunded(refs))
				require.True(t, exited.Load())
				for _, ref := range refs {
					require.EqualValues(t, 100, e.bank.PaidTotal(ref.OrderID))
				}
				st := e.stats()
				require.Zero(t, st.InFlight)
				require.EqualValues(t, 1, st.Errors)
				require.Zero(t, st.Panics)
				errs := log.Values("refund could not be processed, trying again", "error")
				require.Len(t, errs, 1)
				require.Contains(t, errs[0], "runtime.Goexit was called")
				require.NoError(t, e.p.Shutdown(bg))
				require.NoError(t, <-e.ran)
			})
		})
	}
}

// TestShutdownEndsAfterGoexit: everything in flight ends by runtime.Goexit while Shutdown waits.
func TestShutdownEndsAfterGoexit(t *testing.T) {
	for name, cancelled := range map[string]bool{"calls run": false, "calls are cancelled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t)
				gate := make(chan struct{})
				e.bank.Choose(func(refundtest.Call) refundtest.Step {
					return refundtest.AsUsual().Before(func(context.Context) {
						<-gate
						runtime.Goexit()
					})
				})
				refs := e.approve("bank", 20)
				e.run()
				synctest.Wait()
				require.Equal(t, 6, e.total())
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				if cancelled {
					cancel()
				}
				down := make(chan error, 1)
				go func() { down <- e.p.Shutdown(ctx) }()
				synctest.Wait()
				close(gate)
				require.NoError(t, <-e.ran)
				require.Equal(t, cancelled, <-down != nil)
				require.Equal(t, 6, e.total(), "nothing new was started")
				require.Equal(t, len(refs), e.count(refs, order.StateApproved))
				require.EqualValues(t, 6, e.counts().Errors)
			})
		})
	}
}
