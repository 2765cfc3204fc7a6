package refund_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// settledWithoutUs approves a refund on each of n orders of its own, sends it, and has the provider pay it
// without telling. Orders are a minute apart.
func (e *env) settledWithoutUs(n int) (ids []string) {
	e.t.Helper()
	for i := range n {
		ref := e.approvedOf("bank", fmt.Sprintf("W%03d", i))
		e.process(ref)
		e.bank.set(ref.RefundNo, refund.OutcomeSucceeded)
		ids = append(ids, ref.OrderID)
		e.clock.Advance(time.Minute)
	}
	return ids
}

// notebook keeps what Reconcile tells.
type notebook struct {
	reports  []refund.OrderReport
	progress []refund.Progress
}

func (n *notebook) params() refund.ReconcileParams {
	return refund.ReconcileParams{
		Report:   func(_ context.Context, r refund.OrderReport) error { n.reports = append(n.reports, r); return nil },
		Progress: func(_ context.Context, p refund.Progress) { n.progress = append(n.progress, p) },
	}
}

func (n *notebook) ids() (ids []string) {
	for _, r := range n.reports {
		ids = append(ids, r.OrderID)
	}
	return ids
}

func TestReconcile(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(120)
	e.bank.next(fault{op: "query", no: "R-W007", err: errLost})
	var n notebook
	p, err := e.svc.Reconcile(bg, n.params())
	require.NoError(t, err)
	require.Equal(t, refund.Progress{Orders: 120, Total: 120, Discrepancies: 120, Done: true}, p, "no time has passed: no rate")
	require.Equal(t, ids, n.ids(), "every difference, in order")
	require.Equal(t, order.StateApproved, n.reports[0].Discrepancies[0].Book)
	require.Equal(t, refund.OutcomeSucceeded, n.reports[0].Discrepancies[0].Result.Outcome)
	require.ErrorIs(t, n.reports[7].Discrepancies[0].Err, errLost)
	require.Len(t, n.progress, 3, "after each page")

	n = notebook{}
	p, err = e.svc.Reconcile(bg, n.params())
	require.NoError(t, err)
	require.Equal(t, []string{"W007"}, n.ids(), "what was learned is booked")
	require.Equal(t, 1, p.Discrepancies)
}

func TestReconcileWindow(t *testing.T) {
	e := newEnv(t)
	start := e.clock.Now()
	ids := e.settledWithoutUs(10)
	other := e.approvedOf("other", "X")
	e.process(other)
	e.bank.set(other.RefundNo, refund.OutcomeSucceeded)

	var n notebook
	params := n.params()
	params.From, params.To = start.Add(3*time.Minute), start.Add(6*time.Minute)
	_, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, ids[3:6], n.ids())

	n = notebook{}
	params = n.params()
	params.Gateway = "other"
	e.clock.Advance(time.Minute)
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, []string{"X"}, n.ids())
	require.Equal(t, 1, p.Total)
}

// TestReconcileComparesAnOrderOnce: however many refunds it has in the window, also where it has some before.
func TestReconcileComparesAnOrderOnce(t *testing.T) {
	e, l := newLister(t)
	asked := 0
	s := e.service(meanwhileLister{l, func() { asked++ }}, refund.Options{Now: e.clock.Now, MaxRequests: 200})
	var from time.Time
	for i := range 120 {
		from = e.clock.Now()
		_, err := s.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i)}, Amount: 1, Actor: buyer})
		require.NoError(t, err)
		e.clock.Advance(time.Second)
	}
	var n notebook
	p, err := s.Reconcile(bg, n.params())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.Equal(t, 1, p.Orders)
	require.Equal(t, 1, p.Total)
	require.Empty(t, n.reports, "they agree")

	params := n.params()
	params.From = from.Add(-50 * time.Second)
	p, err = s.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, 2, asked)
	require.Equal(t, 1, p.Orders)
}

// TestReconcileGoesOn: it is interrupted again and again; every order is compared, and few of them twice.
func TestReconcileGoesOn(t *testing.T) {
	e := newEnv(t)
	ids := e.settledWithoutUs(230)
	reported := map[string]int{}
	var cursor string
	for round := 0; ; round++ {
		require.Less(t, round, 20, "it comes to an end")
		ctx, cancel := context.WithCancel(bg)
		seen := 0
		p, err := e.svc.Reconcile(ctx, refund.ReconcileParams{
			Cursor: cursor,
			Report: func(_ context.Context, r refund.OrderReport) error {
				reported[r.OrderID]++
				if seen++; seen == 70 {
					cancel()
				}
				return nil
			},
		})
		cancel()
		if err == nil {
			require.True(t, p.Done)
			require.Empty(t, p.Cursor)
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, p.Done)
		cursor = p.Cursor
	}
	require.Len(t, reported, len(ids), "none is missed")
	for _, id := range ids {
		o, err := e.svc.Order(bg, id)
		require.NoError(t, err)
		require.Equal(t, order.StateRefunded, o.State, "nor passed over when it was interrupted")
	}
}

// TestReconcileEnds: what is asked for in the shop meanwhile does not make it longer.
func TestReconcileEnds(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(60)
	var n notebook
	p := n.params()
	p.Report = func(context.Context, refund.OrderReport) error {
		e.clock.Advance(time.Second)
		e.approvedOf("bank", fmt.Sprintf("X%d", e.clock.Now().Unix()))
		return nil
	}
	got, err := e.svc.Reconcile(bg, p)
	require.NoError(t, err)
	require.Equal(t, 60, got.Orders)
}

func TestReconcileProgress(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(200)
	var n notebook
	params := n.params()
	report := params.Report
	params.Report = func(ctx context.Context, r refund.OrderReport) error {
		e.clock.Advance(100 * time.Millisecond) // so fast is the provider
		return report(ctx, r)
	}
	_, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Len(t, n.progress, 4)
	for i, p := range n.progress {
		require.Equal(t, 50*(i+1), p.Orders)
		require.Equal(t, 200, p.Total)
		require.InDelta(t, 10, p.Rate, 0.001)
		require.Equal(t, time.Duration(150-50*i)*100*time.Millisecond, p.Remaining)
		require.Equal(t, i == 3, p.Done)
	}
	half := n.progress[1].Cursor

	n = notebook{}
	params = n.params()
	params.Cursor = half
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, 100, p.Total, "what is left")
	require.Equal(t, 100, p.Orders)
}

// TestReconcileTheHostsOrders: a refund made in the console on an order that has none in the book.
func TestReconcileTheHostsOrders(t *testing.T) {
	e, l := newLister(t)
	l.console("C1", 1000, refund.OutcomeSucceeded)
	var n notebook
	params := n.params()
	_, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Empty(t, n.reports, "the book cannot list it")

	params.Total = 3
	params.Orders = func(_ context.Context, cursor string) (ids []string, next string, err error) {
		switch cursor {
		case "":
			return []string{"O0"}, "second", nil
		case "second":
			return nil, "third", nil
		}
		return []string{"O1", "O2"}, "", nil
	}
	p, err := e.svc.Reconcile(bg, params)
	require.NoError(t, err)
	require.Equal(t, refund.Progress{Orders: 3, Total: 3, Discrepancies: 1, Adopted: 1, Failed: 2, Done: true}, p)
	require.Equal(t, []string{"O0", "O1", "O2"}, n.ids())
	require.ErrorIs(t, n.reports[0].Err, refund.ErrOrderNotFound)
	require.Equal(t, []string{"C1"}, n.reports[1].Adopted)
	require.EqualValues(t, 1000, e.order().Refunded)
}

func TestReconcileRefuses(t *testing.T) {
	e := newEnv(t)
	e.settledWithoutUs(3)
	var n notebook
	for name, tc := range map[string]struct {
		change func(*refund.ReconcileParams)
		want   error
		text   string
	}{
		"no report":          {func(p *refund.ReconcileParams) { p.Report = nil }, refund.ErrInvalid, "report: is nil"},
		"a cursor of others": {func(p *refund.ReconcileParams) { p.Cursor = "x" }, refund.ErrInvalid, "cursor: was not made by Reconcile"},
		"orders that cannot be listed": {func(p *refund.ReconcileParams) {
			p.Orders = func(context.Context, string) ([]string, string, error) { return nil, "", errLost }
		}, errLost, `list orders behind ""`},
		"a host that is told enough": {func(p *refund.ReconcileParams) {
			p.Report = func(context.Context, refund.OrderReport) error { return errLost }
		}, errLost, "reconcile"},
	} {
		t.Run(name, func(t *testing.T) {
			p := n.params()
			tc.change(&p)
			_, err := e.svc.Reconcile(bg, p)
			require.ErrorIs(t, err, tc.want)
			require.ErrorContains(t, err, tc.text)
		})
	}
	p := n.params()
	p.Orders = func(context.Context, string) ([]string, string, error) { return nil, "again", nil }
	_, err := e.svc.Reconcile(bg, p)
	require.ErrorContains(t, err, "the next page is this one again")

	err = e.store.Update(bg, "W000", func(ctx context.Context, _ *order.Order) error {
		_, err := e.svc.Reconcile(ctx, n.params())
		return err
	})
	require.ErrorIs(t, err, refund.ErrInTx)
	gone, cancel := context.WithCancel(bg)
	cancel()
	_, err = e.svc.Reconcile(gone, n.params())
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, slices.Contains(e.bank.called(), "query R-W002"), "nothing was asked")
}
