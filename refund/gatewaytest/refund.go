package gatewaytest

import (
	"context"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
)

func refundThenQuery(t tb, e *env) {
	req := e.order()
	e.submit(t, req)
	e.requirePaid(t, req)
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
	e.requirePaid(t, req) // a query changes nothing
}

func repeatedRefundPaysOnce(t tb, e *env) {
	req := e.order()
	id := e.submit(t, req).ProviderRefundID
	for range 4 {
		require.Equal(t, id, e.submit(t, req).ProviderRefundID, "it is the same refund")
	}
	e.requirePaid(t, req)
	e.submit(t, req) // also after it has ended
	e.requirePaid(t, req)
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
}

const callers = 16

// answer is the answer to one of several callers.
type answer struct {
	res refund.Result
	err error
}

// refundAll calls Refund for all requests at once.
func (e *env) refundAll(reqs []refund.Request) []answer {
	ctx, cancel := e.limit()
	defer cancel()
	answers := make([]answer, len(reqs))
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range reqs {
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			answers[i].res, answers[i].err = e.gateway.Refund(ctx, reqs[i])
		}()
	}
	close(start)
	done.Wait()
	return answers
}

// requireNotRefused requires that one of several callers got an error or that the refund is
// accepted.
func (e *env) requireNotRefused(t tb, req refund.Request, a answer) {
	t.Helper()
	if a.err != nil {
		return // the provider may be too busy for all of them
	}
	e.requireSound(t, req, a.res)
	accepted := []refund.Outcome{refund.OutcomeAccepted, refund.OutcomeSucceeded}
	require.Contains(t, accepted, a.res.Outcome,
		"got %s, code %q", a.res.Outcome, a.res.Code)
}

func concurrentRefundPaysOnce(t tb, e *env) {
	req := e.order()
	reqs := make([]refund.Request, callers)
	for i := range reqs {
		reqs[i] = req
	}
	for _, a := range e.refundAll(reqs) {
		e.requireNotRefused(t, req, a)
	}
	e.resume(t, req)
}

func concurrentCallsDoNotMix(t tb, e *env) {
	reqs := make([]refund.Request, callers)
	for i := range reqs {
		reqs[i] = e.order()
		reqs[i].RefundNo += fmt.Sprintf("-%d", i)
		reqs[i].Amount += int64(i)
	}
	for i, a := range e.refundAll(reqs) {
		e.requireNotRefused(t, reqs[i], a)
	}
	for _, req := range reqs {
		e.resume(t, req)
	}
}

func partialRefundsAddUp(t tb, e *env) {
	first := e.order()
	second := another(first)
	second.Amount = total - amount
	one := e.submit(t, first)
	e.requirePaid(t, first)
	two := e.submit(t, second)
	e.requirePaid(t, second)
	if one.ProviderRefundID != "" {
		require.NotEqual(t, one.ProviderRefundID, two.ProviderRefundID, "they are two refunds")
	}
	require.EqualValues(t, total, e.provider.PaidTotal(first.OrderID))
}

func overRefundPaysNothing(t tb, e *env) {
	first := e.order()
	second := another(first)
	second.Amount = total - amount + 1
	e.submit(t, first)
	e.requirePaid(t, first)
	res, err := e.refund(t, second)
	if err == nil {
		require.Equal(t, refund.OutcomeDeclined, res.Outcome,
			"more than the rest of the total must be declined")
	}
	e.requireUnpaid(t, second)
	e.requireNotHeld(t, second)
	require.EqualValues(t, amount, e.provider.PaidTotal(first.OrderID))
}

// requireNotHeld requires that a query does not report a refused refund as accepted or paid.
func (e *env) requireNotHeld(t tb, req refund.Request) {
	t.Helper()
	res, err := e.query(t, req)
	if err == nil {
		ended := []refund.Outcome{
			refund.OutcomeNotFound, refund.OutcomeDeclined, refund.OutcomeClosed,
		}
		require.Contains(t, ended, res.Outcome,
			"got %s of a refund that was refused", res.Outcome)
	}
}

func otherAmountPaysNothing(t tb, e *env) {
	req := e.order()
	e.submit(t, req)
	e.requirePaid(t, req)
	more := req
	more.Amount++
	ctx, cancel := e.limit()
	defer cancel()
	res, err := e.gateway.Refund(ctx, more)
	unknown := err != nil || mismatch(more, res)
	require.True(t, unknown || res.Outcome == refund.OutcomeDeclined,
		"got %+v for another amount", res)
	e.provider.Settle(req.RefundNo)
	require.EqualValues(t, amount, e.provider.Paid(req.RefundNo), "the first amount is unchanged")
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
}

func declinedIsAResult(t tb, e *env) {
	req := e.order()
	e.next(t, FaultDecline)
	res, err := e.refund(t, req)
	require.NoError(t, err, "a refusal is a result")
	require.Equal(t, refund.OutcomeDeclined, res.Outcome)
	e.requireUnpaid(t, req)
	e.requireNotHeld(t, req)
	e.submit(t, req) // the reason has gone: the same number pays
	e.requirePaid(t, req)
}

// requireError breaks the next call and requires that Refund returns an error.
func (e *env) requireError(t tb, f Fault, req refund.Request) {
	t.Helper()
	e.next(t, f)
	res, err := e.refund(t, req)
	require.Error(t, err, "got %s although the provider did %s: the outcome is unknown",
		res.Outcome, f)
}

func lostAnswerIsUnknown(t tb, e *env) {
	req := e.order()
	e.requireError(t, FaultLoseAnswer, req)
	e.requirePaid(t, req) // a query finds it
	e.submit(t, req)
	e.requirePaid(t, req)

	second := another(req) // submitted again at once, without a query
	e.requireError(t, FaultLoseAnswer, second)
	e.submit(t, second)
	e.requirePaid(t, second)
	require.EqualValues(t, 2*amount, e.provider.PaidTotal(req.OrderID))
}

func lostConnectionIsUnknown(t tb, e *env) {
	req := e.order()
	e.requireError(t, FaultFailBefore, req)
	e.requireUnpaid(t, req)
	res, err := e.query(t, req)
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "the provider has never seen it")
	e.resume(t, req)
}

func garbageIsUnknown(t tb, e *env) {
	req := e.order()
	e.requireError(t, FaultGarbage, req)
	e.resume(t, req)
}

// requireMismatch breaks the next call and requires an error, or an answer that the Service
// refuses.
func (e *env) requireMismatch(
	t tb, f Fault, req refund.Request, call func(context.Context) (refund.Result, error),
) {
	t.Helper()
	e.next(t, f)
	ctx, cancel := e.limit()
	defer cancel()
	res, err := call(ctx)
	require.True(t, err != nil || mismatch(req, res),
		"the provider did %s, and the gateway returned %+v", f, res)
}

func (e *env) requireRefundMismatch(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.requireMismatch(t, f, req,
		func(ctx context.Context) (refund.Result, error) { return e.gateway.Refund(ctx, req) })
	e.resume(t, req)
}

func answerAboutAnotherRefund(t tb, e *env) { e.requireRefundMismatch(t, FaultOtherRefund) }

func answerWithAnotherAmount(t tb, e *env) { e.requireRefundMismatch(t, FaultOtherAmount) }

// requireEnd requires that the gateway reports a refund that the provider ends without payment to
// the buyer.
func (e *env) requireEnd(t tb, f Fault, want refund.Outcome) refund.Request {
	t.Helper()
	req := e.order()
	e.next(t, f)
	res, err := e.refund(t, req)
	require.NoError(t, err)
	require.Contains(t, []refund.Outcome{refund.OutcomeAccepted, want}, res.Outcome)
	require.Equal(t, want, e.settle(t, req).Outcome)
	require.Equal(t, want, e.settle(t, req).Outcome, "the outcome is final")
	return req
}

func abnormalIsReported(t tb, e *env) { e.requireEnd(t, FaultAbnormal, refund.OutcomeAbnormal) }

func closedIsReported(t tb,
	e *env,
) {
	e.requireUnpaid(t, e.requireEnd(t, FaultClose, refund.OutcomeClosed))
}
