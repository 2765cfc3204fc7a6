package refund_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// settledWithoutUs approves a refund on each of n orders, sends it, and lets the provider pay it
// without telling. Orders are a minute apart.
func (e *env) settledWithoutUs(n int) (ids []string) {
	e.t.Helper()
	for i := range n {
		ref := e.approvedOf("bank", fmt.Sprintf("W%03d", i))
		e.process(ref)
		e.end(ref.RefundNo, refund.OutcomeSucceeded)
		ids = append(ids, ref.OrderID)
		e.clock.Advance(time.Minute)
	}
	return ids
}

// reports runs Reconcile to its end and returns the reports, and those with a discrepancy or an
// error.
func reports(
	t *testing.T, s *refund.Service, p refund.Filter,
) (all, news []refund.OrderReport) {
	t.Helper()
	for r, err := range s.Reconcile(bg, p) {
		require.NoError(t, err)
		all = append(all, r)
		if r.Err != nil || len(r.Discrepancies) > 0 {
			news = append(news, r)
		}
	}
	return all, news
}

func orderIDs(reports []refund.OrderReport) (ids []string) {
	for _, r := range reports {
		ids = append(ids, r.OrderID)
	}
	return ids
}

// failed runs Reconcile until its error.
func failed(ctx context.Context, s *refund.Service, p refund.Filter) error {
	for _, err := range s.Reconcile(ctx, p) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestReconcileReportsEveryDiscrepancy(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(120)
	e.bank.NextQuery(refundtest.Fail(errLost).For("R-W007"))
	all, news := reports(t, e.svc, refund.Filter{})
	require.Equal(t, ids, orderIDs(all), "in order")
	require.Equal(t, all, news)
	require.Equal(t, order.StateApproved, news[0].Discrepancies[0].Book)
	require.Equal(t, refund.OutcomeSucceeded, news[0].Discrepancies[0].Result.Outcome)
	require.ErrorIs(t, news[7].Discrepancies[0].Err, errLost)

	all, news = reports(t, e.svc, refund.Filter{})
	require.Len(t, all, 120)
	require.Equal(t, []string{"W007"}, orderIDs(news), "what was learned is booked")
}

func TestReconcileWindow(t *testing.T) {
	e := newEnv(t)
	start := e.clock.Now()
	ids := e.settledWithoutUs(10)
	other := e.approvedOf("other", "X")
	e.process(other)
	e.end(other.RefundNo, refund.OutcomeSucceeded)

	all, _ := reports(t, e.svc, refund.Filter{
		From: start.Add(3 * time.Minute), To: start.Add(6 * time.Minute),
	})
	require.Equal(t, ids[3:6], orderIDs(all))

	e.clock.Advance(time.Minute)
	all, _ = reports(t, e.svc, refund.Filter{Gateway: "other"})
	require.Equal(t, []string{"X"}, orderIDs(all))

	all, _ = reports(t, e.svc, refund.Filter{
		OrderIDContains: "W", States: []order.State{order.StateRejected}, Limit: 1,
	})
	require.Equal(t, ids, orderIDs(all), "whatever state their refunds are in")
}

// brokenOrder is a store that cannot update one order.
type brokenOrder struct {
	refund.Store
	id string
}

func (s brokenOrder) Update(
	ctx context.Context, id string, fn func(ctx context.Context, o *order.Order) error,
) error {
	if id == s.id {
		return errStore
	}
	return s.Store.Update(ctx, id, fn)
}

// TestReconcileGoesOn: an order that cannot be compared is reported, and those after it are
// compared.
func TestReconcileGoesOn(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(3)
	s, err := refund.NewService(
		e.machine, brokenOrder{e.store, ids[1]}, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	all, _ := reports(t, s, refund.Filter{})
	require.Equal(t, ids, orderIDs(all))
	require.NoError(t, all[0].Err)
	require.ErrorIs(t, all[1].Err, errStore)
	require.NoError(t, all[2].Err)
}

// TestReconcileComparesAnOrderOnce: however many refunds it has, in the window and before it.
func TestReconcileComparesAnOrderOnce(t *testing.T) {
	e := newLister(t)
	s := e.service(e.bank, refund.Options{Now: e.clock.Now, MaxRequests: 200})
	var from time.Time
	for i := range 120 {
		from = e.clock.Now()
		_, err := s.Request(bg, refund.RequestParams{
			Ref: refund.Ref{
				OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i),
			}, Amount: 1, Actor: buyer,
		})
		require.NoError(t, err)
		e.clock.Advance(time.Second)
	}
	all, news := reports(t, s, refund.Filter{})
	require.Equal(t, []string{"list O1"}, called(e.bank))
	require.Len(t, all, 1)
	require.Empty(t, news)

	all, _ = reports(t, s, refund.Filter{From: from.Add(-50 * time.Second)})
	require.Len(t, called(e.bank), 2)
	require.Len(t, all, 1)

	all, _ = reports(t, s, refund.Filter{After: all[0].Cursor})
	require.Len(t, called(e.bank), 2)
	require.Empty(t, all, "it was compared with its first refund")
}

// TestReconcileContinues: it is interrupted again and again. No order is missed or compared twice.
func TestReconcileContinues(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(230)
	var got []string
	var after *refund.Position
	for round := 0; len(got) < len(ids); round++ {
		require.Less(t, round, 20, "it comes to an end")
		ctx, cancel := context.WithCancel(bg)
		seen := 0
		for r, err := range e.svc.Reconcile(ctx, refund.Filter{After: after}) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			got, after = append(got, r.OrderID), r.Cursor
			if seen++; seen == 70 {
				cancel()
			}
		}
		cancel()
	}
	require.Equal(t, ids, got)
	for _, id := range ids {
		o, err := e.svc.Order(bg, id)
		require.NoError(t, err)
		require.Equal(t, order.StateRefunded, o.State)
	}
}

// TestReconcileStopsWithTheLoop: nothing is asked after the host leaves the loop.
func TestReconcileStopsWithTheLoop(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(3)
	for _, err := range e.svc.Reconcile(bg, refund.Filter{}) {
		require.NoError(t, err)
		break
	}
	require.Contains(t, called(e.bank), "query R-W000")
	require.NotContains(t, called(e.bank), "query R-W001")
}

// TestReconcileEnds: refunds that are requested in the meantime do not make it longer.
func TestReconcileEnds(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(60)
	seen := 0
	for _, err := range e.svc.Reconcile(bg, refund.Filter{}) {
		require.NoError(t, err)
		seen++
		e.clock.Advance(time.Second)
		e.approvedOf("bank", fmt.Sprintf("X%d", e.clock.Now().Unix()))
	}
	require.Equal(t, 60, seen)
}

// TestReconcileMissesOrdersWithoutARefund: the console made a refund of an order that has none in
// the book. Sync finds it.
func TestReconcileMissesOrdersWithoutARefund(t *testing.T) {
	e := newLister(t)
	e.console("C1", 1000, refund.OutcomeSucceeded)
	all, _ := reports(t, e.svc, refund.Filter{})
	require.Empty(t, all, "the book cannot list it")

	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, []string{"C1"}, rep.Adopted)
	require.EqualValues(t, 1000, e.order().Refunded)
	e.clock.Advance(time.Minute)
	all, _ = reports(t, e.svc, refund.Filter{})
	require.Equal(t, []string{"O1"}, orderIDs(all), "now it can")
}

func TestReconcileSaysWhyItEnds(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(3)
	asked := len(called(e.bank))
	err := e.store.Update(bg, "W000", func(ctx context.Context, _ *order.Order) error {
		return failed(ctx, e.svc, refund.Filter{})
	})
	require.ErrorIs(t, err, refund.ErrInTx)

	s, err := refund.NewService(
		e.machine, &failsOnce{Store: e.store, at: 1}, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	err = failed(bg, s, refund.Filter{})
	require.ErrorIs(t, err, errStore)
	require.EqualError(t, err, "reconcile: list refunds: the store is down")

	gone, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, failed(gone, e.svc, refund.Filter{}), context.Canceled)
	require.Len(t, called(e.bank), asked, "nothing was asked")
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

// TestReconcileReturnsTheErrorOfAPage: the orders before it have been compared.
func TestReconcileReturnsTheErrorOfAPage(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(51)
	s, err := refund.NewService(
		e.machine, &failsOnce{Store: e.store, at: 2}, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	compared := 0
	for _, err = range s.Reconcile(bg, refund.Filter{}) {
		if err == nil {
			compared++
		}
	}
	require.ErrorIs(t, err, errStore)
	require.Equal(t, 50, compared)
}

// TestReconcileOfAWindowThatAnOrderOutlasts: a refund after the window does not hide those in it.
func TestReconcileOfAWindowThatAnOrderOutlasts(t *testing.T) {
	e := newEnv(t)
	for i, number := range []string{"R1", "R2", "R3"} {
		e.clock.Advance(time.Duration(i) * time.Minute)
		e.process(e.approved(number, 1000))
		e.end(number, refund.OutcomeSucceeded)
	}
	all, _ := reports(t, e.svc, refund.Filter{To: e.refund("R3").RequestedAt})
	require.Equal(t, []string{"O1"}, orderIDs(all))
}
