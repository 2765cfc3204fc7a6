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

var (
	isClosed   = refund.Result{Outcome: refund.OutcomeClosed}
	isAccepted = refund.Result{Outcome: refund.OutcomeAccepted}
	isPaid     = refund.Result{Outcome: refund.OutcomeSucceeded}
	isAbnormal = refund.Result{Outcome: refund.OutcomeAbnormal}
	isNotFound = refund.Result{Outcome: refund.OutcomeNotFound}
)

// hint is a notification that makes the Service ask about R1 of 4000.
func (e *env) hint() {
	e.t.Helper()
	require.NoError(e.t, e.svc.HandleNotification(bg, success("R1", 4000)))
}

// closed brings R1 to failed because the provider closed it.
func (e *env) closed() refund.Ref {
	e.t.Helper()
	e.bank.NextQuery(refundtest.Answer(isClosed))
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.clock.Advance(time.Minute)
	require.Equal(e.t, order.StateFailed, e.process(ref).State)
	return ref
}

// TestStaleRefusalFailsNothing: a refusal that was read before the refund was sent again says
// nothing about the new submission. Nobody asks about a failed refund, so it must not fail.
func TestStaleRefusalFailsNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		resent refund.Result // the provider's answer to the submission that overtakes the refusal
		want   order.State
	}{
		"accepted": {isAccepted, order.StateApproved},
		"abnormal": {isAbnormal, order.StateAbnormal},
	} {
		t.Run("overtaken by a retry: "+name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.closed()
			e.bank.NextQuery(refundtest.Answer(isClosed).Before(func(context.Context) {
				_, err := retry.do(bg, e.svc)
				require.NoError(t, err)
				require.Equal(t, tc.want, e.process(ref).State)
			}))
			e.bank.NextRefund(refundtest.Answer(tc.resent))
			e.bank.NextQuery(refundtest.Answer(tc.resent)) // if it is asked again
			e.hint()
			require.Equal(t, tc.want, e.refund("R1").State)
		})
	}
	t.Run("asked while the refund is being sent again", func(t *testing.T) {
		e := newEnv(t)
		ref := e.closed()
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		sent, answered := make(chan struct{}), make(chan struct{})
		e.bank.NextRefund(refundtest.Answer(isAccepted).Before(func(context.Context) {
			close(sent)
			<-answered
		}))
		e.bank.NextQuery(refundtest.Answer(isClosed).Before(func(context.Context) {
			answered <- struct{}{} // the attempt is recorded before this query is answered
			<-answered
		}))
		done := make(chan error, 1)
		go func() {
			_, err := e.svc.Process(bg, ref)
			close(answered)
			done <- err
		}()
		<-sent
		e.hint()
		require.NoError(t, <-done)
		require.Equal(t, order.StateApproved, e.refund("R1").State)
		e.run()
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
	})
	t.Run("abnormal from before the retry", func(t *testing.T) {
		e := newEnv(t)
		ref := e.closed()
		e.bank.NextQuery(refundtest.Answer(isAbnormal).Before(func(context.Context) {
			_, err := retry.do(bg, e.svc)
			require.NoError(t, err)
			e.process(ref)
		}))
		e.bank.NextRefund(refundtest.Answer(isAccepted))
		e.hint()
		require.Equal(
			t, order.StateApproved, e.refund("R1").State,
			"an abnormal refund is asked about no more either",
		)
	})
	t.Run("unchanged: the refusal counts", func(t *testing.T) {
		e := newEnv(t)
		e.process(e.approved("R1", 4000))
		e.bank.NextQuery(refundtest.Answer(isClosed))
		e.hint()
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	})
}

// TestClosedAfterALostRetryNeedsProof: the provider closed the number. It is sent again, and the
// answer is lost. A query that says closed may be outdated.
func TestClosedAfterALostRetryNeedsProof(t *testing.T) {
	lost := func(t *testing.T) (*env, refund.Ref) {
		e := newEnv(t)
		ref := e.closed()
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		e.bank.NextRefund(refundtest.Fail(errLost))
		e.process(ref)
		return e, ref
	}
	t.Run("it arrives late", func(t *testing.T) {
		e, ref := lost(t)
		e.bank.NextQuery(refundtest.Answer(isClosed), refundtest.Answer(isClosed))
		e.hint()
		require.Equal(t, order.StateApproved, e.refund("R1").State, "not on a notification's word")
		e.clock.Advance(time.Minute)
		next := e.process(ref)
		require.Equal(t, refund.ProcessResult{
			State: order.StateApproved, At: e.clock.Now().Add(2 * time.Minute),
		}, next,
			"asked again after the quiet period")
		e.run() // the bank has opened it again and pays
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
	})
	t.Run("it never arrives", func(t *testing.T) {
		e, ref := lost(t)
		e.end("R1", refund.OutcomeClosed)
		e.run2(t, ref)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
		require.Equal(t, refund.OutcomeClosed, e.bank.State("R1"))
	})
}

// TestAcceptedWhileARefusalIsChecked: the check after the quiet period read not_found before the
// provider accepted the refund, and is answered after that was booked.
func TestAcceptedWhileARefusalIsChecked(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.clock.Advance(time.Minute)
	e.process(ref)
	e.clock.Advance(2 * time.Minute)
	e.bank.NextQuery(
		refundtest.Answer(isNotFound).Before(func(context.Context) { e.hint() }),
		refundtest.Answer(isAccepted),
	)
	require.Equal(t, order.StateApproved, e.process(ref).State)
	require.Zero(t, e.refund("R1").DeclinedAt)
}

// TestAdoptedIsNeverSent: a refund that the provider had and the merchant never approved is only
// asked about. If the provider denies it later, a person must decide.
func TestAdoptedIsNeverSent(t *testing.T) {
	t.Run("made in the console", func(t *testing.T) {
		e := newLister(t)
		e.console("C1", 4000, refund.OutcomeAccepted)
		_, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
		require.Len(t, e.discrepancies, 1, "it was not in the book")
		for range 5 {
			e.bank.NextQuery(refundtest.Answer(isNotFound)) // taken back there
			e.steps(o1("C1"), 1)
		}
		require.Equal(t, order.StateApproved, e.refund("C1").State)
		require.Len(t, e.discrepancies, 2, "one alert that the provider denies it")
		require.NotContains(t, called(e.bank), "refund C1")
		_, err = e.svc.Resolve(bg, refund.ResolveParams{
			Ref: o1("C1"), Resolution: refund.ResolutionReturned,
			Evidence: "taken back in the console", Actor: seller,
		})
		require.NoError(t, err)
		require.Equal(t, order.StateFailed, e.refund("C1").State)
	})
	t.Run("rejected by the merchant", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateRejected)
		e.bank.NextQuery(refundtest.Answer(isAccepted), refundtest.Answer(isClosed))
		e.hint()
		require.Equal(t, order.StateApproved, e.refund("R1").State)
		e.steps(o1("R1"), 1)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
		require.NotContains(t, called(e.bank), "refund R1")

		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		e.run()
		require.Equal(t, order.StateRefunded, e.refund("R1").State, "a person's retry sends it")
	})
	t.Run("not found for a moment", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateRejected)
		e.console("R1", 4000, refund.OutcomeAccepted)
		e.bank.NextQuery(refundtest.Answer(isAccepted), refundtest.Answer(isNotFound))
		e.hint()
		e.run()
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
		require.NotContains(t, called(e.bank), "refund R1")
	})
}

// TestRefusalDuringAnAttempt: a refusal that Sync or a notification gets does not end a refund that
// is being sent.
func TestRefusalDuringAnAttempt(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.PayWhenAsked().Before(func(context.Context) { e.hint() }))
	e.bank.NextQuery(refundtest.Answer(isClosed))
	require.Equal(t, order.StateApproved, e.process(e.approved("R1", 4000)).State)
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank))
	require.NotContains(t, e.events("R1"), "fail approved>failed")
	require.Empty(t, e.discrepancies)
}

// TestClockSetBackWhileARefusalIsChecked: the quiet period is not over on the clock that records.
func TestClockSetBackWhileARefusalIsChecked(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.clock.Advance(time.Minute)
	e.process(ref)
	e.clock.Advance(2 * time.Minute)
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(func(context.Context) {
		e.clock.Advance(-time.Second)
	}))
	next := e.process(ref)
	require.Equal(
		t, refund.ProcessResult{State: order.StateApproved, At: e.clock.Now().Add(time.Minute)},
		next,
	)
	e.run2(t, ref)
	require.Equal(t, order.StateFailed, e.refund("R1").State)
	require.Equal(t, "NOTENOUGH", e.refund("R1").Code)
}

// TestAdoptedLeavesNoSubmission: a process that dies while it asks about an adopted refund has sent
// nothing.
func TestAdoptedLeavesNoSubmission(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRejected)
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	e.hint()
	failing := &flakyStore{Store: e.store}
	s, err := refund.NewService(e.machine, failing, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.bank.NextQuery(refundtest.Answer(isNotFound).Before(failing.down))
	_, err = s.Process(bg, o1("R1"))
	require.ErrorIs(t, err, errLost)
	require.Zero(t, e.refund("R1").SubmittedAt)
}

// TestRefusalOfAnEarlierRetry: a refusal arrives late: the refund has failed, was retried, and is
// in the attempt of the same number again. The refusal is not that attempt's.
func TestRefusalOfAnEarlierRetry(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	refusal := refund.Result{Outcome: refund.OutcomeDeclined, Code: "NOTENOUGH"}
	e.bank.NextRefund(refundtest.Answer(refusal).Before(func(context.Context) {
		e.clock.Advance(time.Minute)
		require.Equal(
			t, order.StateApproved, e.process(ref).State,
			"a refusal waits for the quiet period",
		)
		e.clock.Advance(2 * time.Minute)
		require.Equal(t, order.StateFailed, e.process(ref).State)
		_, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, e.process(ref).State)
		require.Equal(t, 1, e.refund("R1").Attempts)
	}), refundtest.Answer(refusal), refundtest.PayWhenAsked())
	require.Equal(t, order.StateApproved, e.process(ref).State)

	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}
