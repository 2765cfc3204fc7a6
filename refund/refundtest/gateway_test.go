package refundtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func ask(number string) refund.Request {
	return refund.Request{
		OrderID: "O1", RefundNo: number, Amount: 30, Total: 100, Reason: "too small",
	}
}

func asked(number string) refund.Request {
	return refund.Request{OrderID: "O1", RefundNo: number, Amount: 30}
}

// TestStepsAnswerAndKeepTheLedger: the table says what each step answers to a refund and to the
// query after it, and what it leaves in the ledger.
func TestStepsAnswerAndKeepTheLedger(t *testing.T) {
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		step          refundtest.Step
		outcome       refund.Outcome
		code          string
		err           error
		state, asking refund.Outcome
		paid          int64
	}{
		"as usual":        {step: refundtest.AsUsual(), outcome: refund.OutcomeSucceeded, state: refund.OutcomeSucceeded, asking: refund.OutcomeSucceeded, paid: 30},
		"pay":             {step: refundtest.Pay(), outcome: refund.OutcomeSucceeded, state: refund.OutcomeSucceeded, asking: refund.OutcomeSucceeded, paid: 30},
		"accept":          {step: refundtest.Accept(), outcome: refund.OutcomeAccepted, state: refund.OutcomeAccepted, asking: refund.OutcomeAccepted},
		"pay when asked":  {step: refundtest.PayWhenAsked(), outcome: refund.OutcomeAccepted, state: refund.OutcomeAccepted, asking: refund.OutcomeSucceeded, paid: 30},
		"close":           {step: refundtest.Close(), outcome: refund.OutcomeClosed, state: refund.OutcomeClosed, asking: refund.OutcomeClosed},
		"abnormal":        {step: refundtest.Abnormal(), outcome: refund.OutcomeAbnormal, state: refund.OutcomeAbnormal, asking: refund.OutcomeAbnormal},
		"decline":         {step: refundtest.Decline("NO"), outcome: refund.OutcomeDeclined, code: "NO", state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
		"answer":          {step: refundtest.Answer(refund.Result{Code: "STRANGE"}), code: "STRANGE", state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
		"fail":            {step: refundtest.Fail(lost), err: lost, state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
		"paid, then lost": {step: refundtest.Pay().ThenFail(lost), err: lost, state: refund.OutcomeSucceeded, asking: refund.OutcomeSucceeded, paid: 30},
		"as usual, lost":  {step: refundtest.AsUsual().ThenFail(lost), err: lost, state: refund.OutcomeSucceeded, asking: refund.OutcomeSucceeded, paid: 30},
		"set-up":          {step: refundtest.Fail(&refund.SetupError{Err: lost}), err: refund.ErrSetup, state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
		"busy":            {step: refundtest.Fail(&refund.BusyError{After: time.Minute, Err: lost}), err: refund.ErrBusy, state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			gw := refundtest.New()
			gw.NextRefund(c.step)
			res, err := gw.Refund(ctx, ask("R1"))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.outcome, res.Outcome)
			require.Equal(t, c.code, res.Code)
			require.Equal(t, c.state, gw.State("R1"))
			res, err = gw.Query(ctx, asked("R1"))
			require.NoError(t, err)
			require.Equal(t, c.asking, res.Outcome)
			require.Equal(t, c.paid, gw.Paid("R1"))
			require.Equal(t, c.paid, gw.PaidTotal("O1"))
			require.Equal(t, "[refund R1 query R1]", fmt.Sprint(gw.Calls()))
			require.Zero(t, gw.Unused())

			fail := []refundtest.Step{refundtest.Fail(nil), refundtest.Pay().ThenFail(nil)}
			for _, s := range fail {
				gw.Next(s)
				_, err = gw.Query(ctx, asked("R1"))
				require.ErrorContains(t, err, "no answer")
			}
		})
	}
}

// TestCallTakesTheFirstStepThatFits: the script is searched in order.
func TestCallTakesTheFirstStepThatFits(t *testing.T) {
	gw := refundtest.New()
	gw.NextQuery(refundtest.Fail(&refund.BusyError{After: time.Second}))
	gw.NextRefund(refundtest.Decline("SECOND").For("R2"), refundtest.Decline("FIRST"),
		refundtest.Accept())
	gw.Next(refundtest.Fail(nil).For("R3"))
	require.Equal(t, 5, gw.Unused())
	answer := func(number string) string {
		res, err := gw.Refund(ctx, ask(number))
		if err != nil {
			return err.Error()
		}
		return string(res.Outcome) + res.Code
	}
	require.Equal(t, "declinedFIRST", answer("R1"))
	require.Equal(t, "declinedSECOND", answer("R2"))
	require.Equal(t, "accepted", answer("R2"))
	require.Equal(t, "succeeded", answer("R1"), "the script has no step for it")
	_, err := gw.Query(ctx, asked("R1"))
	var busy *refund.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, time.Second, busy.After)
	_, err = gw.Query(ctx, asked("R3"))
	require.ErrorContains(t, err, "no answer")
	require.Equal(t, "succeeded", answer("R3"))
	require.Zero(t, gw.Unused())
}

// TestAnswerIsAboutTheCall: zero fields of an answer are filled from the call.
func TestAnswerIsAboutTheCall(t *testing.T) {
	gw := refundtest.New()
	gw.NextQuery(refundtest.Answer(refund.Result{Outcome: refund.OutcomeSucceeded}),
		refundtest.Answer(refund.Result{
			Outcome: refund.OutcomeClosed, RefundNo: "R9", OrderID: "O9", Amount: 9,
		}))
	res, err := gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t,
		refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R1", OrderID: "O1", Amount: 30},
		res)
	res, err = gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t,
		refund.Result{Outcome: refund.OutcomeClosed, RefundNo: "R9", OrderID: "O9", Amount: 9}, res)
	require.Zero(t, gw.Paid("R1"), "an answer pays nothing")
}

// TestByDefaultSetsTheUsualStep: any step can be the default, and AsUsual adds to it.
func TestByDefaultSetsTheUsualStep(t *testing.T) {
	gw := refundtest.New()
	gw.ByDefault(refundtest.Decline("CLOSED_ON_SUNDAYS").Rewrite(func(r *refund.Result) {
		r.Message = "!"
	}))
	held := 0
	count := func(context.Context) { held++ }
	gw.NextRefund(refundtest.AsUsual().Before(count).After(count))
	for range 2 {
		res, err := gw.Refund(ctx, ask("R1"))
		require.NoError(t, err)
		require.Equal(t, refund.Result{
			Outcome: refund.OutcomeDeclined, RefundNo: "R1", OrderID: "O1", Amount: 30,
			Code: "CLOSED_ON_SUNDAYS", Message: "!",
		}, res)
		require.Equal(t, 2, held)
	}
	res, err := gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "it is for Refund only")
	all, err := gw.List(ctx, asked("R1"))
	require.NoError(t, err)
	require.Empty(t, all)
	gw.ByDefault(refundtest.AsUsual().ThenFail(context.DeadlineExceeded).Before(count).After(count))
	_, err = gw.Refund(ctx, ask("R1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 4, held)
	require.EqualValues(t, 30, gw.Paid("R1"))
}

// TestChoose: f chooses the step of a call for which the script has none.
func TestChoose(t *testing.T) {
	gw := refundtest.New()
	gw.Choose(func(c refundtest.Call) refundtest.Step {
		if c.Op == "query" && len(gw.Calls()) < 4 {
			return refundtest.Decline("CHOSEN")
		}
		return refundtest.AsUsual()
	})
	gw.NextQuery(refundtest.Decline("SCRIPT"))
	_, err := gw.Refund(ctx, ask("R1"))
	require.NoError(t, err)
	require.EqualValues(t, 30, gw.Paid("R1"), "as usual")
	for _, code := range []string{"SCRIPT", "CHOSEN", ""} {
		res, err := gw.Query(ctx, asked("R1"))
		require.NoError(t, err)
		require.Equal(t, code, res.Code)
	}
	gw.Choose(nil)
	res, err := gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
}

// TestIgnoreContext: the call continues although its context has ended.
func TestIgnoreContext(t *testing.T) {
	gw := refundtest.New()
	ended, end := context.WithCancel(ctx)
	stop := func(context.Context) { end() }
	gw.NextRefund(refundtest.Pay().Before(stop).After(stop).IgnoreContext())
	res, err := gw.Refund(ended, ask("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
}

// TestRefusalsWithoutAScript: other terms and amounts above the total are declined.
func TestRefusalsWithoutAScript(t *testing.T) {
	gw := refundtest.New()
	pay := func(number, orderID string, amount int64) refund.Result {
		res, err := gw.Refund(ctx, refund.Request{
			OrderID: orderID, RefundNo: number, Amount: amount, Total: 100,
		})
		require.NoError(t, err)
		return res
	}
	require.Equal(t, refund.OutcomeSucceeded, pay("R1", "O1", 60).Outcome)
	require.Equal(t, "OTHER_TERMS", pay("R1", "O1", 61).Code)
	require.Equal(t, "OTHER_TERMS", pay("R1", "O2", 60).Code)
	require.Equal(t, "EXCEEDS_TOTAL", pay("R2", "O1", 41).Code)
	require.Equal(t, "EXCEEDS_TOTAL", pay("R2", "O1", 0).Code)
	require.Equal(t, "EXCEEDS_TOTAL", pay("R2", "O1", -1).Code)
	require.EqualValues(t, 60, gw.PaidTotal("O1"))
	require.NoError(t, gw.End("R1", refund.OutcomeClosed))
	require.Equal(t, refund.OutcomeSucceeded, pay("R2", "O1", 100).Outcome,
		"a closed refund uses nothing of the total")

	gw.NextRefund(refundtest.Close())
	require.Equal(t, "OTHER_TERMS", pay("R2", "O1", 99).Code,
		"a step does not change the terms of a number")
	gw.NextRefund(refundtest.Close())
	require.Equal(t, refund.OutcomeSucceeded, pay("R2", "O1", 100).Outcome,
		"a paid refund stays paid")
}

// TestAcceptedRefundEnds: by End, or by a step of a query.
func TestAcceptedRefundEnds(t *testing.T) {
	gw := refundtest.New()
	gw.ByDefault(refundtest.Accept())
	for _, number := range []string{"R1", "R2", "R3"} {
		_, err := gw.Refund(ctx, ask(number))
		require.NoError(t, err)
	}
	require.NoError(t, gw.End("R1", refund.OutcomeSucceeded))
	require.Equal(t, refund.OutcomeSucceeded, gw.State("R1"))
	require.NoError(t, gw.End("R2", refund.OutcomeAbnormal))
	require.Equal(t, refund.OutcomeAbnormal, gw.State("R2"))
	require.NoError(t, gw.End("R2", refund.OutcomeSucceeded), "a late success")
	require.ErrorContains(t, gw.End("R9", refund.OutcomeClosed), "does not have the number")
	for _, o := range []refund.Outcome{
		refund.OutcomeUnknown, refund.OutcomeAccepted, refund.OutcomeDeclined,
		refund.OutcomeNotFound, "paid",
	} {
		require.ErrorContains(t, gw.End("R1", o), "cannot end as")
	}
	gw.NextQuery(refundtest.Close())
	res, err := gw.Query(ctx, asked("R3"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeClosed, res.Outcome)
	gw.NextQuery(refundtest.Close())
	res, err = gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome, "a paid refund stays paid")
	gw.NextQuery(refundtest.Pay())
	res, err = gw.Query(ctx, asked("R9"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome)
}

// TestSubmittedAgain: a step of the script changes a refund that the provider has. Without one, it
// stays as it is.
func TestSubmittedAgain(t *testing.T) {
	gw := refundtest.New()
	for _, c := range []struct {
		step refundtest.Step
		want refund.Outcome
	}{
		{refundtest.Accept(), refund.OutcomeAccepted},
		{refundtest.AsUsual(), refund.OutcomeAccepted},
		{refundtest.Close(), refund.OutcomeClosed},
		{refundtest.AsUsual(), refund.OutcomeClosed},
		{refundtest.Pay(), refund.OutcomeSucceeded},
	} {
		gw.NextRefund(c.step)
		res, err := gw.Refund(ctx, ask("R1"))
		require.NoError(t, err)
		require.Equal(t, c.want, res.Outcome)
	}
	require.EqualValues(t, 30, gw.PaidTotal("O1"))
}

// TestUntilHoldsACall: Before and After hold a call until it is released or its context ends.
func TestUntilHoldsACall(t *testing.T) {
	gw := refundtest.New()
	arrived, release := make(chan struct{}), make(chan struct{})
	gw.NextRefund(refundtest.Pay().Before(func(ctx context.Context) {
		close(arrived)
		refundtest.Until(release)(ctx)
	}))
	done := make(chan refund.Result)
	go func() { // ends when release is closed
		res, _ := gw.Refund(ctx, ask("R1"))
		done <- res
	}()
	<-arrived
	require.Zero(t, gw.Paid("R1"))
	close(release)
	require.Equal(t, refund.OutcomeSucceeded, (<-done).Outcome)

	for name, c := range map[string]struct {
		step func(func(context.Context)) refundtest.Step
		paid int64
	}{
		"before": {refundtest.Pay().Before, 0},
		"after":  {refundtest.Pay().After, 30},
	} {
		t.Run(name, func(t *testing.T) {
			gw := refundtest.New()
			ending, end := context.WithCancel(ctx)
			gw.NextRefund(c.step(func(ctx context.Context) {
				end()
				refundtest.Until(nil)(ctx)
			}))
			_, err := gw.Refund(ending, ask("R1"))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, c.paid, gw.Paid("R1"))
		})
	}
}

// TestGatewayIsSafeForConcurrentUse: no number pays twice. The race detector checks the rest.
func TestGatewayIsSafeForConcurrentUse(t *testing.T) {
	gw := refundtest.New()
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			gw.ByDefault(refundtest.Accept())
			gw.Next(refundtest.Fail(nil), refundtest.Pay())
			gw.SetLimits(refund.Limits{})
			gw.SetCheck(nil)
			_, _ = gw.Refund(ctx, ask("R1"))
			_, _ = gw.Query(ctx, asked("R1"))
			_, _ = gw.List(ctx, asked("R1"))
			_, _ = gw.Notify("R1", "/")
			_ = gw.End("R1", refund.OutcomeSucceeded)
			_ = gw.Check(ask("R1"))
			_, _, _, _, _ = gw.State("R1"), gw.Calls(), gw.Limits(""), gw.Unused(), gw.PaidTotal("O1")
		}()
	}
	all.Wait()
	require.LessOrEqual(t, gw.PaidTotal("O1"), int64(30))
}
