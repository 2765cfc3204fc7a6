package refund_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestAcceptedIsNeverCancelled: the book was restored from a backup in which the refund had not been sent yet, and the
// provider has it. Once that is known, the amount must not be released for another refund.
func TestAcceptedIsNeverCancelled(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.pay(refund.Request{OrderID: "O1", RefundNo: "R1", Amount: 4000})
	e.bank.next(fault{op: "query", res: isAccepted})
	e.hint()
	require.Zero(t, e.refund("R1").Attempts)
	require.NotZero(t, e.refund("R1").AcceptedAt)

	_, err := cancel(true).do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrTransition)
	require.EqualValues(t, 4000, e.order().Reserved)
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.Empty(t, e.bank.submissions("R1"))
}

// lateAccepted leaves R1 abandoned, and the answer of an attempt that was held up says that it is accepted. then is
// what the provider says when it is asked again.
func (e *env) lateAccepted(then ...fault) {
	e.t.Helper()
	ref := e.approved("R1", 4000)
	e.bank.next(fault{op: "refund", res: isAccepted, pay: true, block: func(context.Context) {
		_, err := e.svc.Resolve(bg, refund.ResolveParams{
			OrderID: "O1", RefundNo: "R1", Outcome: refund.OutcomeClosed, Evidence: "x", Actor: seller,
		})
		require.ErrorIs(e.t, err, refund.ErrConflict, "the provider is being asked")
		e.clock.Advance(2 * time.Minute) // the call hangs, and its lease runs out
		_, err = resolve(refund.OutcomeClosed, "x").do(bg, e.svc)
		require.NoError(e.t, err)
		e.bank.next(fault{op: "query", res: isNotFound})
		_, err = abandon.do(bg, e.svc)
		require.NoError(e.t, err)
		e.bank.next(then...)
	}})
	require.Equal(e.t, order.StateAbandoned, e.process(ref).State)
}

// TestOvertakenAnswerIsReportedIfNothingConfirmsIt: the provider says that it accepted a refund which has been
// abandoned meanwhile. It is asked again, because that may be old, and does not answer. Nobody asks about an abandoned
// refund, and its amount can be paid again: a person must look.
func TestOvertakenAnswerIsReportedIfNothingConfirmsIt(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		e := newEnv(t)
		e.lateAccepted(fault{op: "query", err: errLost})
		require.Len(t, e.conflicts, 1)
		require.Equal(t, order.StateAbandoned, e.conflicts[0].Book)
		require.Equal(t, refund.OutcomeAccepted, e.conflicts[0].Result.Outcome)
		require.ErrorIs(t, e.conflicts[0].Err, errLost)
	})
	t.Run("corrected", func(t *testing.T) {
		e := newEnv(t)
		e.lateAccepted(fault{op: "query", res: isClosed})
		require.Empty(t, e.conflicts)
	})
}

// touching are answers to queries during each of which the book changes.
func (e *env) touching(n int, res refund.Result) (script []fault) {
	for i := range n {
		script = append(script, fault{op: "query", res: res, block: func(context.Context) {
			require.NoError(e.t, e.store.Update(bg, "O1", func(_ context.Context, o *order.Order) error {
				o.Refunds[0].Code = strings.Repeat("x", i+1)
				return nil
			}))
		}})
	}
	return script
}

// TestAnswersThatAreAllOvertakenAreNoAnswer: the book changes each time that the provider is asked. That nothing was
// taken in is an error, so that a notification comes again and evidence does not outweigh what the provider said.
func TestAnswersThatAreAllOvertakenAreNoAnswer(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	for range 3 {
		e.bank.next(e.touching(3, isAccepted)...)
		require.ErrorIs(t, e.svc.HandleNotification(bg, success("R1", 4000)), refund.ErrConflict)

		e.bank.next(e.touching(3, isAccepted)...)
		rep, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
		require.ErrorIs(t, rep.Differences[0].Err, refund.ErrConflict)

		e.bank.next(e.touching(3, isAccepted)...)
		_, err = e.svc.Abandon(bg, refund.AbandonParams{OrderID: "O1", RefundNo: "R1", Evidence: "x", Actor: seller})
		require.ErrorIs(t, err, refund.ErrUnsettled)
	}
	require.Equal(t, order.StateFailed, e.refund("R1").State)

	e.bank.next(append(e.touching(2, isAccepted), fault{op: "query", res: isAccepted})...)
	e.hint()
	require.Equal(t, order.StateApproved, e.refund("R1").State, "the third look still counts")
}

// TestDiscrepancyIsReportedEvenIfTheStoreFails: the answer to COMMIT is lost. The book may know by then that the
// provider paid what a person had resolved as paid, so that the next answer is no news: this report is the only one.
func TestDiscrepancyIsReportedEvenIfTheStoreFails(t *testing.T) {
	for _, how := range []string{failsRollback, failsAfter} {
		t.Run(how, func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 4000))
			_, err := resolve(refund.OutcomeSucceeded, "bank transfer 77").do(bg, e.svc)
			require.NoError(t, err)
			store := &countingStore{Store: e.store, fails: 2, how: how}
			s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now, Hooks: e.hooks()})
			require.NoError(t, err)
			require.ErrorIs(t, s.HandleNotification(bg, success("R1", 4000)), errStore)
			require.Len(t, e.conflicts, 1)
			require.Equal(t, refund.OutcomeSucceeded, e.conflicts[0].Result.Outcome)
		})
	}
}

// TestNumberOfAnotherOrderIsReportedOnce: the provider lists a refund for this order whose number another order has.
func TestNumberOfAnotherOrderIsReportedOnce(t *testing.T) {
	e, l := newLister(t)
	_, err := e.svc.Register(bg, refund.RegisterParams{OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 10000})
	require.NoError(t, err)
	_, err = e.svc.Request(bg, refund.RequestParams{OrderID: "O2", RefundNo: "C1", Amount: 1, Actor: buyer})
	require.NoError(t, err)
	l.console("C1", 4000, refund.OutcomeSucceeded)
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, rep.Differences, 1)
	require.ErrorIs(t, rep.Differences[0].Err, refund.ErrConflict)
	require.Len(t, e.conflicts, 1)
	require.ErrorIs(t, e.conflicts[0].Err, refund.ErrConflict)
}

// TestSecondRefusalWaitsForTheQuietPeriodToo: a retry was lost, and the provider says that the number is closed, which
// may be old. A process whose clock is an hour ahead asks again at once. The store's clock says that this is too early.
func TestSecondRefusalWaitsForTheQuietPeriodToo(t *testing.T) {
	for _, refusal := range []refund.Result{isClosed, declined("NOTENOUGH")} {
		t.Run(refusal.Outcome.String(), func(t *testing.T) {
			e := newEnv(t)
			ref := e.closed()
			_, err := retry.do(bg, e.svc)
			require.NoError(t, err)
			e.bank.next(fault{op: "refund", err: errLost}, fault{op: "query", res: refusal})
			e.steps(ref, 2)
			require.NotZero(t, e.refund("R1").DeclinedAt)
			store := timedStore{e.store, func() (time.Time, error) { return e.clock.Now(), nil }}
			fast, err := refund.NewService(e.machine, store, e.bank, refund.Options{
				Now: func() time.Time { return e.clock.Now().Add(time.Hour) },
			})
			require.NoError(t, err)
			for _, want := range []order.State{order.StateApproved, order.StateFailed} {
				e.bank.next(fault{op: "query", res: refusal})
				next, err := fast.Process(bg, ref)
				require.NoError(t, err)
				require.Equal(t, want, next.State)
				e.clock.Advance(2 * time.Minute)
			}
		})
	}
}

// TestClosedFromBeforeTheRetryIsChecked: the provider takes the retry, and a replica of it still shows that the number
// is closed. A failed refund is asked about no more, so that this must not end it.
func TestClosedFromBeforeTheRetryIsChecked(t *testing.T) {
	e := newEnv(t)
	ref := e.closed()
	_, err := retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.next(fault{op: "refund", res: isAccepted}, fault{op: "query", res: isClosed})
	e.steps(ref, 2)
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.GreaterOrEqual(t, e.refund("R1").NextAttemptAt.Sub(e.clock.Now()), 2*time.Minute)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)

	e = newEnv(t)
	ref = e.closed()
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.next(fault{op: "refund", res: isAccepted}, fault{op: "query", res: isClosed}, fault{op: "query", res: isClosed})
	e.steps(ref, 3)
	require.Equal(t, order.StateFailed, e.refund("R1").State, "it is closed indeed")
	require.Empty(t, e.conflicts)
}

// TestAbnormalFromBeforeTheRetry: a person resolved an abnormal refund and retries it. While it is sent, Sync hears that
// it is abnormal, as it was. An abnormal refund is asked about no more, so that the answer to the retry would be lost.
func TestAbnormalFromBeforeTheRetry(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateAbnormal)
	_, err := resolve(refund.OutcomeClosed, "the merchant has the money back").do(bg, e.svc)
	require.NoError(t, err)
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.next(
		fault{op: "query", res: isAbnormal},
		fault{op: "refund", res: isAccepted, block: func(context.Context) {
			_, err := e.svc.Sync(bg, "O1")
			require.NoError(t, err)
		}},
	)
	e.process(refund.Ref{OrderID: "O1", RefundNo: "R1"})
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.NotZero(t, e.refund("R1").AcceptedAt)
}

// TestClosedIsNotLostBehindAbnormal: Sync asks, Process books meanwhile that the refund is abnormal, and the answer to
// Sync is that it is closed. Nobody asks about an abnormal refund, so that Sync asks again.
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
			e.bank.next(fault{op: "query", res: isClosed, block: func(context.Context) {
				e.bank.next(fault{op: "query", res: isAbnormal}, fault{op: "query", res: tc.then})
				require.Equal(t, order.StateAbnormal, e.process(ref).State)
			}})
			e.hint()
			require.Equal(t, tc.want, e.refund("R1").State)
		})
	}
}

// TestContradictionIsReportedOnce: the operator paid the buyer by other means, as the manual advises, and resolved the
// refund as paid. The provider never changes its answer, and the books are compared every night. One alert calls a
// person; every comparison still lists the difference.
func TestContradictionIsReportedOnce(t *testing.T) {
	for _, answer := range []refund.Result{isAccepted, isAbnormal, isClosed, declined("NOTENOUGH")} {
		t.Run(answer.Outcome.String(), func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 4000))
			_, err := resolve(refund.OutcomeSucceeded, "bank transfer 77").do(bg, e.svc)
			require.NoError(t, err)
			for range 3 {
				e.bank.next(fault{op: "query", res: answer})
				rep, err := e.svc.Sync(bg, "O1")
				require.NoError(t, err)
				require.Len(t, rep.Differences, 1)
				require.Len(t, e.conflicts, 1)
			}
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.Equal(t, answer.Outcome, e.conflicts[0].Result.Outcome)

			_, err = e.svc.Sync(bg, "O1") // and then it pays
			require.NoError(t, err)
			require.Len(t, e.conflicts, 2)
			require.Equal(t, refund.OutcomeSucceeded, e.conflicts[1].Result.Outcome)
		})
	}
}

// TestAnswerAboutSomethingElseIsReportedOnce: a provider that goes on answering with another amount raises one alert,
// and another one when the answer changes.
func TestAnswerAboutSomethingElseIsReportedOnce(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	for i, amount := range []int64{1, 1, 1, 2} {
		e.bank.next(fault{op: "query", asIs: true, res: refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R1", Amount: amount}})
		e.steps(ref, 1)
		require.Len(t, e.conflicts, 1+i/3)
	}
	require.Equal(t, order.StateApproved, e.refund("R1").State)
}

// TestRefusalNotedByAClockAYearAhead: it waits for its quiet period, not for a year.
func TestRefusalNotedByAClockAYearAhead(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.next(fault{op: "refund", err: errLost}, fault{op: "refund", res: declined("NOTENOUGH")})
	e.process(ref)
	e.clock.Advance(year)
	e.process(ref)
	require.NotZero(t, e.refund("R1").DeclinedAt)
	e.clock.Advance(-year + time.Hour)
	e.process(ref)
	require.Equal(t, e.clock.Now(), e.refund("R1").DeclinedAt, "a right clock notes it anew")
	e.steps(ref, 1)
	require.Equal(t, order.StateFailed, e.refund("R1").State)
	require.Equal(t, "NOTENOUGH", e.refund("R1").Code)
	require.Zero(t, e.bank.paid("O1"))
}

// TestRefundedAtIsAYearThatStoresKeep: also at the ends of the range, where the year depends on the time zone.
func TestRefundedAtIsAYearThatStoresKeep(t *testing.T) {
	east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)
	for at, kept := range map[time.Time]bool{
		time.Date(9999, 12, 31, 23, 0, 0, 0, west):     false, // the year 10000 in UTC
		time.Date(1, 1, 1, 1, 0, 0, 0, east):           false, // the year 0
		time.Date(10000, 1, 1, 1, 0, 0, 0, east):       true,
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC): true,
	} {
		e := newEnv(t)
		e.bank.next(fault{op: "refund", res: refund.Result{Outcome: refund.OutcomeSucceeded, RefundedAt: at}})
		e.process(e.approved("R1", 4000))
		require.Equal(t, kept, !e.refund("R1").RefundedAt.IsZero(), "%v", at)
	}
}

// TestSetupFaultOfQueriesIsReportedOnce: refunds work and queries do not, because the key may only write. Each refund
// that is sent proves nothing for the queries.
func TestSetupFaultOfQueriesIsReportedOnce(t *testing.T) {
	e := newEnv(t)
	for i := range 5 {
		ref := e.approved(fmt.Sprint("R", i), 1000)
		e.bank.next(fault{op: "query", err: &refund.SetupError{Err: errors.New("NOAUTH")}})
		e.process(ref)
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 1)
	e.run() // a query works
	ref := e.approved("R5", 1000)
	e.bank.next(fault{op: "query", err: &refund.SetupError{Err: errors.New("NOAUTH")}})
	e.process(ref)
	e.steps(ref, 1)
	require.Len(t, e.setup, 2, "another fault")
}

// TestSetupFaultOfRefundsIsNotHidden: that lists are not permitted is known, and lists are rare. When refunds begin to
// fail, somebody must hear of it.
func TestSetupFaultOfRefundsIsNotHidden(t *testing.T) {
	e, l := newLister(t)
	l.err = &refund.SetupError{Err: errors.New("lists are not permitted")}
	_, err := e.svc.Sync(bg, "O1")
	require.ErrorIs(t, err, refund.ErrSetup)
	require.Len(t, e.setup, 1)
	ref := e.approved("R1", 1000)
	for range 3 {
		e.bank.next(fault{op: "refund", err: &refund.SetupError{Err: errors.New("the certificate has expired")}})
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 2)
}
