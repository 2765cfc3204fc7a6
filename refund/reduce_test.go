package refund_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestConfirmedAnswers: what a confirmed answer of the provider makes of a refund, in every state.
// Here a notification asks; all answers are recorded in the same way.
func TestConfirmedAnswers(t *testing.T) {
	req, app, rej, can := order.StateRefundRequested, order.StateApproved, order.StateRejected,
		order.StateCancelled
	fai, abn, rfd, aba := order.StateFailed, order.StateAbnormal, order.StateRefunded,
		order.StateAbandoned
	type row struct {
		from     order.State
		to       order.State
		conflict bool
	}
	for outcome, rows := range map[refund.Outcome][]row{
		refund.OutcomeSucceeded: {
			{req, rfd, true},
			{app, rfd, false},
			{abn, rfd, false},
			{fai, rfd, false},
			{rfd, rfd, false},
			{rej, rfd, true},
			{can, rfd, true},
			{aba, rfd, true},
		},
		refund.OutcomeAccepted: {
			{req, app, true},
			{app, app, false},
			{abn, abn, false},
			{fai, app, true},
			{rfd, rfd, false},
			{rej, app, true},
			{can, app, true},
			{aba, app, true},
		},
		refund.OutcomeAbnormal: {
			{req, abn, true},
			{app, abn, false},
			{abn, abn, false},
			{fai, abn, true},
			{rfd, rfd, true},
			{rej, abn, true},
			{can, abn, true},
			{aba, abn, true},
		},
		refund.OutcomeClosed: {
			{req, req, false},
			{app, fai, false},
			{abn, fai, false},
			{fai, fai, false},
			{rfd, rfd, true},
			{rej, rej, false},
			{can, can, false},
			{aba, aba, false},
		},
		refund.OutcomeNotFound: {
			{req, req, false},
			{app, app, false},
			{abn, abn, false},
			{fai, fai, false},
			{rfd, rfd, false},
			{rej, rej, false},
			{can, can, false},
			{aba, aba, false},
		},
	} {
		for _, tc := range rows {
			t.Run(string(outcome)+" of "+string(tc.from), func(t *testing.T) {
				e := newEnv(t)
				e.into(tc.from)
				e.discrepancies = nil
				e.bank.NextQuery(refundtest.Answer(refund.Result{
					Outcome: outcome, ProviderRefundID: "provider-R1",
				}))
				err := e.svc.HandleNotification(bg, refund.Notification{
					Gateway: "bank",
					Result: refund.Result{
						Outcome: refund.OutcomeClosed, OrderID: "O1", RefundNo: "R1", Amount: 4000,
					},
				})
				require.NoError(t, err)
				require.Equal(t, tc.to, e.refund("R1").State) // refund verifies sums and history
				if tc.conflict {
					require.Len(t, e.discrepancies, 1)
					require.Equal(t, tc.from, e.discrepancies[0].Book)
				} else {
					require.Empty(t, e.discrepancies)
				}
				if tc.from == tc.to && tc.from != app {
					require.NotEqual(t, order.StatePaid, e.refund("R1").State)
				}
			})
		}
	}
}

// TestLateSuccessMayExceedTheTotal: a cancelled refund is paid after all, when its amount is
// reserved for another one.
func TestLateSuccessMayExceedTheTotal(t *testing.T) {
	e := newEnv(t)
	e.register()
	_, err := request(10000, "r").do(bg, e.svc)
	require.NoError(t, err)
	_, err = reject("no").do(bg, e.svc)
	require.NoError(t, err)
	e.approved("R2", 10000)
	e.bank.NextQuery(refundtest.Answer(isPaid).For("R1"))
	err = e.svc.HandleNotification(bg, refund.Notification{
		Gateway: "bank", Result: refund.Result{
			Outcome: refund.OutcomeSucceeded, OrderID: "O1", RefundNo: "R1", Amount: 10000,
		},
	})
	require.NoError(t, err)
	o := e.order()
	require.EqualValues(t, 10000, o.Refunded)
	require.EqualValues(t, 10000, o.Reserved)
	require.EqualValues(t, 10000, o.Excess())
	require.Zero(t, o.Refundable())
	require.Len(t, e.discrepancies, 1)
}
