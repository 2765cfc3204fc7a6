package refund_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestReconcileThatDoesNotBegin says where it could go on: where it was told to.
func TestReconcileThatDoesNotBegin(t *testing.T) {
	e := newEnv(t)
	p, err := e.svc.Reconcile(bg, refund.ReconcileParams{Cursor: "there"})
	require.EqualError(t, err, "reconcile: report: is nil")
	require.ErrorIs(t, err, refund.ErrInvalid)
	require.Equal(t, refund.Progress{Cursor: "there"}, p)

	s, err := refund.NewService(e.machine, joining{e.store}, e.bank, refund.Options{})
	require.NoError(t, err)
	var n notebook
	params := n.params()
	params.Cursor = "there"
	p, err = s.Reconcile(bg, params)
	require.EqualError(t, err, "reconcile: "+refund.ErrInTx.Error())
	require.ErrorIs(t, err, refund.ErrInTx)
	require.Equal(t, refund.Progress{Cursor: "there"}, p)
}

// failsOnce is a store whose first list fails.
type failsOnce struct {
	refund.Store
	lists int
}

func (s *failsOnce) List(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if s.lists++; s.lists == 1 {
		return refund.Page{}, errStore
	}
	return s.Store.List(ctx, f)
}

// TestReconcileThatCannotCount ends before it asks anybody.
func TestReconcileThatCannotCount(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(2)
	asked := len(e.bank.called())
	store := &failsOnce{Store: e.store}
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	var n notebook
	_, err = s.Reconcile(bg, n.params())
	require.ErrorIs(t, err, errStore)
	require.EqualError(t, err, `reconcile: list orders behind "": list refunds: the store is down`)
	require.Len(t, e.bank.called(), asked)
	require.Empty(t, n.reports)
}

// TestReconcileCountsForItself: the caller's total is that of the caller's own list.
func TestReconcileCountsForItself(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(2)
	var n notebook
	params := n.params()
	params.Total = 99
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, 2, p.Total)
}

// TestAcceptedAfterItFailedIsAskedAgain: an attempt outlives its lease. Meanwhile a newer one is
// refused, the number is not found, and the refund fails. Then the older one says that it was
// accepted: the money may move after all.
func TestAcceptedAfterItFailedIsAskedAgain(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.next(fault{op: "refund", pay: true, res: isAccepted, block: func(context.Context) {
		e.clock.Advance(2 * time.Minute)
		e.bank.next(fault{op: "query", res: isNotFound}, fault{op: "refund", res: declined("NOTENOUGH")},
			fault{op: "query", res: isNotFound})
		e.process(ref)
		e.steps(ref, 1)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	}})
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.order().Refunded)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}

// TestBackupRestoredWhileTheProviderAnswers: the answer cannot be recorded, and Process says why.
func TestBackupRestoredWhileTheProviderAnswers(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	backup := newEnv(t)
	backup.register()
	store := &restored{Store: e.store, backup: backup.store, at: 2} // lease, record
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	_, err = s.Process(bg, ref)
	require.ErrorIs(t, err, refund.ErrRefundNotFound)
	require.EqualError(t, err, "process refund R1 of order O1: refund not found")
}
