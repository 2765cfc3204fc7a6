package refundtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func ask(no string) refund.Request {
	return refund.Request{OrderID: "O1", RefundNo: no, Amount: 30, Total: 100, Reason: "too small"}
}

func asked(no string) refund.Request { return refund.Request{OrderID: "O1", RefundNo: no, Amount: 30} }

// TestSteps: what each step answers, to a refund and to the query after it, and what it leaves in the ledger.
func TestSteps(t *testing.T) {
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
		"set-up":          {step: refundtest.SetupFault(), err: refund.ErrSetup, state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
		"busy":            {step: refundtest.Busy(time.Minute), err: refund.ErrBusy, state: refund.OutcomeNotFound, asking: refund.OutcomeNotFound},
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

			for _, s := range []refundtest.Step{refundtest.Fail(nil), refundtest.Pay().ThenFail(nil)} {
				gw.Next(s)
				_, err = gw.Query(ctx, asked("R1"))
				require.ErrorContains(t, err, "no answer")
			}
		})
	}
}

// TestScript: a call takes the first step in line that is for it.
func TestScript(t *testing.T) {
	gw := refundtest.New()
	gw.NextQuery(refundtest.Busy(time.Second))
	gw.NextRefund(refundtest.Decline("SECOND").For("R2"), refundtest.Decline("FIRST"), refundtest.Accept())
	gw.Next(refundtest.Fail(nil).For("R3"))
	require.Equal(t, 5, gw.Unused())
	answer := func(no string) string {
		res, err := gw.Refund(ctx, ask(no))
		if err != nil {
			return err.Error()
		}
		return res.Outcome.String() + res.Code
	}
	require.Equal(t, "declinedFIRST", answer("R1"))
	require.Equal(t, "declinedSECOND", answer("R2"))
	require.Equal(t, "accepted", answer("R2"))
	require.Equal(t, "succeeded", answer("R1"), "nothing is in line for it")
	_, err := gw.Query(ctx, asked("R1"))
	var later *refund.BusyError
	require.ErrorAs(t, err, &later)
	require.Equal(t, time.Second, later.After)
	require.True(t, later.Account)
	_, err = gw.Query(ctx, asked("R3"))
	require.ErrorContains(t, err, "no answer")
	require.Equal(t, "succeeded", answer("R3"))
	require.Zero(t, gw.Unused())
}

// TestAnswer: an answer from the script is about what was asked, unless it says otherwise.
func TestAnswer(t *testing.T) {
	gw := refundtest.New()
	gw.NextQuery(refundtest.Answer(refund.Result{Outcome: refund.OutcomeSucceeded}),
		refundtest.Answer(refund.Result{Outcome: refund.OutcomeClosed, RefundNo: "R9", OrderID: "O9", Amount: 9}))
	res, err := gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R1", OrderID: "O1", Amount: 30}, res)
	res, err = gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.Result{Outcome: refund.OutcomeClosed, RefundNo: "R9", OrderID: "O9", Amount: 9}, res)
	require.Zero(t, gw.Paid("R1"), "whatever was said")
}

// TestByDefault: any step can be what happens without one, and a step as usual adds to it.
func TestByDefault(t *testing.T) {
	gw := refundtest.New()
	gw.ByDefault(refundtest.Decline("CLOSED_ON_SUNDAYS").Rewrite(func(r *refund.Result) { r.Message = "!" }))
	held := 0
	gw.NextRefund(refundtest.AsUsual().Before(func(context.Context) { held++ }).After(func(context.Context) { held++ }))
	for range 2 {
		res, err := gw.Refund(ctx, ask("R1"))
		require.NoError(t, err)
		require.Equal(t, refund.Result{
			Outcome: refund.OutcomeDeclined, RefundNo: "R1", OrderID: "O1", Amount: 30, Code: "CLOSED_ON_SUNDAYS", Message: "!",
		}, res)
		require.Equal(t, 2, held)
	}
	gw.ByDefault(refundtest.AsUsual().ThenFail(context.DeadlineExceeded).Before(func(context.Context) { held++ }).
		After(func(context.Context) { held++ }))
	_, err := gw.Refund(ctx, ask("R1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 4, held)
	require.EqualValues(t, 30, gw.Paid("R1"))
}

// TestRefusals: what a provider refuses without a script.
func TestRefusals(t *testing.T) {
	gw := refundtest.New()
	pay := func(no string, orderID string, amount int64) refund.Result {
		res, err := gw.Refund(ctx, refund.Request{OrderID: orderID, RefundNo: no, Amount: amount, Total: 100})
		require.NoError(t, err)
		return res
	}
	require.Equal(t, refund.OutcomeSucceeded, pay("R1", "O1", 60).Outcome)
	require.Equal(t, refundtest.CodeOtherTerms, pay("R1", "O1", 61).Code)
	require.Equal(t, refundtest.CodeOtherTerms, pay("R1", "O2", 60).Code)
	require.Equal(t, refundtest.CodeExceedsTotal, pay("R2", "O1", 41).Code)
	require.Equal(t, refundtest.CodeExceedsTotal, pay("R2", "O1", 0).Code)
	require.Equal(t, refundtest.CodeExceedsTotal, pay("R2", "O1", -1).Code)
	require.EqualValues(t, 60, gw.PaidTotal("O1"))
	require.NoError(t, gw.End("R1", refund.OutcomeClosed))
	require.Equal(t, refund.OutcomeSucceeded, pay("R2", "O1", 100).Outcome, "what is closed took nothing")

	gw.NextRefund(refundtest.Close())
	require.Equal(t, refundtest.CodeOtherTerms, pay("R2", "O1", 99).Code, "a step does not open a number to other terms")
	gw.NextRefund(refundtest.Close())
	require.Equal(t, refund.OutcomeSucceeded, pay("R2", "O1", 100).Outcome, "what is paid stays paid")
}

// TestEnds: a refund on its way is ended by the test, or between two queries.
func TestEnds(t *testing.T) {
	gw := refundtest.New()
	gw.ByDefault(refundtest.Accept())
	for _, no := range []string{"R1", "R2", "R3"} {
		_, err := gw.Refund(ctx, ask(no))
		require.NoError(t, err)
	}
	gw.Settle("R1")
	gw.Settle("R9") // there is none
	require.Equal(t, refund.OutcomeSucceeded, gw.State("R1"))
	require.NoError(t, gw.End("R2", refund.OutcomeAbnormal))
	gw.Settle("R2")
	require.Equal(t, refund.OutcomeAbnormal, gw.State("R2"), "it is not on its way any more")
	require.NoError(t, gw.End("R2", refund.OutcomeSucceeded), "but may still arrive")
	require.ErrorContains(t, gw.End("R9", refund.OutcomeClosed), "none of that number")
	for o := refund.OutcomeUnknown; o <= refund.OutcomeNotFound+1; o++ {
		switch o { //nolint:exhaustive // the ends
		case refund.OutcomeSucceeded, refund.OutcomeClosed, refund.OutcomeAbnormal:
		default:
			require.ErrorContains(t, gw.End("R1", o), "is no end")
		}
	}
	gw.NextQuery(refundtest.Close())
	res, err := gw.Query(ctx, asked("R3"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeClosed, res.Outcome)
	gw.NextQuery(refundtest.Close())
	res, err = gw.Query(ctx, asked("R1"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome, "what is paid stays paid")
	gw.NextQuery(refundtest.Pay())
	res, err = gw.Query(ctx, asked("R9"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome)
}

// TestHeld: a call is held until it is let go or its context ends, before or after it is carried out.
func TestHeld(t *testing.T) {
	gw := refundtest.New()
	arrived, release := make(chan struct{}), make(chan struct{})
	gw.NextRefund(refundtest.Pay().Before(func(ctx context.Context) {
		close(arrived)
		refundtest.Until(release)(ctx)
	}))
	done := make(chan refund.Result)
	go func() { // ends when it is released
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

// TestList: the ledger of one order, with what was made in the console.
func TestList(t *testing.T) {
	gw := refundtest.New()
	_, err := gw.Refund(ctx, ask("R2"))
	require.NoError(t, err)
	require.NoError(t, gw.RefundInConsole("O1", "C1", 20))
	require.NoError(t, gw.RefundInConsole("O2", "C2", 20))
	require.ErrorContains(t, gw.RefundInConsole("O2", "C1", 20), "taken")
	all, err := gw.List(ctx, refund.Request{OrderID: "O1"})
	require.NoError(t, err)
	require.Equal(t, []refund.Result{
		{Outcome: refund.OutcomeSucceeded, RefundNo: "C1", OrderID: "O1", Amount: 20, ProviderRefundID: "provider-C1"},
		{Outcome: refund.OutcomeSucceeded, RefundNo: "R2", OrderID: "O1", Amount: 30, ProviderRefundID: "provider-R2"},
	}, all)
	require.Equal(t, "[refund R2 list O1]", fmt.Sprint(gw.Calls()))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = gw.List(ended, refund.Request{OrderID: "O1"})
	require.ErrorIs(t, err, context.Canceled)
}

// TestThroughTheService: limits, checks and notifications are found, also behind Gateways.
func TestThroughTheService(t *testing.T) {
	gw, clock := refundtest.New(), newClock()
	gw.SetLimits(refund.Limits{MaxRefunds: 2})
	gw.SetCheck(func(req refund.Request) error {
		if strings.HasPrefix(req.RefundNo, "X") {
			return &order.InvalidError{Field: "refund_no", Problem: "begins with X"}
		}
		return nil
	})
	gateways, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": gw})
	require.NoError(t, err)
	svc := newShop(gateways, clock.Now)
	more := func(no string) error {
		_, err := svc.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: no}, Amount: 1, Actor: "buyer:42"})
		return err
	}
	require.ErrorIs(t, more("X1"), refund.ErrInvalid)
	require.NoError(t, more("R2"))
	require.ErrorIs(t, more("R3"), refund.ErrLimit)

	gw.ByDefault(refundtest.Accept())
	_, err = svc.ApproveAndSend(ctx, yes)
	require.NoError(t, err)
	h, err := svc.NotificationHandler("bank")
	require.NoError(t, err)
	post := func(r *http.Request, err error) int {
		require.NoError(t, err)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	forged := refund.Notification{Gateway: "other", Result: refund.Result{
		Outcome: refund.OutcomeSucceeded, OrderID: "ORDER-1", RefundNo: "R1", Amount: 3000,
	}}
	require.Equal(t, http.StatusNoContent, post(refundtest.Forge(forged, "/")))
	require.Equal(t, order.StateApproved, state(t, svc), "it is a hint, and the provider is asked")
	forged.Result.Amount = 1
	require.Equal(t, http.StatusInternalServerError, post(refundtest.Forge(forged, "/")))
	require.Equal(t, http.StatusInternalServerError, post(http.NewRequest(http.MethodPost, "/", strings.NewReader("<xml>"))))
	gw.Settle("R1")
	require.Equal(t, http.StatusNoContent, post(gw.Notify("R1", "https://shop.example/notify")))
	require.Equal(t, order.StateRefunded, state(t, svc))

	_, err = gw.Notify("R9", "/")
	require.ErrorContains(t, err, "none of that number")
	_, err = gw.Notify("R1", "://")
	require.ErrorContains(t, err, "notify of refund R1")
	_, err = refundtest.Forge(refund.Notification{Result: refund.Result{RefundedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, "/")
	require.ErrorContains(t, err, "notify of refund")
}

func state(t *testing.T, svc *refund.Service) order.State {
	t.Helper()
	o, err := svc.Order(ctx, "ORDER-1")
	require.NoError(t, err)
	return o.Refund("R1").State
}

// TestTogether: everything at once, for the race detector; and still no number pays twice.
func TestTogether(t *testing.T) {
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
			gw.Settle("R1")
			_ = gw.Check(ask("R1"))
			_, _, _, _, _ = gw.State("R1"), gw.Calls(), gw.Limits(""), gw.Unused(), gw.PaidTotal("O1")
		}()
	}
	all.Wait()
	require.LessOrEqual(t, gw.PaidTotal("O1"), int64(30))
}
