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
	e.taken(t, req)
	e.paid(t, req)
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
	e.paid(t, req) // and a query changes nothing
}

func repeatedRefundPaysOnce(t tb, e *env) {
	req := e.order()
	id := e.taken(t, req).ProviderRefundID
	for range 4 {
		require.Equal(t, id, e.taken(t, req).ProviderRefundID, "it is the same refund")
	}
	e.paid(t, req)
	e.taken(t, req) // also once it has ended
	e.paid(t, req)
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
}

const callers = 16

// answer is what one of several callers got.
type answer struct {
	res refund.Result
	err error
}

// together calls Refund for all the requests at once.
func (e *env) together(reqs []refund.Request) []answer {
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

// notRefused requires of an answer to one of several callers that it is doubt, or that the refund is taken.
func (e *env) notRefused(t tb, req refund.Request, a answer) {
	t.Helper()
	if a.err != nil {
		return // a provider may be too busy for all of them
	}
	e.sound(t, req, a.res)
	require.Contains(t, []refund.Outcome{refund.OutcomeAccepted, refund.OutcomeSucceeded}, a.res.Outcome,
		"got %s, code %q", a.res.Outcome, a.res.Code)
}

func concurrentRefundPaysOnce(t tb, e *env) {
	req := e.order()
	reqs := make([]refund.Request, callers)
	for i := range reqs {
		reqs[i] = req
	}
	for _, a := range e.together(reqs) {
		e.notRefused(t, req, a)
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
	for i, a := range e.together(reqs) {
		e.notRefused(t, reqs[i], a)
	}
	for _, req := range reqs {
		e.resume(t, req)
	}
}

func partialRefundsAddUp(t tb, e *env) {
	first := e.order()
	second := another(first)
	second.Amount = total - amount
	one := e.taken(t, first)
	e.paid(t, first)
	two := e.taken(t, second)
	e.paid(t, second)
	if one.ProviderRefundID != "" {
		require.NotEqual(t, one.ProviderRefundID, two.ProviderRefundID, "they are two refunds")
	}
	require.EqualValues(t, total, e.provider.PaidTotal(first.OrderID))
}

func overRefundPaysNothing(t tb, e *env) {
	first := e.order()
	second := another(first)
	second.Amount = total - amount + 1
	e.taken(t, first)
	e.paid(t, first)
	res, err := e.refund(t, second)
	if err == nil {
		require.Equal(t, refund.OutcomeDeclined, res.Outcome, "more than is left can only be refused")
	}
	e.unpaid(t, second)
	e.notHeld(t, second)
	require.EqualValues(t, amount, e.provider.PaidTotal(first.OrderID))
}

// notHeld requires that a query does not claim of a refused refund that the provider has it.
func (e *env) notHeld(t tb, req refund.Request) {
	t.Helper()
	res, err := e.query(t, req)
	if err == nil {
		require.Contains(t, []refund.Outcome{refund.OutcomeNotFound, refund.OutcomeDeclined, refund.OutcomeClosed}, res.Outcome,
			"got %s of a refund that was refused", res.Outcome)
	}
}

func otherAmountPaysNothing(t tb, e *env) {
	req := e.order()
	e.taken(t, req)
	e.paid(t, req)
	more := req
	more.Amount++
	ctx, cancel := e.limit()
	defer cancel()
	res, err := e.gateway.Refund(ctx, more)
	doubtful := err != nil || mismatch(more, res)
	require.True(t, doubtful || res.Outcome == refund.OutcomeDeclined, "got %+v for an amount that was not asked for before", res)
	e.provider.Settle(req.RefundNo)
	require.EqualValues(t, amount, e.provider.Paid(req.RefundNo), "the first amount stands")
	require.EqualValues(t, amount, e.provider.PaidTotal(req.OrderID))
}

func declinedIsAResult(t tb, e *env) {
	req := e.order()
	e.next(t, FaultDecline)
	res, err := e.refund(t, req)
	require.NoError(t, err, "a no is a result")
	require.Equal(t, refund.OutcomeDeclined, res.Outcome)
	e.unpaid(t, req)
	e.notHeld(t, req)
	e.taken(t, req) // the cause is gone: the same number pays
	e.paid(t, req)
}

// unknown breaks the next call and requires that Refund returns an error.
func (e *env) unknown(t tb, f Fault, req refund.Request) {
	t.Helper()
	e.next(t, f)
	res, err := e.refund(t, req)
	require.Error(t, err, "%s where the provider did %s: the outcome is unknown", res.Outcome, f)
}

func lostAnswerIsUnknown(t tb, e *env) {
	req := e.order()
	e.unknown(t, FaultLoseAnswer, req)
	e.paid(t, req) // a query finds it
	e.taken(t, req)
	e.paid(t, req)

	second := another(req) // the same, but submitted again at once
	e.unknown(t, FaultLoseAnswer, second)
	e.taken(t, second)
	e.paid(t, second)
	require.EqualValues(t, 2*amount, e.provider.PaidTotal(req.OrderID))
}

func lostConnectionIsUnknown(t tb, e *env) {
	req := e.order()
	e.unknown(t, FaultFailBefore, req)
	e.unpaid(t, req)
	res, err := e.query(t, req)
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "the provider has never seen it")
	e.resume(t, req)
}

func garbageIsUnknown(t tb, e *env) {
	req := e.order()
	e.unknown(t, FaultGarbage, req)
	e.resume(t, req)
}

// doubtful breaks the next call and requires of its answer that the Service does not act on it.
func (e *env) doubtful(t tb, f Fault, req refund.Request, call func(context.Context) (refund.Result, error)) {
	t.Helper()
	e.next(t, f)
	ctx, cancel := e.limit()
	defer cancel()
	res, err := call(ctx)
	require.True(t, err != nil || mismatch(req, res), "the provider did %s, and the gateway says %+v", f, res)
}

func (e *env) doubtfulRefund(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.doubtful(t, f, req, func(ctx context.Context) (refund.Result, error) { return e.gateway.Refund(ctx, req) })
	e.resume(t, req)
}

func answerAboutAnotherRefund(t tb, e *env) { e.doubtfulRefund(t, FaultOtherRefund) }

func answerWithAnotherAmount(t tb, e *env) { e.doubtfulRefund(t, FaultOtherAmount) }

// endsAs requires that a refund which the provider ends otherwise than by paying is told as such.
func (e *env) endsAs(t tb, f Fault, want refund.Outcome) refund.Request {
	t.Helper()
	req := e.order()
	e.next(t, f)
	res, err := e.refund(t, req)
	require.NoError(t, err)
	require.Contains(t, []refund.Outcome{refund.OutcomeAccepted, want}, res.Outcome)
	require.Equal(t, want, e.ends(t, req).Outcome)
	require.Equal(t, want, e.ends(t, req).Outcome, "it stays so")
	return req
}

func abnormalIsTold(t tb, e *env) { e.endsAs(t, FaultAbnormal, refund.OutcomeAbnormal) }

func closedIsTold(t tb, e *env) { e.unpaid(t, e.endsAs(t, FaultClose, refund.OutcomeClosed)) }
