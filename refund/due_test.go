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

// approvedOf registers another order and approves a refund of it.
func (e *env) approvedOf(gateway, id string) refund.Ref {
	e.t.Helper()
	_, err := e.svc.Register(
		bg, refund.RegisterParams{OrderID: id, Gateway: gateway, Currency: "CNY", Total: 100},
	)
	require.NoError(e.t, err)
	ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
	_, err = e.svc.Request(
		bg,
		refund.RequestParams{
			Ref: refund.Ref{OrderID: id, RefundNo: ref.RefundNo}, Amount: 100, Actor: buyer,
		},
	)
	require.NoError(e.t, err)
	_, err = e.svc.Approve(
		bg,
		refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: ref.RefundNo}, Amount: 100, Actor: seller,
		},
	)
	require.NoError(e.t, err)
	return ref
}

// refs are the names of what is due.
func refs(due []refund.DueRefund) (refs []refund.Ref) {
	for _, d := range due {
		refs = append(refs, d.Ref)
	}
	return refs
}

func TestDueExcept(t *testing.T) {
	e := newEnv(t)
	start := e.clock.Now()
	a := refund.DueRefund{Ref: e.approvedOf("a", "A1"), Gateway: "a", At: start}
	e.clock.Advance(time.Second)
	b := refund.DueRefund{Ref: e.approvedOf("b", "B1"), Gateway: "b", At: start.Add(time.Second)}
	due, err := e.svc.Due(bg, 10, nil)
	require.NoError(t, err)
	require.Equal(t, []refund.DueRefund{a, b}, due)
	due, err = e.svc.Due(bg, 10, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []refund.DueRefund{b}, due)

	gone, cancel := context.WithCancel(bg)
	cancel()
	_, err = e.svc.Due(gone, 10, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// TestDueOfAWrongClock: a next attempt that is further ahead than the Service ever sets it is due
// now; one that is just as far ahead is not.
func TestDueOfAWrongClock(t *testing.T) {
	for name, wait := range map[string]struct{ most, quiet, longest time.Duration }{
		"max wait":     {time.Hour, time.Minute, time.Hour},
		"quiet_period": {time.Hour, 2 * time.Hour, 2 * time.Hour},
	} {
		e := newEnv(
			t, func(_ *env, o *refund.Options) { o.MaxWait, o.QuietPeriod = wait.most, wait.quiet },
		)
		ref := e.approvedOf("a", "A1")
		for ahead, want := range map[time.Duration][]refund.Ref{
			wait.longest:                    nil,
			wait.longest + time.Microsecond: {ref},
			365 * 24 * time.Hour:            {ref},
		} {
			require.NoError(t, e.store.Update(bg, ref.OrderID, func(
				_ context.Context, o *order.Order,
			) error {
				o.Refunds[0].NextAttemptAt = e.clock.Now().Add(ahead)
				return nil
			}))
			due, err := e.svc.Due(bg, 10, nil)
			require.NoError(t, err)
			require.Equal(t, want, refs(due), "%s: %v ahead", name, ahead)
		}
	}
}

func TestDueQueryJoin(t *testing.T) {
	list := func(kind string, n int) (due []refund.DueRefund) {
		for i := range n {
			due = append(due, refund.DueRefund{Gateway: fmt.Sprint(kind, i)})
		}
		return due
	}
	for limit := range 30 {
		for past := range 30 {
			for ahead := range 10 {
				p, a := list("past", past), list("ahead", ahead)
				joined := refund.DueQuery{Limit: limit}.Join(p, a)
				require.Len(t, joined, min(limit, past+ahead))
				n := 0
				for n < len(joined) && n < past && joined[n] == p[n] {
					n++
				}
				require.Equal(
					t, append(list("past", n), list("ahead", len(joined)-n)...),
					append([]refund.DueRefund(nil), joined...),
				)
				if limit > 1 {
					require.GreaterOrEqual(
						t, len(joined)-n, min(ahead, (limit+4)/5), "of %d", limit,
					)
					require.GreaterOrEqual(t, n, min(past, limit-(limit+4)/5), "of %d", limit)
				}
			}
		}
	}
	require.Empty(t, refund.DueQuery{Limit: -1}.Join(list("past", 1), list("ahead", 1)))
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

func TestReconcileWithAnOrderThatCannotBeRead(t *testing.T) {
	e := newEnv(t)
	e.approvedOf("a", "A1")
	e.approvedOf("a", "A2")
	e.clock.Advance(time.Hour)
	s, err := refund.NewService(
		e.machine, unreadable{e.store, "A1"}, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	all, news := reports(t, s, refund.Filter{})
	require.Equal(t, []string{"A1", "A2"}, orderIDs(all))
	require.Equal(t, []string{"A1"}, orderIDs(news))
	require.ErrorIs(t, news[0].Err, errLost)
}

// TestStuckOfAWrongClock: a refund that was approved in the future is stuck, whenever it was
// requested. Clocks may differ by a lease.
func TestStuckOfAWrongClock(t *testing.T) {
	const lease = time.Minute
	e := newEnv(
		t,
		func(_ *env, o *refund.Options) {
			o.AlertAfter, o.Lease, o.CallTimeout = time.Hour, lease, time.Second
		},
	)
	for i, tc := range []struct {
		name                string
		requested, approved time.Duration // from now
		stuck               bool
	}{
		{"approved a year ahead", -time.Second, 365 * 24 * time.Hour, true},
		{"asked for and approved a year ahead", 365 * 24 * time.Hour, 365 * 24 * time.Hour, true},
		{"approved just too far ahead", 0, lease + time.Microsecond, true},
		{"approved by a clock that is near", 0, lease, false},
		{"approved long ago", -2 * time.Hour, -time.Hour, true},
		{"approved just now", -2 * time.Hour, -time.Hour + time.Microsecond, false},
	} {
		ref := e.approvedOf(fmt.Sprintf("g%d", i), fmt.Sprintf("A%d", i))
		require.NoError(t, e.store.Update(bg, ref.OrderID, func(
			_ context.Context, o *order.Order,
		) error {
			o.Refunds[0].RequestedAt = e.clock.Now().Add(tc.requested)
			o.Refunds[0].ApprovedAt = e.clock.Now().Add(tc.approved)
			return nil
		}))
		numbers := e.stuckNos(refund.Filter{Gateway: fmt.Sprintf("g%d", i), Limit: 1})
		require.Equal(t, tc.stuck, len(numbers) == 1, tc.name)
	}
	require.Len(t, e.stuckNos(refund.Filter{Limit: 2}), 4, "page by page")
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
	require.Equal(t, []string{"R-A1"}, e.stuckNos(refund.Filter{}), "as soon as the hook is called")
	e.process(refund.Ref{OrderID: "A1", RefundNo: "R-A1"})
	require.Len(t, e.stuck, 1)
	e.clock.Advance(time.Minute)
	require.Equal(
		t, []string{"R-A1", "R-B1"}, e.stuckNos(refund.Filter{}), "what has ended is not stuck",
	)
	require.Equal(t, []string{"R-B1"}, e.stuckNos(refund.Filter{Gateway: "b"}))
	require.Equal(
		t, []string{"R-A1"},
		e.stuckNos(refund.Filter{To: e.clock.Now().Add(time.Second - time.Hour - time.Minute)}),
		"a narrower To counts",
	)
	require.Equal(
		t, []string{"R-A1", "R-B1"},
		e.stuckNos(refund.Filter{States: []order.State{order.StateFailed}}), "states are fixed",
	)
	for _, ref := range []refund.Ref{
		{OrderID: "A1", RefundNo: "R-A1"}, {OrderID: "B1", RefundNo: "R-B1"},
	} {
		o, err := e.store.Get(bg, ref.OrderID)
		require.NoError(t, err)
		require.Equal(
			t, order.StateApproved, o.Refund(ref.RefundNo).State, "nothing is decided by age",
		)
	}
}

// TestStuckPages: Stuck goes on to the next page after a refund that was requested long before it
// was approved.
func TestStuckPages(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.AlertAfter = time.Hour })
	e.register()
	for i := range 5 {
		_, err := e.svc.Request(
			bg,
			refund.RequestParams{
				Ref: refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("late-%d", i)}, Amount: 1,
				Actor: buyer,
			},
		)
		require.NoError(t, err)
		e.clock.Advance(time.Second)
	}
	e.approvedOf("a", "A1")
	e.clock.Advance(2 * time.Hour)
	for i := range 5 {
		_, err := e.svc.Approve(
			bg,
			refund.ApproveParams{
				Ref: refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("late-%d", i)}, Amount: 1,
				Actor: seller,
			},
		)
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
