package refund_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestAnswerAboutSomethingElseDecidesNothing: whatever the answer says, and whatever was asked. The
// refund stays as it is, nothing is sent, and a discrepancy is reported.
func TestAnswerAboutSomethingElseDecidesNothing(t *testing.T) {
	others := map[refund.MismatchError]refund.Result{
		{Field: "refund_no", Want: "R1", Got: "R2"}:  {RefundNo: "R2", OrderID: "O1", Amount: 4000},
		{Field: "order_id", Want: "O1", Got: "O2"}:   {RefundNo: "R1", OrderID: "O2", Amount: 4000},
		{Field: "amount", Want: "4000", Got: "3999"}: {RefundNo: "R1", OrderID: "O1", Amount: 3999},
	}
	for _, outcome := range []refund.Outcome{
		refund.OutcomeAccepted, refund.OutcomeSucceeded, refund.OutcomeDeclined,
		refund.OutcomeClosed,
		refund.OutcomeAbnormal, refund.OutcomeNotFound,
	} {
		for want, res := range others {
			res.Outcome = outcome
			for _, op := range []string{"refund", "query"} {
				t.Run(fmt.Sprint(op, " ", outcome, " ", want.Field), func(t *testing.T) {
					e := newEnv(t)
					ref := e.approved("R1", 4000)
					if op == "query" {
						e.bank.NextRefund(refundtest.Fail(errLost))
						e.process(ref)
						e.clock.Advance(time.Minute)
					}
					e.bank.Next(refundtest.Answer(res))
					next := e.process(ref)
					require.Equal(t, order.StateApproved, next.State)
					var mismatch *refund.MismatchError
					require.ErrorAs(t, next.Err, &mismatch)
					require.Equal(t, want, *mismatch)
					r := e.refund("R1")
					require.Equal(t, order.StateApproved, r.State)
					require.True(t, r.Outstanding)
					require.Zero(t, r.DeclinedAt)
					require.Zero(t, r.AcceptedAt)
					require.Len(t, submissions(e.bank, "R1"), 1)
					require.Len(t, e.discrepancies, 1)
					require.ErrorIs(t, e.discrepancies[0].Err, refund.ErrMismatch)
					require.Equal(t, res, e.discrepancies[0].Result)
					e.run()
					require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
				})
			}
		}
	}
}

// TestAnswerAboutMoneyNamesItsRefund: not_found and declined need no number and no amount.
func TestAnswerAboutMoneyNamesItsRefund(t *testing.T) {
	for outcome, counts := range map[refund.Outcome]bool{
		refund.OutcomeAccepted: false, refund.OutcomeSucceeded: false, refund.OutcomeClosed: false,
		refund.OutcomeAbnormal: false, refund.OutcomeDeclined: true,
	} {
		for _, half := range []refund.Result{{}, {RefundNo: "R1"}, {Amount: 4000}} {
			e := newEnv(t)
			half.Outcome = outcome
			e.bank.NextRefund(exactly(refundtest.AsUsual(), half))
			next := e.process(e.approved("R1", 4000))
			require.Equal(t, counts, next.Err == nil, "%v", half)
		}
	}
}

// counting counts the submissions, also with a context that has ended.
type counting struct {
	refund.RefundGateway
	calls int
}

func (c *counting) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	c.calls++
	return c.RefundGateway.Refund(ctx, req)
}

// TestEndedContextPreventsTheCallOfAnyGateway: even a gateway that ignores its ctx is not called.
func TestEndedContextPreventsTheCallOfAnyGateway(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	ctx, cancel := context.WithCancel(bg)
	g := &counting{RefundGateway: e.bank}
	s, err := refund.NewService(
		e.machine, pausing{e.store, cancel}, g, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	next, err := s.Process(ctx, ref)
	require.NoError(t, err)
	require.ErrorIs(t, next.Err, context.Canceled)
	require.Zero(t, g.calls)
}

// TestProcessTooEarlyWritesNothing: neither before the refund is due nor while another call of the
// order is under way.
func TestProcessTooEarlyWritesNothing(t *testing.T) {
	e := newEnv(t)
	first, second := e.approved("R1", 1000), e.approved("R2", 1000)
	store := &commits{Store: e.store}
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	early := func(ref refund.Ref) {
		next, err := s.Process(bg, ref)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, next.State)
		require.True(t, next.At.After(e.clock.Now()))
		require.Zero(t, store.n)
	}
	e.bank.NextRefund(refundtest.Answer(isAccepted).Before(func(context.Context) {
		early(first)
		early(second)
	}))
	e.process(first)
	early(first)
}

// TestLeaseIsAChangeOfTheOrder: it sets UpdatedAt, so that a host which follows UpdatedAt sees it.
func TestLeaseIsAChangeOfTheOrder(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.clock.Advance(time.Second)
	e.bank.NextRefund(refundtest.Answer(isAccepted).Before(func(context.Context) {
		require.Equal(t, e.clock.Now(), e.order().UpdatedAt)
	}))
	e.process(ref)
}

// TestQueryIsNoSubmission: a process that dies during a query leaves no submission in the book.
func TestQueryIsNoSubmission(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	e.bank.NextQuery(refundtest.Answer(isNotFound))
	e.process(ref)
	e.steps(ref, 1)
	sent := e.refund("R1").SubmittedAt
	require.NotZero(t, e.refund("R1").DeclinedAt, "a refusal waits for proof")
	e.clock.Advance(2 * time.Minute)
	failing := &flakyStore{Store: e.store}
	s, err := refund.NewService(e.machine, failing, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(failing.down))
	_, err = s.Process(bg, ref)
	require.ErrorIs(t, err, errLost)
	require.Equal(t, sent, e.refund("R1").SubmittedAt)
}

// TestApproveAndSendIfTheOutcomeCannotBeRead: the provider may have paid. The refund is returned as
// it was approved, and the error is logged.
func TestApproveAndSendIfTheOutcomeCannotBeRead(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRefundRequested)
	p := refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller}
	log := &logtest.Recorder{}
	opt := refund.Options{Now: e.clock.Now, Logger: log.Logger()}
	const message = "refund approved, its outcome is not known"
	s, err := refund.NewService(e.machine, unreadable{e.store, "O1"}, e.bank, opt)
	require.NoError(t, err)
	r, err := s.ApproveAndSend(bg, p)
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, r.State)
	require.Equal(t, "R1", r.No)
	require.Len(t, log.Values(message, "error"), 1)

	e = newEnv(t)
	e.into(order.StateRefundRequested)
	backup := newEnv(t)
	backup.register()
	store := &restored{Store: e.store, backup: backup.store, at: 4} // approve, lease, record, read
	opt.Now = e.clock.Now
	s, err = refund.NewService(e.machine, store, e.bank, opt)
	require.NoError(t, err)
	r, err = s.ApproveAndSend(bg, p)
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, r.State)
	require.Equal(
		t, "read refund R1 of order O1: refund not found", log.Values(message, "error")[1],
	)
}
