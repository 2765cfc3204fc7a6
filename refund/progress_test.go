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

// outlived is an attempt of R1 that outlives its lease, whose answer is that the provider accepted
// it. Meanwhile a newer attempt is refused, the number is not found, and the refund fails.
func (e *env) outlived(ref refund.Ref, then func()) {
	e.bank.NextRefund(refundtest.PayWhenAsked().Before(func(context.Context) {
		e.clock.Advance(2 * time.Minute)
		e.bank.NextQuery(refundtest.Answer(isNotFound), refundtest.Answer(isNotFound))
		e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
		e.process(ref)
		e.steps(ref, 1)
		require.Equal(e.t, order.StateFailed, e.refund("R1").State)
		then()
	}))
}

// TestAcceptedAfterItFailedIsAskedAgain: the money may still move.
func TestAcceptedAfterItFailedIsAskedAgain(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() {})
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.order().Refunded)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

// TestAcceptedAfterItFailedIsReported: the provider cannot be asked again, and nobody else would
// ask.
func TestAcceptedAfterItFailedIsReported(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() { e.bank.NextQuery(refundtest.Fail(errLost)) })
	e.process(ref)
	require.Len(t, e.discrepancies, 1)
	c := e.discrepancies[0]
	require.ErrorIs(t, c.Err, errLost)
	require.EqualError(t, c.Err, "refund R1 of order O1: the provider says accepted "+
		"of a refund that is booked as failed, and asking again failed: connection reset")
	c.Err = nil
	said := refund.Result{
		Outcome: refund.OutcomeAccepted, RefundNo: "R1", OrderID: "O1", Amount: 4000,
		ProviderRefundID: "provider-R1",
	}
	require.Equal(t, refund.Discrepancy{
		Ref: o1("R1"), Book: order.StateFailed, Result: said,
	}, c)
}

// TestAcceptedAfterARetryIsLeftToProcess: the refund is approved again, so Process goes on asking.
func TestAcceptedAfterARetryIsLeftToProcess(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() {
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		e.bank.NextQuery(refundtest.Fail(errLost))
	})
	next := e.process(ref)
	require.Equal(t, order.StateApproved, next.State)
	require.ErrorIs(t, next.Err, errLost)
	require.Empty(t, e.discrepancies)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

// TestAcceptedAfterItFailedNeedsTheStore: Process returns the store's error.
func TestAcceptedAfterItFailedNeedsTheStore(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	failing := &flakyStore{Store: e.store}
	s, err := refund.NewService(e.machine, failing, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.outlived(ref, func() {
		e.bank.NextQuery(refundtest.Answer(isAccepted).Before(failing.down))
	})
	_, err = s.Process(bg, ref)
	require.ErrorIs(t, err, errLost)
}

// TestBackupRestoredWhileTheProviderAnswers: the answer cannot be recorded, and Process returns the
// reason.
func TestBackupRestoredWhileTheProviderAnswers(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	backup := newEnv(t)
	backup.register()
	store := &restored{Store: e.store, backup: backup.store, at: 2} // lease, record
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	_, err = s.Process(bg, ref)
	require.ErrorIs(t, err, order.ErrRefundNotFound)
	require.EqualError(t, err, "process refund R1 of order O1: refund not found")
}
