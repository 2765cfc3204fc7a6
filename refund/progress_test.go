package refund_test

import (
	"context"
	"fmt"
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

// failsOnce is a store one of whose lists fails.
type failsOnce struct {
	refund.Store
	at    int
	lists int
}

func (s *failsOnce) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if s.lists++; s.lists == s.at {
		return refund.Page{}, errStore
	}
	return s.Store.ListRefunds(ctx, f)
}

// TestReconcileThatCannotList ends before it asks anybody.
func TestReconcileThatCannotList(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(2)
	asked := len(e.bank.called())
	for at := 1; at <= 2; at++ { // it counts, and then it compares
		store := &failsOnce{Store: e.store, at: at}
		s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
		require.NoError(t, err)
		var n notebook
		_, err = s.Reconcile(bg, n.params())
		require.ErrorIs(t, err, errStore)
		require.EqualError(t, err, `reconcile: list orders behind "": list refunds: the store is down`)
		require.Len(t, e.bank.called(), asked)
		require.Empty(t, n.reports)
	}
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

// TestReconcileGoesOnBehindAnOrder: it was compared on a former page, with its first refund.
func TestReconcileGoesOnBehindAnOrder(t *testing.T) {
	e := newEnv(t)
	e.register()
	for i := range 60 {
		p := refund.RequestParams{Ref: refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i)}, Amount: 1, Actor: buyer}
		_, err := e.svc.Request(bg, p)
		require.NoError(t, err)
		e.clock.Advance(time.Second)
	}
	var n notebook
	_, err := e.svc.Reconcile(bg, n.params())
	require.NoError(t, err)
	require.Len(t, n.progress, 2)
	require.Equal(t, 1, n.progress[1].Orders)
	params := n.params()
	params.Cursor = n.progress[0].Cursor
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.True(t, p.Done)
	require.Zero(t, p.Orders)
}

// TestReconcileOfAWindowThatAnOrderOutlasts: a refund behind the window does not hide those in it.
func TestReconcileOfAWindowThatAnOrderOutlasts(t *testing.T) {
	e := newEnv(t)
	for i, no := range []string{"R1", "R2", "R3"} {
		e.clock.Advance(time.Duration(i) * time.Minute)
		e.process(e.approved(no, 1000))
		e.bank.set(no, refund.OutcomeSucceeded)
	}
	var n notebook
	params := n.params()
	params.To = e.refund("R3").RequestedAt
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, 1, p.Orders)
	require.Equal(t, []string{"O1"}, n.ids())
}

// TestRestIsNeverNegative: the host's total was too small, or its first page is empty.
func TestRestIsNeverNegative(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(2)
	var n notebook
	params := n.params()
	params.Total = 1
	params.Orders = func(_ context.Context, cursor string) ([]string, string, error) {
		e.clock.Advance(time.Second)
		if cursor == "" {
			return nil, "orders", nil
		}
		return ids, "", nil
	}
	_, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Len(t, n.progress, 2)
	for _, p := range n.progress {
		require.Zero(t, p.Remaining)
	}
}

// outlived is an attempt of R1 that outlives its lease, whose answer is that the provider accepted
// it. Meanwhile a newer attempt is refused, the number is not found, and the refund fails.
func (e *env) outlived(ref refund.Ref, then func()) {
	e.bank.next(fault{op: "refund", pay: true, res: isAccepted, block: func(context.Context) {
		e.clock.Advance(2 * time.Minute)
		e.bank.next(fault{op: "query", res: isNotFound}, fault{op: "refund", res: declined("NOTENOUGH")},
			fault{op: "query", res: isNotFound})
		e.process(ref)
		e.steps(ref, 1)
		require.Equal(e.t, order.StateFailed, e.refund("R1").State)
		then()
	}})
}

// TestAcceptedAfterItFailedIsAskedAgain: the money may move after all.
func TestAcceptedAfterItFailedIsAskedAgain(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() {})
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.order().Refunded)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}

// TestAcceptedAfterItFailedIsReported: if the provider cannot be asked again, because nobody else
// would.
func TestAcceptedAfterItFailedIsReported(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() { e.bank.next(fault{op: "query", err: errLost}) })
	e.process(ref)
	require.Len(t, e.discrepancies, 1)
	c := e.discrepancies[0]
	require.ErrorIs(t, c.Err, errLost)
	require.EqualError(t, c.Err, "refund R1 of order O1: the provider says accepted "+
		"of a refund that is booked as failed, and asking again failed: connection reset")
	c.Err = nil
	said := refund.Result{Outcome: refund.OutcomeAccepted, RefundNo: "R1", OrderID: "O1", Amount: 4000}
	require.Equal(t, refund.Discrepancy{
		OrderID: "O1", RefundNo: "R1", Book: order.StateFailed, Result: said,
	}, c)
}

// TestAcceptedAfterARetryIsLeftToIt: the refund is approved again, so that Process goes on asking.
func TestAcceptedAfterARetryIsLeftToIt(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.outlived(ref, func() {
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		e.bank.next(fault{op: "query", err: errLost})
	})
	next := e.process(ref)
	require.Equal(t, order.StateApproved, next.State)
	require.ErrorIs(t, next.Err, errLost)
	require.Empty(t, e.discrepancies)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}

// TestAcceptedAfterItFailedIsNotDoneWhenTheStoreIsDown: Process says so.
func TestAcceptedAfterItFailedIsNotDoneWhenTheStoreIsDown(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	failing := &flakyStore{Store: e.store}
	s, err := refund.NewService(e.machine, failing, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.outlived(ref, func() {
		down := func(context.Context) { failing.fail(errLost) }
		e.bank.next(fault{op: "query", res: isAccepted, block: down})
	})
	_, err = s.Process(bg, ref)
	require.ErrorIs(t, err, errLost)
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
