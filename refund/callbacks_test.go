package refund_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestGeneratedNumberTwice: if NewRefundNo repeats itself, two requests do not become one refund.
func TestGeneratedNumberTwice(t *testing.T) {
	e := newEnv(
		t, func(_ *env, o *refund.Options) { o.NewRefundNo = func() string { return "same" } },
	)
	e.register()
	_, err := e.svc.Request(
		bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1"}, Amount: 10, Actor: "buyer:1"},
	)
	require.NoError(t, err)
	_, err = e.svc.Request(
		bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1"}, Amount: 10, Actor: "buyer:1"},
	)
	require.ErrorIs(t, err, order.ErrConflict)
	require.ErrorContains(t, err, "new_refund_no")
	require.Len(t, e.order().Refunds, 1)
}

func TestAnswerIsRecordedIfBackoffPanics(t *testing.T) {
	e := newEnv(
		t,
		func(_ *env, o *refund.Options) {
			o.Backoff = func(string, int) time.Duration { panic("the host's") }
		},
	)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errors.New("lost")))
	next := e.process(ref)
	require.Equal(t, order.StateApproved, next.State)
	require.Equal(t, e.clock.Now().Add(10*time.Minute), next.At)
	e.clock.Advance(10 * time.Minute)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestRegisterAgainFromAColumn: a payment callback that comes twice registers once, although the
// host's column has cut or rounded the time of payment to seconds, or holds none.
func TestRegisterAgainFromAColumn(t *testing.T) {
	exact := time.Date(2026, 1, 1, 8, 0, 0, 600_000_000, time.UTC)
	times := []time.Time{exact, exact.Truncate(time.Second), exact.Round(time.Second), {}}
	for _, first := range times {
		e := newEnv(t)
		p := refund.RegisterParams{
			OrderID: "O7", Gateway: "bank", Currency: "CNY", Total: 10, PaidAt: first,
		}
		_, err := e.svc.Register(bg, p)
		require.NoError(t, err)
		for _, p.PaidAt = range times {
			if first.Sub(p.PaidAt).Abs() == time.Second {
				continue // one was cut and the other one rounded
			}
			again, err := e.svc.Register(bg, p)
			require.NoError(t, err)
			require.Equal(t, first, again.PaidAt, "the first one counts")
		}
	}
}

// TestRegisterNamesTheDifference: its error names the field that differs.
func TestRegisterNamesTheDifference(t *testing.T) {
	e := newEnv(t)
	p := refund.RegisterParams{
		OrderID: "O7", Gateway: "bank", PaymentID: "P", Currency: "CNY", Total: 10,
		PaidAt: e.clock.Now(),
	}
	_, err := e.svc.Register(bg, p)
	require.NoError(t, err)
	for term, change := range map[string]func(p *refund.RegisterParams){
		"gateway":    func(p *refund.RegisterParams) { p.Gateway = "other" },
		"payment_id": func(p *refund.RegisterParams) { p.PaymentID = "Q" },
		"currency":   func(p *refund.RegisterParams) { p.Currency = "USD" },
		"total":      func(p *refund.RegisterParams) { p.Total = 11 },
		"paid_at":    func(p *refund.RegisterParams) { p.PaidAt = p.PaidAt.Add(-time.Second) },
	} {
		other := p
		change(&other)
		_, err := e.svc.Register(bg, other)
		require.ErrorIs(t, err, order.ErrConflict)
		require.ErrorContains(t, err, "another "+term+":")
	}
	for _, limit := range []int{0, -1} {
		_, err = e.svc.Due(bg, limit, nil)
		require.ErrorIs(t, err, order.ErrInvalid)
	}
}
