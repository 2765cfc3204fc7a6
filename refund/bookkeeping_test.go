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

// TestHistoryKeepsWhoAndWhy: it keeps actor and note of every command, and of the provider.
func TestHistoryKeepsWhoAndWhy(t *testing.T) {
	const number, why = "R1", "because"
	const requested = order.StateRefundRequested
	type does = func(s *refund.Service) (order.Refund, error)
	for ev, tc := range map[order.Event]struct {
		from order.State
		do   does
	}{
		order.EventApprove: {requested, func(s *refund.Service) (order.Refund, error) {
			return s.Approve(bg, refund.ApproveParams{
				Ref: o1(number), Amount: 4000, Actor: "staff:9", Note: why,
			})
		}},
		order.EventReject: {requested, func(s *refund.Service) (order.Refund, error) {
			p := refund.RejectParams{Ref: o1(number), Actor: "staff:9", Note: why}
			return s.Reject(bg, p)
		}},
		order.EventCancel: {requested, func(s *refund.Service) (order.Refund, error) {
			p := refund.CancelParams{Ref: o1(number), Actor: "staff:9", Note: why}
			return s.Cancel(bg, p)
		}},
		order.EventRetry: {order.StateFailed, func(s *refund.Service) (order.Refund, error) {
			return s.Retry(bg, refund.RetryParams{Ref: o1(number), Actor: "staff:9", Note: why})
		}},
		order.EventAbandon: {order.StateFailed, func(s *refund.Service) (order.Refund, error) {
			p := refund.AbandonParams{Ref: o1(number), Actor: "staff:9", Note: why}
			return s.Abandon(bg, p)
		}},
		order.EventSettle: {order.StateFailed, func(s *refund.Service) (order.Refund, error) {
			return s.Resolve(bg, refund.ResolveParams{
				Ref: o1(number), Resolution: refund.ResolutionPaid, Evidence: why, Actor: "staff:9",
			})
		}},
		order.EventFail: {order.StateAbnormal, func(s *refund.Service) (order.Refund, error) {
			return s.Resolve(bg, refund.ResolveParams{
				Ref: o1(number), Resolution: refund.ResolutionReturned, Evidence: why,
				Actor: "staff:9",
			})
		}},
	} {
		t.Run(string(ev), func(t *testing.T) {
			e := newEnv(t)
			e.into(tc.from)
			e.clock.Advance(time.Minute)
			_, err := tc.do(e.svc)
			require.NoError(t, err)
			tr := e.newest()
			require.Equal(
				t,
				[]any{ev, order.Actor("staff:9"), why, e.clock.Now()},
				[]any{tr.Event, tr.Actor, tr.Note, tr.At},
			)
		})
	}
	t.Run("the provider", func(t *testing.T) {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.Answer(declined("NOTENOUGH")))
		e.process(e.approved(number, 4000))
		tr := e.newest()
		require.Equal(
			t,
			[]any{order.EventFail, order.ActorProvider, "NOTENOUGH no"},
			[]any{tr.Event, tr.Actor, tr.Note},
		)
	})
}

// newest is the last transition of O1.
func (e *env) newest() order.Transition {
	e.t.Helper()
	h := e.order().History
	require.NotEmpty(e.t, h)
	return h[len(h)-1]
}

// TestRegisterDatesTheOrder: CreatedAt is of the Service's clock; PaidAt is the host's.
func TestRegisterDatesTheOrder(t *testing.T) {
	e := newEnv(t)
	paid := e.clock.Now().Add(-time.Hour)
	o, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
		PaidAt: paid,
	})
	require.NoError(t, err)
	require.Equal(t, &order.Order{
		ID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
		State:   order.StatePaid,
		Version: 1, PaidAt: paid, CreatedAt: e.clock.Now(), UpdatedAt: e.clock.Now(),
	}, o)
}

func TestHostsEventKeepsWhoAndWhy(t *testing.T) {
	m, err := order.NewMachine(order.Options{Rows: []order.Row{
		{Event: "second_review", From: order.StateRefundRequested, To: "reviewed"},
		{Event: order.EventApprove, From: "reviewed", To: order.StateApproved},
	}})
	require.NoError(t, err)
	e := newEnv(t, func(e *env, _ *refund.Options) { e.machine = m })
	e.into(order.StateRefundRequested)
	r, err := e.svc.Fire(bg, refund.FireParams{
		Ref: o1("R1"), Event: "second_review", Actor: "staff:9", Note: "because",
	})
	require.NoError(t, err)
	require.Equal(t, order.State("reviewed"), r.State)
	require.Equal(t, order.Actor("staff:9"), e.newest().Actor)
	require.Equal(t, "because", e.newest().Note)
}

// commits counts what a store is asked to write.
type commits struct {
	refund.Store
	n int
}

func (c *commits) Update(
	ctx context.Context,
	id string,
	fn func(context.Context, *order.Order) error,
) error {
	return c.Store.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		err := fn(ctx, o)
		if err == nil {
			c.n++
		}
		return err
	})
}

// TestNoChangeIsNotWritten: neither a repeated command nor a repeated answer writes anything.
func TestNoChangeIsNotWritten(t *testing.T) {
	ref := o1("R1")
	again := func(c call) func(*refund.Service) error {
		return func(s *refund.Service) error { _, err := c.do(bg, s); return err }
	}
	process := func(s *refund.Service) error { _, err := s.Process(bg, ref); return err }
	sync := func(s *refund.Service) error { _, err := s.Sync(bg, "O1"); return err }
	for _, tc := range []struct {
		name   string
		from   order.State
		answer refund.Result
		do     func(*refund.Service) error
	}{
		{"request", order.StateRefundRequested, refund.Result{}, again(request(4000, "r"))},
		{"approve", order.StateApproved, refund.Result{}, again(approve(4000))},
		{"reject", order.StateRejected, refund.Result{}, again(reject("no"))},
		{
			"resolve", order.StateRefunded,
			refund.Result{},
			again(resolve(refund.ResolutionPaid, "e")),
		},
		{"process, not approved", order.StateFailed, refund.Result{}, process},
		{"sync, paid", order.StateRefunded, refund.Result{Outcome: refund.OutcomeSucceeded}, sync},
		{"sync, abnormal", order.StateAbnormal, isAbnormal, sync},
		{"sync, failed", order.StateFailed, isNotFound, sync},
		{"sync, on its way", order.StateApproved, isNotFound, sync},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			e.into(tc.from)
			before := e.order()
			e.clock.Advance(time.Hour)
			store := &commits{Store: e.store}
			s, err := refund.NewService(
				e.machine,
				store,
				e.bank,
				refund.Options{Now: e.clock.Now, Hooks: []refund.Hooks{e.hooks()}},
			)
			require.NoError(t, err)
			e.bank.NextQuery(refundtest.Answer(tc.answer))
			calls := len(e.after)
			require.NoError(t, tc.do(s))
			require.Zero(t, store.n)
			require.Equal(t, before, e.order())
			require.Len(t, e.after, calls)
			require.Empty(t, e.discrepancies)
		})
	}
}

// TestOnlyPaymentsAreConfirmed: ConfirmedAt is set only if the provider says that it paid.
func TestOnlyPaymentsAreConfirmed(t *testing.T) {
	for _, s := range []order.State{order.StateFailed, order.StateAbnormal, order.StateAbandoned} {
		e := newEnv(t)
		e.into(s)
		require.Zero(t, e.refund("R1").ConfirmedAt, s)
	}
	e := newEnv(t)
	e.into(order.StateRejected)
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	e.hint()
	require.Equal(t, order.StateApproved, e.refund("R1").State, "adopted")
	require.Zero(t, e.refund("R1").ConfirmedAt)
	e = newEnv(t)
	e.into(order.StateRefunded)
	require.Equal(t, e.clock.Now(), e.refund("R1").ConfirmedAt)
}

// TestRefundedAtIsStoredIfAStoreCanKeepIt: in UTC and microseconds. A payment without such a date
// is booked too.
func TestRefundedAtIsStoredIfAStoreCanKeepIt(t *testing.T) {
	china := time.FixedZone("CST", 8*3600)
	day := func(year int) time.Time { return time.Date(year, 6, 1, 8, 0, 0, 1001, china) }
	kept := func(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 1000, time.UTC) }
	for said, want := range map[time.Time]time.Time{
		day(2026): kept(2026), day(1): kept(1), day(9999): kept(9999), day(0): {}, day(10000): {},
		{}: {},
	} {
		e := newEnv(t)
		ref := e.approved("R1", 4000)
		e.bank.NextRefund(refundtest.Answer(refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundedAt: said,
		}))
		require.Equal(t, order.StateRefunded, e.process(ref).State)
		require.Equal(t, want, e.refund("R1").RefundedAt, said)
	}
}

func TestResolveKeepsRefundedAt(t *testing.T) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	resolved := func(e *env, out refund.Resolution, at time.Time) order.Refund {
		r, err := e.svc.Resolve(bg, refund.ResolveParams{
			Ref: o1("R1"), Resolution: out, Evidence: "e", Actor: seller, RefundedAt: at,
		})
		require.NoError(t, err)
		return r
	}
	e := newEnv(t)
	e.into(order.StateAbnormal)
	require.Equal(t, day, resolved(e, refund.ResolutionPaid, day).RefundedAt)
	require.Equal(
		t,
		day,
		resolved(e, refund.ResolutionPaid, day.Add(time.Hour)).RefundedAt,
		"a repeat changes nothing",
	)
	require.Equal(t, day, e.refund("R1").RefundedAt)
	e = newEnv(t)
	e.into(order.StateAbnormal)
	require.Zero(t, resolved(e, refund.ResolutionReturned, day).RefundedAt, "nothing was refunded")
	require.Zero(t, e.refund("R1").RefundedAt)
}

// TestAcceptanceIsDatedOnce: AcceptedAt is when the provider first said that it has the refund.
func TestAcceptanceIsDatedOnce(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	first := e.clock.Now()
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	e.steps(ref, 1)
	require.True(t, e.clock.Now().After(first))
	require.Equal(t, first, e.refund("R1").AcceptedAt)
	require.Equal(t, e.clock.Now(), e.order().UpdatedAt, "an answer is a change of the order")
}

// TestQueryHasAllFields: with the payment's number and the total, because some providers need them
// to find the refund.
func TestQueryHasAllFields(t *testing.T) {
	e := newEnv(t)
	e.svc = e.service(e.bank, refund.Options{Now: e.clock.Now})
	_, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
	})
	require.NoError(t, err)
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.steps(ref, 1)
	_, err = e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	sent := refund.Request{
		Gateway: "bank", OrderID: "O1", PaymentID: "P1", RefundNo: "R1", Amount: 4000, Total: 10000,
		Currency: "CNY", Reason: "r",
	}
	asked := sent
	asked.ProviderRefundID = "provider-R1"
	all := refund.Request{
		Gateway: "bank", OrderID: "O1", PaymentID: "P1", Total: 10000, Currency: "CNY",
	}
	require.Equal(t, []refundtest.Call{
		{Op: "refund", Request: sent},
		{Op: "query", Request: asked},
		{Op: "list", Request: all},
		{Op: "query", Request: asked},
	}, e.bank.Calls())
}

// TestRefundKeepsWhereTheMoneyWent: from the answer that says so, whatever a later one leaves out.
func TestRefundKeepsWhereTheMoneyWent(t *testing.T) {
	for said, kept := range map[int64]int64{3500: 3500, 4000: 4000, 0: 0, -1: 0, 4001: 0} {
		e := newEnv(t)
		ref := e.approved("R1", 4000)
		e.bank.NextRefund(refundtest.Answer(refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundNo: "R1", Amount: 4000,
			Recipient: "零钱", Settled: said,
		}))
		e.process(ref)
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
		require.Equal(t, "零钱", e.refund("R1").Recipient)
		require.Equal(t, kept, e.refund("R1").Settled, "no more than was asked for, and nothing below zero")
	}
}
