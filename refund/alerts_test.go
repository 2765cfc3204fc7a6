package refund_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestAcceptanceUpdatesTheOrder: Sync learns that the provider has the refund. The order's
// UpdatedAt changes without a transition.
func TestAcceptanceUpdatesTheOrder(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
	e.process(e.approved("R1", 4000))
	e.clock.Advance(time.Second)
	e.bank.NextQuery(refundtest.Answer(refund.Result{
		Outcome: refund.OutcomeAccepted, ProviderRefundID: "501",
	}))
	_, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, "501", e.refund("R1").ProviderRefundID)
	require.Equal(t, e.clock.Now(), e.order().UpdatedAt)
}

// TestMarkingAReportLogsNoError: the refund is marked as reported, and the log has no error about
// it.
func TestMarkingAReportLogsNoError(t *testing.T) {
	var log logtest.Recorder
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Logger = log.Logger() })
	e.process(e.approved("R1", 4000))
	_, err := resolve(refund.ResolutionPaid, "cash").do(bg, e.svc)
	require.NoError(t, err)
	e.hint()
	require.Len(t, e.discrepancies, 1)
	require.NotZero(t, e.refund("R1").ConfirmedAt)
	for _, r := range log.Records() {
		require.NotContains(t, r.Message, "not noted")
	}
}

// TestBackupRestoredDuringTheReport: the refund is gone when it should be marked as reported. The
// log says so.
func TestBackupRestoredDuringTheReport(t *testing.T) {
	var log logtest.Recorder
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	_, err := resolve(refund.ResolutionPaid, "cash").do(bg, e.svc)
	require.NoError(t, err)
	backup := newEnv(t)
	backup.register()
	store := &restored{Store: e.store, backup: backup.store, at: 3} // read, record, note
	s, err := refund.NewService(
		e.machine,
		store,
		e.bank,
		refund.Options{Now: e.clock.Now, Logger: log.Logger()},
	)
	require.NoError(t, err)
	require.NoError(t, s.HandleNotification(bg, success("R1", 4000)))
	records := log.Records()
	require.Equal(
		t,
		"refund discrepancy not noted, will be reported again",
		records[len(records)-1].Message,
	)
}

// TestBackupRestoredWhileTheProviderIsAskedAgain: the refund is gone, and the command returns an
// error.
func TestBackupRestoredWhileTheProviderIsAskedAgain(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRejected)
	e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
		require.NoError(t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
			o.Refunds[0].Message = "something else has changed"
			return nil
		}))
	}))
	backup := newEnv(t)
	backup.register()
	store := &restored{Store: e.store, backup: backup.store, at: 3} // read, record, read again
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	require.ErrorIs(t, s.HandleNotification(bg, success("R1", 4000)), order.ErrRefundNotFound)
}

// TestProcessOfAnUnknownRefund: it returns an error that names the refund.
func TestProcessOfAnUnknownRefund(t *testing.T) {
	e := newEnv(t)
	e.register()
	_, err := e.svc.Process(bg, o1("R1"))
	require.ErrorIs(t, err, order.ErrRefundNotFound)
	require.EqualError(t, err, "process refund R1 of order O1: refund not found")
	_, err = e.svc.Process(bg, refund.Ref{OrderID: "O2", RefundNo: "R1"})
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
}
