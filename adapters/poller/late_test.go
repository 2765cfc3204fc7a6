package poller_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestAnswerAfterTheLease: the provider answers after another replica has carried the refund to its
// end. Whatever the late answer says, the refund is paid once and stays refunded.
func TestAnswerAfterTheLease(t *testing.T) {
	for name, outcome := range map[string]refund.Outcome{
		"paid":       refund.OutcomeSucceeded,
		"declined":   refund.OutcomeDeclined,
		"on its way": refund.OutcomeAccepted,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t)
				gate := make(chan struct{})
				e.bank.NextRefund(answer(outcome).Before(refundtest.Until(gate)).IgnoreContext())
				ref := e.approve("bank", 1)[0]
				e.run()
				synctest.Wait()
				require.Equal(t, 1, e.calls(ref))
				until := e.refund(ref).LeasedUntil
				require.True(t, until.After(now()))
				other := newService(t, e.store, e.bank, refund.Options{})
				_, err := other.Process(bg, ref)
				require.NoError(t, err)
				require.Equal(t, 1, e.calls(ref), "the lease holds")
				pass(until.Sub(now()) + time.Second)
				next, err := other.Process(bg, ref)
				require.NoError(t, err)
				require.Equal(t, order.StateRefunded, next.State)

				close(gate)
				synctest.Wait()
				require.EqualValues(t, 1, e.counts().Processed)
				r := e.refund(ref)
				require.Equal(t, order.StateRefunded, r.State)
				require.EqualValues(t, 100, e.bank.PaidTotal(ref.OrderID))
				o, err := e.svc.Order(bg, ref.OrderID)
				require.NoError(t, err)
				require.Equal(t, r.Amount, o.Refunded)
				require.Zero(t, o.Reserved)
			})
		})
	}
}
