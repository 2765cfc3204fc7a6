package refund_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// newLimited is newRouted with a bank that has limits.
func newLimited(t *testing.T, l refund.Limits) *env {
	t.Helper()
	e := newRouted(t, func(e *env, _ *refund.Options) { e.bank.SetLimits(l) })
	_, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000, PaidAt: e.clock.Now(),
	})
	require.NoError(t, err)
	return e
}

func TestMaxRefunds(t *testing.T) {
	e := newLimited(t, refund.Limits{MaxRefunds: 3})
	ask := func(number string) error {
		_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1(number), Amount: 1, Actor: buyer})
		return err
	}
	for i := range 3 {
		require.NoError(t, ask(fmt.Sprintf("R%d", i+1)))
	}
	before := e.order()
	err := ask("R4")
	require.ErrorIs(t, err, refund.ErrLimit)
	var limit *refund.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "max_refunds", limit.Limit)
	require.Equal(t, before, e.order())

	_, err = reject("no").do(bg, e.svc)
	require.NoError(t, err)
	require.NoError(t, ask("R4"), "a rejected one never reached the provider")
}

func TestMaxAge(t *testing.T) {
	const year = 365 * 24 * time.Hour
	e := newLimited(t, refund.Limits{MaxAge: year})
	_, err := request(4000, "r").do(bg, e.svc)
	require.NoError(t, err)
	e.clock.Advance(year)
	_, err = e.svc.Request(bg, refund.RequestParams{Ref: o1("R2"), Amount: 1, Actor: buyer})
	require.NoError(t, err, "on the last day")
	e.clock.Advance(time.Second)
	before := e.order()
	_, err = e.svc.Request(bg, refund.RequestParams{Ref: o1("R3"), Amount: 1, Actor: buyer})
	require.ErrorIs(t, err, refund.ErrLimit)
	_, err = approve(4000).do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrLimit, "it could not work any more")
	require.ErrorContains(t, err, "approve refund R1 of order O1: max_age")
	require.Equal(t, before, e.order())
	_, err = reject("too late").do(bg, e.svc)
	require.NoError(t, err, "a command without a call works")
}

func TestMinInterval(t *testing.T) {
	e := newLimited(t, refund.Limits{MinInterval: 5 * time.Minute})
	first, second := e.approved("R1", 4000), e.approved("R2", 6000)
	start := e.clock.Now()
	e.process(first)
	wait := refund.ProcessResult{State: order.StateApproved, At: start.Add(5 * time.Minute)}
	require.Equal(t, wait, e.process(second))
	refs, err := e.svc.Due(bg, 10, nil)
	require.NoError(t, err)
	require.Empty(t, refs, "it is not listed before it may go")

	e.clock.Advance(time.Minute)
	require.Equal(
		t, order.StateRefunded, e.process(first).State,
		"asking about the first one waits for nothing",
	)
	require.Equal(
		t, wait, e.process(second), "the interval counts from the submission, settled or not",
	)
	e.clock.Advance(4 * time.Minute)
	e.process(second)
	require.Equal(t, []string{"refund R1", "query R1", "refund R2"}, called(e.bank))
	e.run()
	require.EqualValues(t, 10000, e.bank.PaidTotal("O1"))
}

func TestLimitErrorMatches(t *testing.T) {
	err := fmt.Errorf("b: %w", fmt.Errorf("a: %w", &refund.LimitError{Limit: "max_age"}))
	require.ErrorIs(t, err, refund.ErrLimit)
	require.NotErrorIs(t, err, order.ErrAmount)
}
