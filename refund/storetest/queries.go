package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// due stores an order with one approved refund whose next attempt is at.
func (e *env) due(t tb, id, number string, at time.Time) {
	t.Helper()
	o := e.paid(id)
	e.fire(t, o, order.EventRequestRefund, number, 1, e.at(1))
	e.fire(t, o, order.EventApprove, number, 0, e.at(2))
	o.Refund(number).NextAttemptAt = at
	require.NoError(t, e.store.Create(bg, o))
}

func dueIsApprovedAndDue(t tb, e *env) {
	o := e.paid("O-1")
	for _, number := range []string{
		"requested", "approved", "rejected", "refunded", "failed", "abnormal", "cancelled",
	} {
		e.fire(t, o, order.EventRequestRefund, number, 1, e.at(1))
	}
	for _, number := range []string{"approved", "refunded", "failed", "abnormal"} {
		e.fire(t, o, order.EventApprove, number, 0, e.at(2))
	}
	e.fire(t, o, order.EventReject, "rejected", 0, e.at(3))
	e.fire(t, o, order.EventCancel, "cancelled", 0, e.at(3))
	e.fire(t, o, order.EventSettle, "refunded", 0, e.at(3))
	e.fire(t, o, order.EventFail, "failed", 0, e.at(3))
	e.fire(t, o, order.EventHold, "abnormal", 0, e.at(3))
	for i := range o.Refunds {
		o.Refunds[i].NextAttemptAt = e.at(50)
	}
	require.NoError(t, e.store.Create(bg, o))
	e.due(t, "O-2", "later", e.at(51))

	refs := e.listDue(t, refund.DueQuery{Now: e.at(49), Limit: 10})
	require.Empty(t, refs, "a refund is not due before its time")
	refs = e.listDue(t, refund.DueQuery{Now: e.at(50), Limit: 10})
	require.Equal(t, []refund.Ref{{OrderID: "O-1", RefundNo: "approved"}}, refs,
		"approved refunds only, at their time and later")

	require.NoError(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		o.Refund("approved").NextAttemptAt = e.at(60)
		return nil
	}))
	refs = e.listDue(t, refund.DueQuery{Now: e.at(55), Limit: 10})
	require.Equal(t, []refund.Ref{{OrderID: "O-2", RefundNo: "later"}}, refs,
		"a new schedule applies at once")
}

func dueOrderAndLimit(t tb, e *env) {
	e.due(t, "O-5", "R-a", e.at(20))
	e.due(t, "O-4", "R-b", e.at(10))
	e.due(t, "O-3", "R-c", e.at(20))
	o := e.paid("O-1")
	for _, number := range []string{"R-z", "R-y"} {
		e.fire(t, o, order.EventRequestRefund, number, 1, e.at(1))
		e.fire(t, o, order.EventApprove, number, 0, e.at(2))
		o.Refund(number).NextAttemptAt = e.at(20)
	}
	require.NoError(t, e.store.Create(bg, o))
	want := []refund.Ref{
		{OrderID: "O-4", RefundNo: "R-b"},
		{OrderID: "O-1", RefundNo: "R-y"},
		{OrderID: "O-1", RefundNo: "R-z"},
		{OrderID: "O-3", RefundNo: "R-c"},
		{OrderID: "O-5", RefundNo: "R-a"},
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		refs := e.listDue(t, refund.DueQuery{Now: e.at(100), Limit: limit})
		require.Equal(t, want[:min(limit, len(want))], refs,
			"by time, order and number, at most %d", limit)
	}
}

// listDue returns the refunds that a query selects.
func (e *env) listDue(t tb, q refund.DueQuery) (refs []refund.Ref) {
	t.Helper()
	due, err := e.store.Due(bg, q)
	require.NoError(t, err)
	for _, d := range due {
		refs = append(refs, d.Ref)
	}
	return refs
}

func dueExcept(t tb, e *env) {
	e.due(t, "O-1", "R-1", e.at(10))
	e.due(t, "O-2", "R-2", e.at(20))
	for i, gateway := range []string{"second", "third"} {
		o := e.paid("O-" + gateway)
		o.Gateway = gateway
		e.fire(t, o, order.EventRequestRefund, "R-"+gateway, 1, e.at(1))
		e.fire(t, o, order.EventApprove, "R-"+gateway, 0, e.at(2))
		o.Refund("R-" + gateway).NextAttemptAt = e.at(30 + i)
		require.NoError(t, e.store.Create(bg, o))
	}
	all := []refund.DueRefund{
		{Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, Gateway: "test", At: e.at(10)},
		{Ref: refund.Ref{OrderID: "O-2", RefundNo: "R-2"}, Gateway: "test", At: e.at(20)},
		{Ref: refund.Ref{OrderID: "O-second", RefundNo: "R-second"}, Gateway: "second", At: e.at(30)},
		{Ref: refund.Ref{OrderID: "O-third", RefundNo: "R-third"}, Gateway: "third", At: e.at(31)},
	}
	for _, tc := range []struct {
		name string
		q    refund.DueQuery
		want []refund.DueRefund
	}{
		{"all", refund.DueQuery{Now: e.at(99), Limit: 9}, all},
		{"all up to the limit", refund.DueQuery{Now: e.at(99), Limit: 3}, all[:3]},
		{"without one gateway", refund.DueQuery{Now: e.at(99), Limit: 9, Except: []string{"test"}}, all[2:]},
		{"without two gateways", refund.DueQuery{Now: e.at(99), Limit: 9, Except: []string{"third", "test"}}, all[2:3]},
		{"without a gateway that has none", refund.DueQuery{Now: e.at(99), Limit: 9, Except: []string{"fourth"}}, all},
		{"the limit applies to the others", refund.DueQuery{Now: e.at(99), Limit: 1, Except: []string{"test"}}, all[2:3]},
		{"not before its time", refund.DueQuery{Now: e.at(30), Limit: 9, Except: []string{"test"}}, all[2:3]},
		{"too far ahead", refund.DueQuery{Now: e.at(1), Beyond: e.at(2), Limit: 9, Except: []string{"test"}}, all[2:]},
	} {
		due, err := e.store.Due(bg, tc.q)
		require.NoError(t, err, tc.name)
		require.Equal(t, tc.want, due, tc.name)
	}
}

// dueBeyond: a refund is also due if its time is further ahead than a right clock can have written.
// Neither kind hides the other.
func dueBeyond(t tb, e *env) {
	ref := func(n int) refund.Ref {
		return refund.Ref{OrderID: fmt.Sprintf("O-%d", n), RefundNo: fmt.Sprintf("R-%d", n)}
	}
	for _, n := range []int{101, 3, 1, 104, 2, 103, 4, 102, 60} {
		e.due(t, ref(n).OrderID, ref(n).RefundNo, e.at(n))
	}
	failed := e.paid("O-failed")
	e.fire(t, failed, order.EventRequestRefund, "R-failed", 1, e.at(1))
	e.fire(t, failed, order.EventApprove, "R-failed", 0, e.at(2))
	e.fire(t, failed, order.EventFail, "R-failed", 0, e.at(3))
	failed.Refunds[0].NextAttemptAt = e.at(200)
	require.NoError(t, e.store.Create(bg, failed))
	for _, tc := range []struct {
		name            string
		now, far, limit int // far 0: none
		want            []int
	}{
		{"nothing is too far ahead", 60, 0, 20, []int{1, 2, 3, 4, 60}},
		{"both, by time", 50, 100, 20, []int{1, 2, 3, 4, 101, 102, 103, 104}},
		{"after that moment, and not at it", 50, 103, 20, []int{1, 2, 3, 4, 104}},
		{"due refunds do not hide those too far ahead", 50, 100, 4, []int{1, 2, 3, 101}},
		{"at most a fifth of the list, rounded up", 50, 100, 6, []int{1, 2, 3, 4, 101, 102}},
		{"those too far ahead fill the list", 0, 100, 3, []int{101, 102, 103}},
		{"and due ones do too", 50, 104, 4, []int{1, 2, 3, 4}},
		{"one", 50, 100, 1, []int{1}},
		{"the only one", 0, 100, 1, []int{101}},
	} {
		q := refund.DueQuery{Now: e.at(tc.now), Limit: tc.limit}
		if tc.far != 0 {
			q.Beyond = e.at(tc.far)
		}
		var want []refund.Ref
		for _, n := range tc.want {
			want = append(want, ref(n))
		}
		require.Equal(t, want, e.listDue(t, q), tc.name)
	}
}

func listFilters(t tb, e *env) {
	e.create(t, "shop-1", "R-1", "R-2")
	other := e.paid("other_2")
	other.Gateway = "second"
	e.fire(t, other, order.EventRequestRefund, "R-3", 300, e.at(3))
	e.fire(t, other, order.EventReject, "R-3", 0, e.at(4))
	e.fire(t, other, order.EventRequestRefund, "R-4", 400, e.at(5))
	require.NoError(t, e.store.Create(bg, other))
	e.create(t, "empty")

	for _, tc := range []struct {
		name string
		f    refund.Filter
		want []string
	}{
		{"everything, by time", refund.Filter{}, []string{"R-1", "R-2", "R-3", "R-4"}},
		{"one state", refund.Filter{States: []order.State{order.StateRejected}}, []string{"R-3"}},
		{"two states", refund.Filter{States: []order.State{order.StateRejected, order.StateRefundRequested}}, []string{"R-1", "R-2", "R-3", "R-4"}},
		{"a state without refunds", refund.Filter{States: []order.State{order.StateFailed}}, nil},
		{"gateway", refund.Filter{Gateway: "second"}, []string{"R-3", "R-4"}},
		{"text in the order ID", refund.Filter{OrderIDContains: "hop"}, []string{"R-1", "R-2"}},
		{"the text is case-sensitive", refund.Filter{OrderIDContains: "SHOP"}, nil},
		{"the text is not a pattern", refund.Filter{OrderIDContains: "%"}, nil},
		{"an underscore is text", refund.Filter{OrderIDContains: "r_2"}, []string{"R-3", "R-4"}},
		{"an underscore is not a wild card", refund.Filter{OrderIDContains: "p_1"}, nil},
		{"a state named twice", refund.Filter{States: []order.State{order.StateRejected, order.StateRefundRequested, order.StateRejected}}, []string{"R-1", "R-2", "R-3", "R-4"}},
		{"from in a state", refund.Filter{From: e.at(2), States: []order.State{order.StateRefundRequested}}, []string{"R-2", "R-4"}},
		{"to in a state", refund.Filter{To: e.at(2), States: []order.State{order.StateRefundRequested}}, []string{"R-1"}},
		{"from", refund.Filter{From: e.at(2)}, []string{"R-2", "R-3", "R-4"}},
		{"to is exclusive", refund.Filter{To: e.at(2)}, []string{"R-1"}},
		{"all together", refund.Filter{
			Gateway: "second", States: []order.State{order.StateRefundRequested}, From: e.at(1),
			To: e.at(9), OrderIDContains: "other",
		}, []string{"R-4"}},
	} {
		page, err := e.store.ListRefunds(bg, tc.f)
		require.NoError(t, err, tc.name)
		require.Equal(t, tc.want, numbers(page), tc.name)
		require.Nil(t, page.Next, tc.name)
	}
	require.NoError(t, e.store.Update(bg, "other_2", func(_ context.Context, o *order.Order) error {
		e.fire(t, o, order.EventApprove, "R-4", 0, e.at(6))
		e.fire(t, o, order.EventSettle, "R-4", 0, e.at(7))
		return nil
	}))
	page, err := e.store.ListRefunds(bg, refund.Filter{States: []order.State{order.StateRejected}})
	require.NoError(t, err)
	o := e.get(t, "other_2")
	require.Equal(t, []refund.Entry{{
		OrderID: "other_2", Gateway: "second", Currency: "CNY", Total: 100000, Refunded: 400,
		Refund: *o.Refund("R-3"),
	}}, page.Entries)

	require.NoError(t, e.store.Update(bg, "other_2", func(_ context.Context, o *order.Order) error {
		o.Gateway = "third"
		return nil
	}))
	for gateway, want := range map[string][]string{"second": nil, "third": {"R-3", "R-4"}} {
		page, err := e.store.ListRefunds(bg, refund.Filter{Gateway: gateway})
		require.NoError(t, err)
		require.Equal(t, want, numbers(page), "of %s, after the order's gateway was changed",
			gateway)
	}
}

func numbers(p refund.Page) (all []string) {
	for _, e := range p.Entries {
		all = append(all, e.Refund.No)
	}
	return all
}

func listPages(t tb, e *env) {
	// Nine refunds, seven of them at one moment, on orders whose IDs do not sort by time.
	var want []refund.Position
	for i, id := range []string{"O-c", "O-a", "O-b"} {
		o := e.paid(id)
		for k := range 3 {
			at := e.at(5)
			if i == 1 && k > 0 {
				at = e.at(k)
			}
			number := fmt.Sprintf("R-%s-%d", id, 9-k)
			e.fire(t, o, order.EventRequestRefund, number, 1, at)
			want = append(want, refund.Position{
				RequestedAt: at, Ref: refund.Ref{OrderID: id, RefundNo: number},
			})
		}
		require.NoError(t, e.store.Create(bg, o))
	}
	slices.SortFunc(want, refund.Position.Compare)
	e.pages(t, want, refund.Filter{})
	e.pages(t, slices.DeleteFunc(want, func(p refund.Position) bool { return p.OrderID != "O-b" }),
		refund.Filter{OrderIDContains: "b"})
}

// pages requires that pages of every size contain want.
func (e *env) pages(t tb, want []refund.Position, f refund.Filter) {
	t.Helper()
	for size := 1; size <= len(want)+1; size++ {
		var got []refund.Position
		f.Limit, f.After = size, nil
		for range want {
			page, err := e.store.ListRefunds(bg, f)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Entries), size)
			for _, entry := range page.Entries {
				got = append(got, entry.Position())
			}
			if f.After = page.Next; f.After == nil {
				break
			}
		}
		require.Nil(t, f.After, "the last page has no Next")
		require.Equal(t, want, got, "pages of %d: no gap, no repeat", size)
	}
}

func listLimits(t tb, e *env) {
	o := e.paid("O-1")
	for i := range refund.MaxLimit + 1 {
		e.fire(t, o, order.EventRequestRefund, fmt.Sprintf("R-%03d", i), 1, e.at(1))
	}
	require.NoError(t, e.store.Create(bg, o))
	for limit, want := range map[int]int{
		0: 50, -1: 50, 7: 7, 10000: refund.MaxLimit,
	} {
		page, err := e.store.ListRefunds(bg, refund.Filter{Limit: limit})
		require.NoError(t, err)
		require.Len(t, page.Entries, want, "limit %d", limit)
		require.NotNil(t, page.Next)
	}
}
