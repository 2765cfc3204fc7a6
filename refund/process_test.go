package refund_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var errLost = errors.New("connection reset")

func declined(code string) refund.Result {
	return refund.Result{Outcome: refund.OutcomeDeclined, Code: code, Message: "no"}
}

func TestProcessReachesRefunded(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 10000)

	next := e.process(ref)
	require.Equal(t, order.StateApproved, next.State, "accepted is not refunded")
	require.Equal(t, e.clock.Now().Add(time.Minute), next.At)
	require.NoError(t, next.Err)
	require.Equal(t, "provider-R1", e.refund("R1").ProviderRefundID)

	require.Equal(t, next, e.process(ref), "not due: nothing is asked")
	e.clock.Advance(time.Minute)
	next = e.process(ref)
	require.Equal(t, refund.ProcessResult{State: order.StateRefunded}, next)
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank))
	require.Equal(t, order.StateRefunded, e.order().State)

	require.Equal(
		t, refund.ProcessResult{State: order.StateRefunded}, e.process(ref),
		"processing again does nothing",
	)
	require.Len(t, called(e.bank), 2)
}

// TestDoubtNeverFails: without a clear answer the refund stays approved, and in the end the buyer
// has the money once.
func TestDoubtNeverFails(t *testing.T) {
	unknown := refund.Result{}
	strange := refund.Result{Outcome: refund.Outcome("paid")}
	other := refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R2", Amount: 4000}
	amount := refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R1", Amount: 1}
	foreign := refund.Result{
		Outcome: refund.OutcomeSucceeded, RefundNo: "R1", Amount: 4000, OrderID: "O2",
	}
	pay, fail := refundtest.PayWhenAsked(), refundtest.Fail(errLost)
	for name, script := range map[string][]refundtest.Step{
		"time-out, then success":      {pay.ThenFail(context.DeadlineExceeded)},
		"lost before, then success":   {fail},
		"error on every call once":    {pay.ThenFail(errLost), fail},
		"three errors without paying": {fail, fail, fail},
		"no outcome":                  {exactly(pay, unknown)},
		"outcome nobody knows":        {exactly(pay, strange), refundtest.Answer(strange)},
		"not found as a submission":   {exactly(pay, isNotFound)},
		"answer names another refund": {exactly(pay, other)},
		"answer has another amount":   {exactly(pay, amount)},
		"answer names another order":  {exactly(pay, foreign)},
		"success that names nothing":  {exactly(pay, isPaid)},
		"panic after paying":          {pay.After(panics), refundtest.AsUsual().After(panics)},
		"set-up fault":                {refundtest.Fail(&refund.SetupError{Err: errLost})},
		"busy": {
			refundtest.Fail(&refund.BusyError{After: time.Hour, Err: errLost}),
		},
		"not found while in flight": {pay.ThenFail(errLost), refundtest.Answer(isNotFound)},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.bank.Next(script...)
			ref := e.approved("R1", 4000)
			next := e.process(ref)
			require.Equal(t, order.StateApproved, next.State)
			require.Error(t, next.Err)
			e.run()
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.NotContains(t, e.events("R1"), "fail approved>failed")
			require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
			require.EqualValues(t, 4000, e.order().Refunded)
		})
	}
}

func TestMismatchIsADiscrepancy(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.Answer(refund.Result{
		Outcome: refund.OutcomeSucceeded, RefundNo: "R9",
	}))
	next := e.process(e.approved("R1", 4000))
	require.ErrorIs(t, next.Err, refund.ErrMismatch)
	require.Len(t, e.discrepancies, 1)
	require.ErrorIs(t, e.discrepancies[0].Err, refund.ErrMismatch)
}

func TestDeclinedFails(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	ref := e.approved("R1", 4000)
	require.Equal(t, refund.ProcessResult{State: order.StateFailed}, e.process(ref))
	r := e.refund("R1")
	require.Equal(t, "NOTENOUGH", r.Code)
	require.EqualValues(
		t, 4000, e.order().Reserved, "a failed refund may be retried: it keeps its amount",
	)

	// Topped up: the same number is sent again, without a query first, and pays.
	_, err := e.svc.Retry(bg, refund.RetryParams{Ref: o1("R1"), Actor: seller})
	require.NoError(t, err)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.Equal(t, []string{"refund R1", "refund R1", "query R1"}, called(e.bank))
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

// TestDeclinedAfterUnknownNeedsProof: the first attempt may have taken the money that the second
// one lacks.
func TestDeclinedAfterUnknownNeedsProof(t *testing.T) {
	t.Run("the first attempt had paid", func(t *testing.T) {
		e := newEnv(t)
		e.bank.NextRefund(
			refundtest.PayWhenAsked().ThenFail(errLost), refundtest.Decline("NOTENOUGH"),
		)
		e.bank.NextQuery(refundtest.Answer(isNotFound)) // not visible yet
		ref := e.approved("R1", 4000)
		e.process(ref)
		e.clock.Advance(time.Minute)
		next := e.process(ref)
		require.Equal(t, order.StateApproved, next.State, "the refusal is not booked yet")
		require.Equal(
			t, e.clock.Now().Add(2*time.Minute), next.At, "asked again after the quiet period",
		)
		e.run()
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
		require.NotContains(t, e.events("R1"), "fail approved>failed")
	})
	t.Run("it had not", func(t *testing.T) {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
		e.bank.NextQuery(
			refundtest.Answer(isNotFound),
			refundtest.Fail(errLost), // the first check after the quiet period is lost too
		)
		e.run2(t, e.approved("R1", 4000))
		r := e.refund("R1")
		require.Equal(t, order.StateFailed, r.State)
		require.Equal(t, "NOTENOUGH", r.Code)
		require.Equal(t, refund.OutcomeNotFound, e.bank.State("R1"))
		require.Equal(t, []string{
			"refund R1", "query R1", "refund R1", "query R1", "query R1",
		}, called(e.bank),
			"nothing is submitted while the refusal waits")
	})
	t.Run("the process died in its first attempt", func(t *testing.T) {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.AsUsual().After(panics), refundtest.Decline("ERROR"))
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		e.run2(t, e.approved("R1", 4000))
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
	})
}

// run2 is run that does not insist on an end without failure.
func (e *env) run2(t *testing.T, ref refund.Ref) {
	t.Helper()
	for range 20 {
		next := e.process(ref)
		if next.At.IsZero() {
			return
		}
		e.clock.Advance(next.At.Sub(e.clock.Now()))
	}
	t.Fatal("no end")
}

func TestClosedAndAbnormal(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.end("R1", refund.OutcomeAbnormal)
	e.clock.Advance(time.Minute)
	require.Equal(t, refund.ProcessResult{State: order.StateAbnormal}, e.process(ref))
	require.EqualValues(t, 4000, e.order().Reserved)

	r, err := e.svc.Resolve(bg, refund.ResolveParams{
		Ref: o1("R1"), Resolution: refund.ResolutionPaid, Evidence: "transfer 77", Actor: seller,
	})
	require.NoError(t, err)
	require.Equal(t, order.StateRefunded, r.State)

	ref = e.approved("R2", 1000)
	e.process(ref)
	e.end("R2", refund.OutcomeClosed)
	e.clock.Advance(time.Minute)
	require.Equal(t, refund.ProcessResult{State: order.StateFailed}, e.process(ref))
}

// TestProcessCanDieAtEveryStep: another process goes on.
func TestProcessCanDieAtEveryStep(t *testing.T) {
	for _, tc := range []struct {
		name string
		die  func(e *env, ref refund.Ref) // one Process, which dies
	}{
		{"before the lease", func(e *env, ref refund.Ref) {
			ctx, cancel := context.WithCancel(bg)
			cancel()
			_, err := e.svc.Process(ctx, ref)
			require.ErrorIs(e.t, err, context.Canceled)
			require.Zero(e.t, e.refund("R1").Attempts)
		}},
		{"after the lease, before the call", func(e *env, ref refund.Ref) {
			ctx, cancel := context.WithCancel(bg)
			e.bank.NextRefund(refundtest.AsUsual().Before(func(context.Context) { cancel() }))
			_, err := e.svc.Process(ctx, ref)
			require.NoError(e.t, err)
		}},
		{"after the provider paid, before the record", func(e *env, ref refund.Ref) {
			// The store fails once the call has been made.
			failing := &flakyStore{Store: e.store}
			s, err := refund.NewService(
				e.machine, failing, e.bank, refund.Options{Now: e.clock.Now},
			)
			require.NoError(e.t, err)
			e.bank.NextRefund(refundtest.Pay().After(failing.down))
			_, err = s.Process(bg, ref)
			require.ErrorIs(e.t, err, errLost)
			require.False(e.t, e.refund("R1").LeasedUntil.IsZero(), "the lease is left behind")
			require.EqualValues(e.t, 4000, e.bank.PaidTotal("O1"))
		}},
		{"panic in the gateway after it paid", func(e *env, ref refund.Ref) {
			e.bank.NextRefund(refundtest.AsUsual().After(panics))
			require.Error(e.t, e.process(ref).Err)
		}},
		{"the caller goes away during the call", func(e *env, ref refund.Ref) {
			ctx, cancel := context.WithCancel(bg)
			e.bank.NextRefund(refundtest.AsUsual().After(func(context.Context) { cancel() }))
			next, err := e.svc.Process(ctx, ref)
			require.NoError(e.t, err, "the answer is recorded all the same")
			require.Equal(e.t, order.StateApproved, next.State)
			require.True(e.t, e.refund("R1").LeasedUntil.IsZero())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			tc.die(e, ref)
			require.Equal(t, order.StateApproved, e.refund("R1").State)
			e.run()
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
			require.Equal(t, []string{
				"request_refund paid>refund_requested", "approve refund_requested>approved",
				"settle approved>refunded",
			}, e.events("R1"))
		})
	}
}

func TestOneCallAtATime(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	other := e.approved("R2", 6000)
	var inside [2]refund.ProcessResult
	e.bank.NextRefund(refundtest.PayWhenAsked().Before(func(context.Context) {
		inside[0] = e.process(ref)
		inside[1] = e.process(other)
	}).For("R1"))
	e.process(ref)
	lease := e.clock.Now().Add(time.Minute)
	require.Equal(t, [2]refund.ProcessResult{
		{State: order.StateApproved, At: lease}, {State: order.StateApproved, At: lease},
	}, inside,
		"while one call is under way, neither the refund nor another one of the order is sent")
	require.Equal(t, []string{"refund R1"}, called(e.bank))
	e.process(other)
	require.Equal(t, []string{"refund R1", "refund R2"}, called(e.bank))
}

// TestLateAnswerOfAnOldAttempt: an attempt that outlives its lease must not undo what a newer one
// recorded.
func TestLateAnswerOfAnOldAttempt(t *testing.T) {
	for name, late := range map[string]refundtest.Step{
		"declined": refundtest.Decline("NOTENOUGH"),
		"error":    refundtest.Fail(errLost),
		"accepted": refundtest.Answer(isAccepted),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			e.bank.NextRefund(late.Before(func(context.Context) {
				e.clock.Advance(2 * time.Minute) // the lease runs out while we wait
				require.Equal(t, order.StateApproved, e.process(ref).State)
			}))
			require.Equal(t, order.StateApproved, e.process(ref).State, "the state as it is now")
			r := e.refund("R1")
			require.Equal(t, order.StateApproved, r.State)
			require.Equal(t, 2, r.Attempts)
			require.Equal(
				t, e.clock.Now().Add(time.Minute), r.NextAttemptAt,
				"the newer attempt's schedule stands",
			)
			e.run()
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
		})
	}
}

func TestStuckIsReportedAndNeverDecided(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	require.Empty(t, e.stuck)
	for day := 1; day <= 400; day++ {
		e.bank.NextQuery(refundtest.Answer(isAccepted))
		e.clock.Advance(24 * time.Hour)
		require.Equal(t, order.StateApproved, e.process(ref).State)
		require.Len(t, e.stuck, day)
	}
	require.Equal(t, "R1", e.stuck[0].RefundNo)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}
