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

// plainStore hides what a store can do beyond the port.
type plainStore struct{ refund.Store }

// approvedOf brings an order of its own with one refund to approved.
func (e *env) approvedOf(gateway, id string) refund.Ref {
	e.t.Helper()
	_, err := e.svc.Register(bg, refund.RegisterParams{OrderID: id, Gateway: gateway, Currency: "CNY", Total: 100})
	require.NoError(e.t, err)
	ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
	_, err = e.svc.Request(bg, refund.RequestParams{OrderID: id, RefundNo: ref.RefundNo, Amount: 100, Actor: buyer})
	require.NoError(e.t, err)
	_, err = e.svc.Approve(bg, refund.ApproveParams{OrderID: id, RefundNo: ref.RefundNo, Amount: 100, Actor: seller})
	require.NoError(e.t, err)
	return ref
}

func TestDueExcept(t *testing.T) {
	e := newEnv(t)
	start := e.clock.Now()
	a := refund.DueRefund{Ref: e.approvedOf("a", "A1"), Gateway: "a", At: start}
	e.clock.Advance(time.Second)
	b := refund.DueRefund{Ref: e.approvedOf("b", "B1"), Gateway: "b", At: start.Add(time.Second)}
	plain, err := refund.NewService(e.machine, plainStore{e.store}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	for name, s := range map[string]*refund.Service{"store with gateways": e.svc, "plain store": plain} {
		due, err := s.DueExcept(bg, 10, nil)
		require.NoError(t, err, name)
		require.Equal(t, []refund.DueRefund{a, b}, due, name)
		due, err = s.DueExcept(bg, 10, []string{"a"})
		require.NoError(t, err, name)
		require.Equal(t, []refund.DueRefund{b}, due, name)

		gone, cancel := context.WithCancel(bg)
		cancel()
		_, err = s.DueExcept(gone, 10, nil)
		require.ErrorIs(t, err, context.Canceled, name)
	}
	due, err := plain.DueExcept(bg, 1, []string{"a"})
	require.NoError(t, err)
	require.Empty(t, due, "as documented: the limit comes first")
}

// unreadable is a plain store that cannot give the orders of some ID.
type unreadable struct {
	refund.Store
	id string
}

func (u unreadable) Get(ctx context.Context, id string) (*order.Order, error) {
	if id == u.id {
		return nil, errLost
	}
	return u.Store.Get(ctx, id)
}

func TestDueWithAnOrderThatCannotBeRead(t *testing.T) {
	e := newEnv(t)
	start := e.clock.Now()
	bad := refund.DueRefund{Ref: e.approvedOf("a", "A1"), At: start.Add(time.Hour)}
	good := refund.DueRefund{Ref: e.approvedOf("a", "A2"), Gateway: "a", At: start}
	e.clock.Advance(time.Hour)
	s, err := refund.NewService(e.machine, unreadable{e.store, "A1"}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	due, err := s.DueExcept(bg, 10, nil)
	require.NoError(t, err)
	require.Equal(t, []refund.DueRefund{bad, good}, due)

	var n notebook
	_, err = s.Reconcile(bg, n.params())
	require.NoError(t, err)
	require.Equal(t, []string{"A1"}, n.ids(), "nor does it keep the others from being compared")
	require.ErrorIs(t, n.reports[0].Err, errLost)
}

func TestStuckLists(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.AlertAfter = time.Hour })
	e.approvedOf("a", "A1")
	e.clock.Advance(time.Second)
	e.approvedOf("b", "B1")
	done := e.approvedOf("a", "A2")
	e.process(done)
	e.clock.Advance(time.Minute)
	require.Equal(t, order.StateRefunded, e.process(done).State)

	e.clock.Advance(time.Hour - time.Minute - time.Second - time.Microsecond)
	require.Empty(t, e.stuckNos(refund.Filter{}), "not before its time")
	e.clock.Advance(time.Microsecond)
	require.Equal(t, []string{"R-A1"}, e.stuckNos(refund.Filter{}), "as soon as the hook tells of it")
	e.process(refund.Ref{OrderID: "A1", RefundNo: "R-A1"})
	require.Len(t, e.stuck, 1)
	e.clock.Advance(time.Minute)
	require.Equal(t, []string{"R-A1", "R-B1"}, e.stuckNos(refund.Filter{}), "what has ended is not stuck")
	require.Equal(t, []string{"R-B1"}, e.stuckNos(refund.Filter{Gateway: "b"}))
	require.Equal(t, []string{"R-A1"}, e.stuckNos(refund.Filter{To: e.clock.Now().Add(time.Second - time.Hour - time.Minute)}), "a narrower To counts")
	require.Equal(t, []string{"R-A1", "R-B1"}, e.stuckNos(refund.Filter{States: []order.State{order.StateFailed}}), "states are fixed")
	for _, ref := range []refund.Ref{{OrderID: "A1", RefundNo: "R-A1"}, {OrderID: "B1", RefundNo: "R-B1"}} {
		o, err := e.store.Get(bg, ref.OrderID)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, o.Refund(ref.RefundNo).State, "nothing is decided by age")
	}
}

// TestStuckPages: a refund that was asked for long before it was approved is no reason to stop paging.
func TestStuckPages(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.AlertAfter = time.Hour })
	e.register()
	for i := range 5 {
		_, err := e.svc.Request(bg, refund.RequestParams{OrderID: "O1", RefundNo: fmt.Sprintf("late-%d", i), Amount: 1, Actor: buyer})
		require.NoError(t, err)
		e.clock.Advance(time.Second)
	}
	e.approvedOf("a", "A1")
	e.clock.Advance(2 * time.Hour)
	for i := range 5 {
		_, err := e.svc.Approve(bg, refund.ApproveParams{OrderID: "O1", RefundNo: fmt.Sprintf("late-%d", i), Amount: 1, Actor: seller})
		require.NoError(t, err)
	}
	page, err := e.svc.Stuck(bg, refund.Filter{Limit: 2})
	require.NoError(t, err)
	require.Empty(t, page.Entries)
	require.NotNil(t, page.Next, "there is more behind what was approved late")
	require.Equal(t, []string{"R-A1"}, e.stuckNos(refund.Filter{Limit: 2}))
}

// stuckNos lists the numbers of all pages.
func (e *env) stuckNos(f refund.Filter) (nos []string) {
	e.t.Helper()
	for {
		page, err := e.svc.Stuck(bg, f)
		require.NoError(e.t, err)
		for _, entry := range page.Entries {
			nos = append(nos, entry.Refund.No)
		}
		if f.After = page.Next; f.After == nil {
			return nos
		}
	}
}
