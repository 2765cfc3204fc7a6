package gatewaytest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Harness tells the suite how to get at a gateway.
type Harness struct {
	// New returns a gateway and the provider that it calls, without orders. It is called for each check;
	// clean up with t.Cleanup. The gateway must not repeat calls by itself: a fault is for one call.
	New func(t *testing.T) (refund.RefundGateway, Provider)
}

// Provider is the payment provider's side of a gateway under test. Its methods must be safe for concurrent
// use with calls to the gateway.
type Provider interface {
	// AddOrder makes a paid order of total minor units that the provider knows, and returns a request for it
	// with Gateway, OrderID, PaymentID, Total and Currency as the gateway needs them. The suite fills in the
	// rest. Its refund numbers begin with the RefundNo returned here, which may be empty where New starts
	// with an empty ledger.
	AddOrder(total int64) refund.Request
	// Paid is the money that the provider has paid to the buyer under a refund number and that did not come
	// back, in minor units: twice the amount where it was paid twice. Money on its way may count or not.
	Paid(refundNo string) int64
	// PaidTotal is the same for all refunds of an order.
	PaidTotal(orderID string) int64
	// Settle brings a refund that the provider has accepted to its end, so that a Query sees it. It does
	// nothing where the provider does so by itself, where the refund has ended, or where there is none.
	Settle(refundNo string)
	// Next has f happen to the next call, of Refund or Query, that reaches the provider, and to that one
	// only. It reports false if the provider cannot do that; nothing is broken then.
	Next(f Fault) bool
}

// Fault is what goes wrong with one call to the provider.
type Fault int

// The faults. FaultDecline, FaultAbnormal and FaultClose are asked for before a Refund only.
const (
	// FaultDecline refuses a refund for a cause that is gone at the next call, for example too little money.
	// Nothing is paid, and the number stays free.
	FaultDecline Fault = iota + 1
	// FaultLoseAnswer executes the call (a refund is paid), and the answer never arrives.
	FaultLoseAnswer
	// FaultFailBefore breaks the connection before the call is executed.
	FaultFailBefore
	// FaultGarbage executes the call and answers with something that is no answer.
	FaultGarbage
	// FaultOtherRefund executes the call and answers, in good form, about another refund number.
	FaultOtherRefund
	// FaultOtherAmount executes the call and answers, in good form, with another amount.
	FaultOtherAmount
	// FaultHang gives no answer until the caller hangs up or the test ends, and none then: an answer that
	// crosses the hang-up may be read. The call may be executed or not.
	FaultHang
	// FaultAbnormal accepts a refund whose money will leave the merchant and not reach the buyer.
	FaultAbnormal
	// FaultClose accepts a refund that will end without paying.
	FaultClose
)

// String says what the provider does.
func (f Fault) String() string {
	switch f {
	case FaultDecline:
		return "decline a refund"
	case FaultLoseAnswer:
		return "lose an answer"
	case FaultFailBefore:
		return "break a connection"
	case FaultGarbage:
		return "answer with garbage"
	case FaultOtherRefund:
		return "answer about another refund"
	case FaultOtherAmount:
		return "answer with another amount"
	case FaultHang:
		return "leave a call without an answer"
	case FaultAbnormal:
		return "end a refund as abnormal"
	case FaultClose:
		return "close a refund"
	}
	return "do what it does not know"
}

// Run runs every check as a parallel subtest of t.
func Run(t *testing.T, h Harness) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, p := h.New(t)
			c.run(t, &env{gateway: g, provider: p, proves: c.proves, patience: time.Minute})
		})
	}
}

// tb is what a check needs of a test. It is small so that the suite can be shown to fail.
type tb interface {
	require.TestingT
	Helper()
	Skipf(format string, args ...any)
}

// check is one promise of the port.
type check struct {
	name   string
	proves string // stays unproven where the check is skipped
	run    func(t tb, e *env)
}

func checks() []check {
	return []check{
		{"RefundThenQuery", "a refund succeeds", refundThenQuery},
		{"RepeatedRefundPaysOnce", "a repeated refund pays once", repeatedRefundPaysOnce},
		{"ConcurrentRefundPaysOnce", "a double click pays once", concurrentRefundPaysOnce},
		{"ConcurrentCallsDoNotMix", "refunds at the same time do not mix", concurrentCallsDoNotMix},
		{"PartialRefundsAddUp", "an order can be refunded in parts", partialRefundsAddUp},
		{"OverRefundPaysNothing", "no more than the total is paid", overRefundPaysNothing},
		{"OtherAmountPaysNothing", "a number with another amount pays nothing more", otherAmountPaysNothing},
		{"DeclinedIsAResult", "a no is told from doubt and pays nothing", declinedIsAResult},
		{"LostAnswerIsUnknown", "a refund whose answer was lost is found and not paid again", lostAnswerIsUnknown},
		{"LostConnectionIsUnknown", "a refund that never arrived is sent again", lostConnectionIsUnknown},
		{"GarbageIsUnknown", "an answer that cannot be read decides nothing", garbageIsUnknown},
		{"AnswerAboutAnotherRefund", "another refund's answer decides nothing", answerAboutAnotherRefund},
		{"AnswerWithAnotherAmount", "an answer with another amount decides nothing", answerWithAnotherAmount},
		{"AbnormalIsTold", "money that could not arrive is told from money returned", abnormalIsTold},
		{"ClosedIsTold", "a closed refund is told from money returned", closedIsTold},
		{"NeverSeenIsNotFound", "a number that was never seen is not-found", neverSeenIsNotFound},
		{"QueryLostIsUnknown", "a query without an answer is not taken for not-found", queryLostIsUnknown},
		{"QueryBrokenOffIsUnknown", "a query that did not arrive is not taken for not-found", queryBrokenOffIsUnknown},
		{"QueryGarbageIsUnknown", "a garbled answer to a query is not taken for not-found", queryGarbageIsUnknown},
		{"QueryAboutAnotherRefund", "another refund's answer to a query decides nothing", queryAboutAnotherRefund},
		{"QueryWithAnotherAmount", "another amount in the answer to a query decides nothing", queryWithAnotherAmount},
		{"ContextEndedBefore", "a cancelled call pays nothing", contextEndedBefore},
		{"DeadlineIsKept", "a deadline ends a call", deadlineIsKept},
		{"QueryDeadlineIsKept", "a deadline ends a query", queryDeadlineIsKept},
		{"ListIsComplete", "Sync learns of refunds made elsewhere", listIsComplete},
	}
}

// env is what a check works on.
type env struct {
	gateway  refund.RefundGateway
	provider Provider
	proves   string
	patience time.Duration // bounds what may only hang if the gateway is broken
}

const total, amount = 10000, 3000

// order makes a paid order and returns a request for a part of it.
func (e *env) order() refund.Request {
	req := e.provider.AddOrder(total)
	req.RefundNo += "R1"
	req.Amount, req.Reason = amount, "尺码不对 <&> \"'"
	return req
}

// another returns req for the next refund number.
func another(req refund.Request) refund.Request {
	req.RefundNo = req.RefundNo[:len(req.RefundNo)-1] + "2"
	return req
}

// next breaks the next call, or skips the check.
func (e *env) next(t tb, f Fault) {
	t.Helper()
	if !e.provider.Next(f) {
		t.Skipf("the provider cannot %s: unproven that %s", f, e.proves)
	}
}

func (e *env) limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), e.patience)
}

// refund calls Refund and checks the form of what it returns.
func (e *env) refund(t tb, req refund.Request) (refund.Result, error) {
	t.Helper()
	ctx, cancel := e.limit()
	defer cancel()
	res, err := e.gateway.Refund(ctx, req)
	if err == nil {
		e.sound(t, req, res)
		require.NotEqual(t, refund.OutcomeNotFound, res.Outcome, "not-found is an answer to a query only")
	}
	return res, err
}

// query calls Query and checks the form of what it returns.
func (e *env) query(t tb, req refund.Request) (refund.Result, error) {
	t.Helper()
	ctx, cancel := e.limit()
	defer cancel()
	res, err := e.gateway.Query(ctx, req)
	if err == nil {
		e.sound(t, req, res)
	}
	return res, err
}

// sound fails unless the Service could act on the result, and the ledger bears it out.
func (e *env) sound(t tb, req refund.Request, res refund.Result) {
	t.Helper()
	require.False(t, mismatch(req, res), "%s must be about what was asked for: %+v", res.Outcome, res)
	switch res.Outcome {
	case refund.OutcomeSucceeded:
		require.Equal(t, req.Amount, e.provider.Paid(req.RefundNo), "succeeded is money that was paid")
		fallthrough
	case refund.OutcomeAccepted, refund.OutcomeClosed, refund.OutcomeAbnormal:
		require.Equal(t, req.RefundNo, res.RefundNo, "%s must name the refund", res.Outcome)
		require.Equal(t, req.Amount, res.Amount, "%s must name the amount", res.Outcome)
	case refund.OutcomeDeclined:
		require.NotEmpty(t, res.Code, "declined must come with the provider's code")
	case refund.OutcomeNotFound:
	case refund.OutcomeUnknown:
		require.Fail(t, "doubt must be an error")
	default:
		require.Fail(t, "not an outcome", "%d", int(res.Outcome))
	}
	require.Equal(t, time.UTC, res.RefundedAt.Location(), "times are UTC")
}

// mismatch reports whether the Service would refuse the result because it names something else.
func mismatch(req refund.Request, res refund.Result) bool {
	return res.RefundNo != "" && res.RefundNo != req.RefundNo ||
		res.OrderID != "" && res.OrderID != req.OrderID ||
		res.Amount != 0 && res.Amount != req.Amount
}

// taken submits a refund that nothing stands in the way of.
func (e *env) taken(t tb, req refund.Request) refund.Result {
	t.Helper()
	res, err := e.refund(t, req)
	require.NoError(t, err)
	require.Contains(t, []refund.Outcome{refund.OutcomeAccepted, refund.OutcomeSucceeded}, res.Outcome,
		"got %s, code %q", res.Outcome, res.Code)
	require.LessOrEqual(t, len(res.ProviderRefundID), order.MaxCode, "the book would cut the provider's number, and no longer tell it")
	return res
}

// ends asks until a refund that the provider has is no longer on its way.
func (e *env) ends(t tb, req refund.Request) refund.Result {
	t.Helper()
	for range 10 {
		e.provider.Settle(req.RefundNo)
		res, err := e.query(t, req)
		require.NoError(t, err)
		if res.Outcome != refund.OutcomeAccepted {
			return res
		}
	}
	require.Fail(t, "refund is on its way for ever", "although Provider.Settle was called and the gateway asked ten times")
	return refund.Result{}
}

// paid requires that a refund which the provider has ends as paid, once.
func (e *env) paid(t tb, req refund.Request) {
	t.Helper()
	res := e.ends(t, req)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome, "code %q", res.Code)
	require.Equal(t, req.Amount, e.provider.Paid(req.RefundNo), "paid once")
}

// unpaid requires that a refund did not pay.
func (e *env) unpaid(t tb, req refund.Request) {
	t.Helper()
	e.provider.Settle(req.RefundNo)
	require.Zero(t, e.provider.Paid(req.RefundNo), "nothing must be paid under %s", req.RefundNo)
}

// resume does what the Service does about an unknown outcome: ask, and submit only what was never seen.
func (e *env) resume(t tb, req refund.Request) {
	t.Helper()
	res, err := e.query(t, req)
	require.NoError(t, err)
	if res.Outcome == refund.OutcomeNotFound {
		e.taken(t, req)
	}
	e.paid(t, req)
	require.Equal(t, req.Amount, e.provider.PaidTotal(req.OrderID), "and nothing else was paid")
}
