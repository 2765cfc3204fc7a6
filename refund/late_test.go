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

// TestNotAskedBeforeItIsDue: however long the wait is, within MaxWait.
func TestNotAskedBeforeItIsDue(t *testing.T) {
	for _, wait := range []time.Duration{time.Minute, 3 * time.Minute, 23 * time.Hour} {
		e := newEnv(t, func(_ *env, o *refund.Options) {
			o.Backoff = func(string, int) time.Duration { return wait }
		})
		ref := e.approved("R1", 4000)
		due := e.process(ref).At
		require.Equal(t, e.clock.Now().Add(wait), due)
		for _, pass := range []time.Duration{0, wait / 2, wait/2 - time.Microsecond} {
			e.clock.Advance(pass)
			require.Equal(
				t, refund.ProcessResult{State: order.StateApproved, At: due}, e.process(ref), "%v",
				wait,
			)
		}
		require.Equal(t, []string{"refund R1"}, called(e.bank))
		e.clock.Advance(time.Microsecond)
		require.Equal(t, order.StateRefunded, e.process(ref).State)
	}
}

// TestSyncDuringACallKeepsTheSubmission: Sync asks while the refund is being sent. The submission
// stays outstanding, so that its refusal needs proof.
func TestSyncDuringACallKeepsTheSubmission(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errLost))
	e.process(ref)
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(func(context.Context) {
		e.clock.Advance(time.Minute)
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
		e.process(ref)
	}))
	sent := e.clock.Now().Add(time.Minute)
	_, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	r := e.refund("R1")
	require.True(t, r.Outstanding)
	require.Equal(t, sent, r.SubmittedAt)
	e.run()
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

// TestRefusalFromBeforeTheRetryFailsNothing: an attempt outlives its lease so long that the refund
// has failed and was retried in the meantime. The attempt of the retry has the same number, and it
// paid.
func TestRefusalFromBeforeTheRetryFailsNothing(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH").Before(func(context.Context) {
		e.clock.Advance(2 * time.Minute)
		e.bank.NextQuery(refundtest.Answer(isNotFound), refundtest.Answer(isNotFound))
		e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
		e.process(ref)
		e.steps(ref, 1)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
		e.process(ref)
		require.Equal(t, 1, e.refund("R1").Attempts)
	}))
	require.Equal(t, order.StateApproved, e.process(ref).State)
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
	require.EqualValues(t, 4000, e.order().Refunded)
}

// TestAnswerAfterTheEndSchedulesNothing: a notification settles the refund during the call.
func TestAnswerAfterTheEndSchedulesNothing(t *testing.T) {
	for name, late := range map[string]refundtest.Step{
		"lost":     refundtest.PayWhenAsked().ThenFail(errLost),
		"declined": exactly(refundtest.PayWhenAsked(), declined("NOTENOUGH")),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			e.bank.NextRefund(late.Before(func(context.Context) {
				e.bank.NextQuery(refundtest.Answer(refund.Result{
					Outcome: refund.OutcomeSucceeded, Code: "PAID",
				}))
				e.hint()
			}))
			require.Equal(t, refund.ProcessResult{State: order.StateRefunded}, e.process(ref))
			r := e.refund("R1")
			require.Zero(t, r.NextAttemptAt)
			require.Zero(t, r.LeasedUntil)
			require.Equal(t, "PAID", r.Code, "the words of the outcome stand")
			require.Empty(t, e.discrepancies)
			require.Equal(
				t, []string{"refund R1", "query R1"}, called(e.bank), "nothing is in doubt",
			)
		})
	}
}

// TestAnswerIsBookedAfterCtxEnds: the provider's answer is a fact, whether or not somebody waits
// for it.
func TestAnswerIsBookedAfterCtxEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		op string
		do func(ctx context.Context, e *env) error
	}{
		"process": {"refund", func(ctx context.Context, e *env) error {
			_, err := e.svc.Process(ctx, o1("R1"))
			return err
		}},
		"approve_and_send": {"refund", func(ctx context.Context, e *env) error {
			p := refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller}
			r, err := e.svc.ApproveAndSend(ctx, p)
			require.Equal(e.t, order.StateRefunded, r.State)
			return err
		}},
		"notification": {"query", func(ctx context.Context, e *env) error {
			return e.svc.HandleNotification(ctx, success("R1", 4000))
		}},
		"sync": {"query", func(ctx context.Context, e *env) error {
			e.clock.Advance(time.Hour)
			_, err := e.svc.Sync(ctx, "O1")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			if tc.op == "query" {
				e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
				e.process(ref)
			}
			ctx, cancel := context.WithCancel(bg)
			end := func(context.Context) { cancel() }
			e.bank.Next(refundtest.Pay().Before(end).IgnoreContext())
			require.NoError(t, tc.do(ctx, e))
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.NotEmpty(t, e.after)
			require.Equal(
				t, order.EventSettle, e.after[len(e.after)-1].Event, "the After hook runs as well",
			)
		})
	}
}

// TestRefusalIsTimedByTheStoresClock: so that the quiet period has the right length in every
// process.
func TestRefusalIsTimedByTheStoresClock(t *testing.T) {
	for _, refused := range []refund.Result{declined("NOTENOUGH"), isClosed} {
		e := newEnv(t)
		ahead := timedStore{e.store, func() (time.Time, error) {
			return e.clock.Now().Add(time.Hour), nil
		}}
		s, err := refund.NewService(e.machine, ahead, e.bank, refund.Options{Now: e.clock.Now})
		require.NoError(t, err)
		ref := e.approved("R1", 4000)
		e.bank.NextRefund(refundtest.Fail(errLost))
		_, err = s.Process(bg, ref)
		require.NoError(t, err)
		e.clock.Advance(time.Hour)
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		e.bank.NextRefund(refundtest.Answer(refused))
		_, err = s.Process(bg, ref)
		require.NoError(t, err)
		require.Equal(t, e.clock.Now().Add(time.Hour), e.refund("R1").DeclinedAt, refused.Outcome)
	}
}

// TestIntervalCountsFromTheNewestSubmission: several refunds were sent, one of them twice.
func TestIntervalCountsFromTheNewestSubmission(t *testing.T) {
	e := newLimited(t, refund.Limits{MinInterval: time.Hour})
	first, second, third := e.approved("R1", 1000), e.approved("R2", 1000), e.approved("R3", 1000)
	e.bank.NextRefund(refundtest.Fail(errLost))
	e.process(first)
	e.clock.Advance(time.Hour)
	e.process(second)
	e.clock.Advance(time.Minute)
	e.process(first)
	require.Equal(t, []string{"refund R1", "refund R1"}, submissions(e.bank, "R1"))
	require.Equal(t, e.clock.Now().Add(time.Hour), e.process(third).At)
	require.Empty(t, submissions(e.bank, "R3"))
}

// TestIntervalIsBetweenDifferentRefunds: a failed refund may be retried at once.
func TestIntervalIsBetweenDifferentRefunds(t *testing.T) {
	e := newLimited(t, refund.Limits{MinInterval: time.Hour})
	ref := e.approved("R1", 1000)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(ref)
	_, err := retry.do(bg, e.svc)
	require.NoError(t, err)
	e.process(ref)
	require.Equal(t, []string{"refund R1", "refund R1"}, submissions(e.bank, "R1"))
}

// TestAbandonTwiceAtOnce: both calls return the same refund.
func TestAbandonTwiceAtOnce(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(func(context.Context) {
		e.clock.Advance(time.Minute)
		_, err := abandon.do(bg, e.svc)
		require.NoError(t, err)
	}))
	r, err := abandon.do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, e.refund("R1"), r)
}

// TestAbandonAfterANewFailure: the refund was retried and failed again after Abandon had read it.
func TestAbandonAfterANewFailure(t *testing.T) {
	e := newEnv(t)
	ref := e.closed()
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(func(context.Context) {
		e.clock.Advance(time.Minute)
		e.bank.NextQuery(refundtest.Answer(isAccepted), refundtest.Answer(isClosed))
		e.hint()
		require.Equal(t, order.StateApproved, e.refund("R1").State)
		e.steps(ref, 1)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	}))
	_, err := abandon.do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrConflict)
	require.Equal(t, order.StateFailed, e.refund("R1").State)
}

func TestAbandonBelievesARefusal(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	e.bank.NextQuery(refundtest.Decline("NOTENOUGH"))
	_, err := abandon.do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, order.StateAbandoned, e.refund("R1").State)
}

// TestApproveOfACancelledRefund: it is an error, also if the refund was approved before it was
// cancelled.
func TestApproveOfACancelledRefund(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateApproved)
	_, err := cancel(true).do(bg, e.svc)
	require.NoError(t, err)
	_, err = approve(4000).do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrTransition)
	require.Equal(t, order.StateCancelled, e.refund("R1").State)
}

// TestRetryOfARetry: a refund that failed again is sent again; an abandoned one is not.
func TestRetryOfARetry(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	ref := o1("R1")
	for want := 1; want <= 2; want++ {
		r, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, r.State)
		require.Equal(t, want, r.Retries)
		e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
		e.process(ref)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	}
	e.clock.Advance(2 * time.Minute)
	e.bank.NextQuery(refundtest.Answer(isNotFound))
	_, err := abandon.do(bg, e.svc)
	require.NoError(t, err)
	_, err = retry.do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrTransition)
}
