package poller_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestAnswerAfterTheLease: the provider answers when another replica has long since carried the refund to its end.
// Whatever the late answer says, the refund is paid once and stays refunded.
func TestAnswerAfterTheLease(t *testing.T) {
	for name, outcome := range map[string]refund.Outcome{
		"paid": refund.OutcomeSucceeded, "declined": refund.OutcomeDeclined, "on its way": refund.OutcomeAccepted,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			gate := make(chan struct{})
			e.bank.answer = func(_ context.Context, op string, req refund.Request) (refund.Result, error) {
				if op == "query" || e.bank.callsOf(req.RefundNo) > 1 {
					return refund.Result{}, nil
				}
				<-gate // heeds no context
				return result(outcome, req), nil
			}
			ref := e.approve("bank", 1)[0]
			e.run()
			e.soon(func() bool { return e.bank.running() == 1 })
			until := e.refund(ref).LeasedUntil
			require.True(t, until.After(e.clock.now()))
			other := newService(t, e.store, e.bank, refund.Options{Now: e.clock.now})
			_, err := other.Process(bg, ref)
			require.NoError(t, err)
			require.Equal(t, 1, e.bank.callsOf(ref.RefundNo), "the lease holds")
			e.clock.advance(until.Sub(e.clock.now()) + time.Second)
			next, err := other.Process(bg, ref)
			require.NoError(t, err)
			require.Equal(t, order.StateRefunded, next.State)

			close(gate)
			e.soon(func() bool { return e.own().Processed == 1 })
			r := e.refund(ref)
			require.Equal(t, order.StateRefunded, r.State)
			require.Equal(t, 1, e.bank.paid[ref.RefundNo])
			o, err := e.svc.Order(bg, ref.OrderID)
			require.NoError(t, err)
			require.Equal(t, r.Amount, o.Refunded)
			require.Zero(t, o.Reserved)
		})
	}
}
