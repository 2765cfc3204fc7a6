package refund_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestAcceptedIsNeverCancelled: the book was restored from a backup in which the refund had not
// been sent yet, and the provider has it. Once that is known, the amount must not be released for
// another refund.
func TestAcceptedIsNeverCancelled(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.console("R1", 4000, refund.OutcomeAccepted)
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	e.hint()
	require.Zero(t, e.refund("R1").Attempts)
	require.NotZero(t, e.refund("R1").AcceptedAt)

	_, err := cancel(true).do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrTransition)
	require.EqualValues(t, 4000, e.order().Reserved)
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.Empty(t, submissions(e.bank, "R1"))
}

// lateAccepted leaves R1 abandoned, and the answer of an attempt that was held up says that it is
// accepted. then is what the provider says when it is asked again.
func (e *env) lateAccepted(then ...refundtest.Step) {
	e.t.Helper()
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.PayWhenAsked().Before(func(context.Context) {
		_, err := e.svc.Resolve(bg, refund.ResolveParams{
			Ref: o1("R1"), Resolution: refund.ResolutionReturned, Evidence: "x", Actor: seller,
		})
		require.ErrorIs(e.t, err, order.ErrConflict, "the provider is being asked")
		e.clock.Advance(2 * time.Minute) // the call hangs, and its lease runs out
		_, err = resolve(refund.ResolutionReturned, "x").do(bg, e.svc)
		require.NoError(e.t, err)
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		_, err = abandon.do(bg, e.svc)
		require.NoError(e.t, err)
		e.bank.NextQuery(then...)
	}))
	require.Equal(e.t, order.StateAbandoned, e.process(ref).State)
}

// TestOvertakenAnswerIsReportedIfNothingConfirmsIt: the provider says that it accepted a refund
// which was abandoned in the meantime. It is asked again, because its answer may be outdated, and
// does not answer. Nobody asks about an abandoned refund, and its amount can be paid again, so a
// person is alerted.
func TestOvertakenAnswerIsReportedIfNothingConfirmsIt(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		e := newEnv(t)
		e.lateAccepted(refundtest.Fail(errLost))
		require.Len(t, e.discrepancies, 1)
		require.Equal(t, order.StateAbandoned, e.discrepancies[0].Book)
		require.Equal(t, refund.OutcomeAccepted, e.discrepancies[0].Result.Outcome)
		require.ErrorIs(t, e.discrepancies[0].Err, errLost)
	})
	t.Run("corrected", func(t *testing.T) {
		e := newEnv(t)
		e.lateAccepted(refundtest.Answer(isClosed))
		require.Empty(t, e.discrepancies)
	})
}

// touching are answers to queries during each of which the book changes.
func (e *env) touching(n int, res refund.Result) (script []refundtest.Step) {
	for i := range n {
		script = append(script, refundtest.Answer(res).Before(func(context.Context) {
			require.NoError(e.t, e.store.Update(bg, "O1", func(
				_ context.Context, o *order.Order,
			) error {
				o.Refunds[0].Code = strings.Repeat("x", i+1)
				return nil
			}))
		}))
	}
	return script
}

// TestOvertakenAnswersAreAnError: the book changes each time that the provider is asked. No answer
// is recorded, so a notification must be delivered again, and evidence must not outweigh what the
// provider said.
func TestOvertakenAnswersAreAnError(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	for range 3 {
		e.bank.NextQuery(e.touching(3, isAccepted)...)
		require.ErrorIs(t, e.svc.HandleNotification(bg, success("R1", 4000)), order.ErrConflict)

		e.bank.NextQuery(e.touching(3, isAccepted)...)
		rep, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
		require.ErrorIs(t, rep.Discrepancies[0].Err, order.ErrConflict)

		e.bank.NextQuery(e.touching(3, isAccepted)...)
		_, err = e.svc.Abandon(bg, refund.AbandonParams{
			Ref: o1("R1"), Evidence: "x", Actor: seller,
		})
		require.ErrorIs(t, err, refund.ErrUnsettled)
	}
	require.Equal(t, order.StateFailed, e.refund("R1").State)

	e.bank.NextQuery(append(e.touching(2, isAccepted), refundtest.Answer(isAccepted))...)
	e.hint()
	require.Equal(t, order.StateApproved, e.refund("R1").State, "the third look still counts")
}

// TestSecondRefusalWaitsForTheQuietPeriodToo: a retry was lost, and the provider says closed, which
// may be outdated. A process whose clock is an hour ahead asks again at once. By the store's clock
// that is too early.
func TestSecondRefusalWaitsForTheQuietPeriodToo(t *testing.T) {
	for _, refusal := range []refund.Result{isClosed, declined("NOTENOUGH")} {
		t.Run(string(refusal.Outcome), func(t *testing.T) {
			e := newEnv(t)
			ref := e.closed()
			_, err := retry.do(bg, e.svc)
			require.NoError(t, err)
			e.bank.NextRefund(refundtest.Fail(errLost))
			e.bank.NextQuery(refundtest.Answer(refusal))
			e.steps(ref, 2)
			require.NotZero(t, e.refund("R1").DeclinedAt)
			store := timedStore{e.store, func() (time.Time, error) { return e.clock.Now(), nil }}
			fast, err := refund.NewService(e.machine, store, e.bank, refund.Options{
				Now: func() time.Time { return e.clock.Now().Add(time.Hour) },
			})
			require.NoError(t, err)
			for _, want := range []order.State{order.StateApproved, order.StateFailed} {
				e.bank.NextQuery(refundtest.Answer(refusal))
				next, err := fast.Process(bg, ref)
				require.NoError(t, err)
				require.Equal(t, want, next.State)
				e.clock.Advance(2 * time.Minute)
			}
		})
	}
}

// TestClosedFromBeforeTheRetryIsChecked: the provider accepts the retry, and one of its replicas
// still says closed. Nobody asks about a failed refund, so this must not end it.
func TestClosedFromBeforeTheRetryIsChecked(t *testing.T) {
	e := newEnv(t)
	ref := e.closed()
	_, err := retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.NextRefund(refundtest.Answer(isAccepted))
	e.bank.NextQuery(refundtest.Answer(isClosed))
	e.steps(ref, 2)
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.GreaterOrEqual(t, e.refund("R1").NextAttemptAt.Sub(e.clock.Now()), 2*time.Minute)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)

	e = newEnv(t)
	ref = e.closed()
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.NextRefund(refundtest.Answer(isAccepted))
	e.bank.NextQuery(refundtest.Answer(isClosed), refundtest.Answer(isClosed))
	e.steps(ref, 3)
	require.Equal(t, order.StateFailed, e.refund("R1").State, "it is closed indeed")
	require.Empty(t, e.discrepancies)
}

// TestAbnormalFromBeforeTheRetry: a person resolved an abnormal refund and retries it. While it is
// sent, Sync gets the old answer, abnormal. Nobody asks about an abnormal refund, so the answer to
// the retry would be lost.
func TestAbnormalFromBeforeTheRetry(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateAbnormal)
	_, err := resolve(refund.ResolutionReturned, "the merchant has the money back").do(bg, e.svc)
	require.NoError(t, err)
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.NextQuery(refundtest.Answer(isAbnormal))
	e.bank.NextRefund(refundtest.Answer(isAccepted).Before(func(context.Context) {
		_, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
	}))
	e.process(o1("R1"))
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.NotZero(t, e.refund("R1").AcceptedAt)
}

// TestClosedIsNotLostBehindAbnormal: Sync asks, Process books abnormal in the meantime, and the
// answer to Sync is closed. Nobody asks about an abnormal refund, so Sync asks again.
func TestClosedIsNotLostBehindAbnormal(t *testing.T) {
	for name, tc := range map[string]struct {
		then refund.Result
		want order.State
	}{
		"newer": {isClosed, order.StateFailed},
		"older": {isAbnormal, order.StateAbnormal},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			e.process(ref)
			e.clock.Advance(time.Minute)
			e.bank.NextQuery(refundtest.Answer(isClosed).Before(func(context.Context) {
				e.bank.NextQuery(refundtest.Answer(isAbnormal), refundtest.Answer(tc.then))
				require.Equal(t, order.StateAbnormal, e.process(ref).State)
			}))
			e.hint()
			require.Equal(t, tc.want, e.refund("R1").State)
		})
	}
}

// TestRefusalNotedByAClockAYearAhead: it waits for the quiet period, not for a year.
func TestRefusalNotedByAClockAYearAhead(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	e.process(ref)
	e.clock.Advance(year)
	e.process(ref)
	require.NotZero(t, e.refund("R1").DeclinedAt)
	e.clock.Advance(-year + time.Hour)
	e.process(ref)
	require.Equal(t, e.clock.Now(), e.refund("R1").DeclinedAt, "a right clock dates it again")
	e.steps(ref, 1)
	require.Equal(t, order.StateFailed, e.refund("R1").State)
	require.Equal(t, "NOTENOUGH", e.refund("R1").Code)
	require.Equal(t, refund.OutcomeNotFound, e.bank.State("R1"))
}

// TestRefundedAtIsAYearThatStoresKeep: also at the ends of the range, if the year depends on the
// time zone.
func TestRefundedAtIsAYearThatStoresKeep(t *testing.T) {
	east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)
	for at, kept := range map[time.Time]bool{
		time.Date(9999, 12, 31, 23, 0, 0, 0, west):     false, // the year 10000 in UTC
		time.Date(1, 1, 1, 1, 0, 0, 0, east):           false, // the year 0
		time.Date(10000, 1, 1, 1, 0, 0, 0, east):       true,
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC): true,
	} {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.Answer(refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundedAt: at,
		}))
		e.process(e.approved("R1", 4000))
		require.Equal(t, kept, !e.refund("R1").RefundedAt.IsZero(), "%v", at)
	}
}

// TestLateAttemptKeepsTheNewerSubmission: a process was suspended until its lease had run out. A
// second one submitted the refund and lost the answer. The late one sends nothing. The newer
// submission must still count as sent, or a refusal would be booked at once.
func TestLateAttemptKeepsTheNewerSubmission(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	slept := false
	late, err := refund.NewService(e.machine, pausing{e.store, func() {
		if slept {
			return
		}
		slept = true
		e.clock.Advance(time.Minute)
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		e.bank.NextRefund(refundtest.Fail(errLost))
		e.process(ref)
	}}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	_, err = late.Process(bg, ref)
	require.NoError(t, err)
	require.True(t, e.refund("R1").Outstanding)
	require.Equal(t, e.clock.Now(), e.refund("R1").SubmittedAt)
}

// TestIntervalIgnoresQueries: the interval between two refunds of an order counts from a
// submission.
func TestIntervalIgnoresQueries(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errLost))
	e.bank.NextQuery(refundtest.Fail(errLost))
	e.process(ref)
	sent := e.clock.Now()
	e.steps(ref, 1)
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank))
	require.Equal(t, sent, e.refund("R1").SubmittedAt)
}
