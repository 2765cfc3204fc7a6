package refund_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
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
	require.Equal(t, "bank-R1", e.refund("R1").ProviderRefundID)

	require.Equal(t, next, e.process(ref), "not due: nothing is asked")
	e.clock.Advance(time.Minute)
	next = e.process(ref)
	require.Equal(t, refund.ProcessResult{State: order.StateRefunded}, next)
	require.Equal(t, []string{"refund R1", "query R1"}, e.bank.called())
	require.Equal(t, order.StateRefunded, e.order().State)

	require.Equal(
		t, refund.ProcessResult{State: order.StateRefunded}, e.process(ref),
		"processing again does nothing",
	)
	require.Len(t, e.bank.called(), 2)
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
	nameless := refund.Result{Outcome: refund.OutcomeSucceeded}
	for name, script := range map[string][]fault{
		"time-out, then success":    {{op: "refund", err: context.DeadlineExceeded, pay: true}},
		"lost before, then success": {{op: "refund", err: errLost}},
		"error on every call once": {
			{op: "refund", err: errLost, pay: true}, {op: "query", err: errLost},
		},
		"three errors without paying": {
			{op: "refund", err: errLost}, {op: "query", err: errLost}, {op: "query", err: errLost},
		},
		"no outcome": {{op: "refund", res: unknown, pay: true}},
		"outcome nobody knows": {
			{op: "refund", res: strange, pay: true}, {op: "query", res: strange},
		},
		"not found as a submission": {{
			op: "refund", res: refund.Result{Outcome: refund.OutcomeNotFound}, pay: true,
		}},
		"answer names another refund": {{op: "refund", res: other, pay: true, asIs: true}},
		"answer has another amount":   {{op: "refund", res: amount, pay: true, asIs: true}},
		"answer names another order":  {{op: "refund", res: foreign, pay: true, asIs: true}},
		"success that names nothing":  {{op: "refund", res: nameless, pay: true, asIs: true}},
		"panic after paying": {
			{op: "refund", panics: true, pay: true}, {op: "query", panics: true},
		},
		"set-up fault": {{op: "refund", err: &refund.SetupError{Err: errLost}}},
		"busy": {{
			op: "refund", err: &refund.BusyError{After: time.Hour, Err: errLost},
		}},
		"not found while in flight": {
			{op: "refund", err: errLost, pay: true},
			{op: "query", res: refund.Result{Outcome: refund.OutcomeNotFound}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.bank.next(script...)
			ref := e.approved("R1", 4000)
			next := e.process(ref)
			require.Equal(t, order.StateApproved, next.State)
			require.Error(t, next.Err)
			e.run()
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.NotContains(t, e.events("R1"), "fail approved>failed")
			require.EqualValues(t, 4000, e.bank.paid("O1"))
			require.EqualValues(t, 4000, e.order().Refunded)
		})
	}
}

func TestMismatchIsADiscrepancy(t *testing.T) {
	e := newEnv(t)
	e.bank.next(fault{
		op: "refund", asIs: true,
		res: refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R9", Amount: 4000},
	})
	next := e.process(e.approved("R1", 4000))
	require.ErrorIs(t, next.Err, refund.ErrMismatch)
	require.Len(t, e.discrepancies, 1)
	require.ErrorIs(t, e.discrepancies[0].Err, refund.ErrMismatch)
}

func TestDeclinedFails(t *testing.T) {
	e := newEnv(t)
	e.bank.next(fault{op: "refund", res: declined("NOTENOUGH")})
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
	require.Equal(t, []string{"refund R1", "refund R1", "query R1"}, e.bank.called())
	require.EqualValues(t, 4000, e.bank.paid("O1"))
}

// TestDeclinedAfterUnknownNeedsProof: the first attempt may have taken the money that the second
// one lacks.
func TestDeclinedAfterUnknownNeedsProof(t *testing.T) {
	notFound := refund.Result{Outcome: refund.OutcomeNotFound}
	t.Run("the first attempt had paid", func(t *testing.T) {
		e := newEnv(t)
		e.bank.next(
			fault{op: "refund", err: errLost, pay: true},
			fault{op: "query", res: notFound}, // not visible yet
			fault{op: "refund", res: declined("NOTENOUGH")},
		)
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
		e.bank.next(
			fault{op: "refund", err: errLost},
			fault{op: "refund", res: declined("NOTENOUGH")},
			fault{op: "query", res: notFound},
			fault{op: "query", err: errLost}, // the first check after the quiet period is lost too
		)
		e.run2(t, e.approved("R1", 4000))
		r := e.refund("R1")
		require.Equal(t, order.StateFailed, r.State)
		require.Equal(t, "NOTENOUGH", r.Code)
		require.Zero(t, e.bank.paid("O1"))
		require.Equal(t, []string{
			"refund R1", "query R1", "refund R1", "query R1", "query R1",
		}, e.bank.called(),
			"nothing is submitted while the refusal waits")
	})
	t.Run("the process died in its first attempt", func(t *testing.T) {
		e := newEnv(t)
		e.bank.next(
			fault{op: "refund", panics: true, pay: true},
			fault{op: "query", res: notFound},
			fault{op: "refund", res: declined("ERROR")},
		)
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
	e.bank.set("R1", refund.OutcomeAbnormal)
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
	e.bank.set("R2", refund.OutcomeClosed)
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
			dying := e.service(
				dieOn{e.bank, func() { cancel() }, nil}, refund.Options{Now: e.clock.Now},
			)
			_, err := dying.Process(ctx, ref)
			require.NoError(e.t, err)
		}},
		{"after the provider paid, before the record", func(e *env, ref refund.Ref) {
			// The store fails once the call has been made.
			failing := &flakyStore{Store: e.store}
			s, err := refund.NewService(e.machine, failing, dieOn{
				e.bank, nil, func() { failing.fail(errLost) },
			},
				refund.Options{Now: e.clock.Now})
			require.NoError(e.t, err)
			_, err = s.Process(bg, ref)
			require.ErrorIs(e.t, err, errLost)
			require.False(e.t, e.refund("R1").LeasedUntil.IsZero(), "the lease is left behind")
			require.EqualValues(e.t, 4000, e.bank.paid("O1"))
		}},
		{"panic in the gateway after it paid", func(e *env, ref refund.Ref) {
			e.bank.next(fault{op: "refund", pay: true, panics: true})
			require.Error(e.t, e.process(ref).Err)
		}},
		{"the caller goes away during the call", func(e *env, ref refund.Ref) {
			ctx, cancel := context.WithCancel(bg)
			e.bank.next(fault{
				op: "refund", pay: true, err: context.Canceled,
				block: func(context.Context) { cancel() },
			})
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
			require.EqualValues(t, 4000, e.bank.paid("O1"))
			require.Equal(t, []string{
				"request_refund paid>refund_requested", "approve refund_requested>approved",
				"settle approved>refunded",
			}, e.events("R1"))
		})
	}
}

// dieOn calls before and after round each submission.
type dieOn struct {
	refund.RefundGateway
	before, after func()
}

func (d dieOn) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	if d.before != nil {
		d.before()
	}
	res, err := d.RefundGateway.Refund(ctx, req)
	if d.after != nil {
		d.after()
	}
	return res, err
}

func TestOneCallAtATime(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	other := e.approved("R2", 6000)
	var inside [2]refund.ProcessResult
	e.bank.next(fault{op: "refund", number: "R1", pay: true, res: refund.Result{
		Outcome: refund.OutcomeAccepted,
	}, block: func(context.Context) {
		inside[0] = e.process(ref)
		inside[1] = e.process(other)
	}})
	e.process(ref)
	lease := e.clock.Now().Add(time.Minute)
	require.Equal(t, [2]refund.ProcessResult{
		{State: order.StateApproved, At: lease}, {State: order.StateApproved, At: lease},
	}, inside,
		"while one call is under way, neither the refund nor another one of the order is sent")
	require.Equal(t, []string{"refund R1"}, e.bank.called())
	e.process(other)
	require.Equal(t, []string{"refund R1", "refund R2"}, e.bank.called())
}

// TestLateAnswerOfAnOldAttempt: an attempt that outlives its lease must not undo what a newer one
// recorded.
func TestLateAnswerOfAnOldAttempt(t *testing.T) {
	for name, late := range map[string]fault{
		"declined": {op: "refund", res: declined("NOTENOUGH")},
		"error":    {op: "refund", err: errLost},
		"accepted": {op: "refund", res: refund.Result{Outcome: refund.OutcomeAccepted}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 4000)
			late.block = func(context.Context) {
				e.clock.Advance(2 * time.Minute) // the lease runs out while we wait
				require.Equal(t, order.StateApproved, e.process(ref).State)
			}
			e.bank.next(late)
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
			require.EqualValues(t, 4000, e.bank.paid("O1"))
		})
	}
}

func TestStuckIsReportedAndNeverDecided(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	require.Empty(t, e.stuck)
	for day := 1; day <= 400; day++ {
		e.bank.next(fault{op: "query", res: refund.Result{Outcome: refund.OutcomeAccepted}})
		e.clock.Advance(24 * time.Hour)
		require.Equal(t, order.StateApproved, e.process(ref).State)
		require.Len(t, e.stuck, day)
	}
	require.Equal(t, "R1", e.stuck[0].RefundNo)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}
