package gatewaytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Harness gives the suite a gateway.
type Harness struct {
	// New returns a gateway and the provider that it calls, without orders. It is called for each
	// check. Clean up with t.Cleanup. The gateway must not repeat calls by itself, because a fault
	// is for one call.
	New func(t *testing.T) (refund.RefundGateway, Provider)
}

// Provider is the payment provider behind a gateway under test. Its methods must be safe for
// concurrent use, also with calls to the gateway.
type Provider interface {
	// AddOrder makes a paid order of total minor units at the provider. It returns a request with
	// Gateway, OrderID, PaymentID, Total and Currency as the gateway needs them. The suite sets the
	// other fields. Its refund numbers begin with the returned RefundNo, which may be empty if New
	// starts with an empty ledger.
	AddOrder(total int64) refund.Request
	// Paid returns the money that the provider has paid to the buyer under a refund number and that
	// did not come back, in minor units. If the refund was paid twice, it is twice the amount.
	// Money on its way may count or not.
	Paid(refundNo string) int64
	// PaidTotal returns the same for all refunds of an order.
	PaidTotal(orderID string) int64
	// Settle ends a refund that the provider has accepted, so that a Query sees it. It does nothing
	// if the provider ends refunds by itself, if the refund has ended, or if it does not exist.
	Settle(refundNo string)
	// Next breaks the next call of Refund or Query that reaches the provider, and no other. It
	// returns false and breaks nothing if the provider cannot do f.
	Next(f Fault) bool
}

// Fault is a fault of one call to the provider. Its value says what the provider does, for the
// reports of the suite.
type Fault string

// The faults. FaultDecline, FaultAbnormal and FaultClose are used only before a Refund.
const (
	// FaultDecline refuses a refund for a reason that has gone by the next call, for example too
	// little money. Nothing is paid, and the number stays free.
	FaultDecline Fault = "decline a refund"
	// FaultLoseAnswer executes the call (a refund is paid) and loses the answer.
	FaultLoseAnswer Fault = "lose an answer"
	// FaultFailBefore breaks the connection before the call is executed.
	FaultFailBefore Fault = "break a connection"
	// FaultGarbage executes the call and answers with garbage.
	FaultGarbage Fault = "answer with garbage"
	// FaultOtherRefund executes the call and returns a well-formed answer about another refund
	// number.
	FaultOtherRefund Fault = "answer about another refund"
	// FaultOtherAmount executes the call and returns a well-formed answer with another amount.
	FaultOtherAmount Fault = "answer with another amount"
	// FaultHang never answers. It ends when the caller closes the connection or the test ends. The
	// call may be executed or not.
	FaultHang Fault = "leave a call without an answer"
	// FaultAbnormal accepts a refund whose money leaves the merchant and does not reach the buyer.
	FaultAbnormal Fault = "end a refund as abnormal"
	// FaultClose accepts a refund that ends without payment.
	FaultClose Fault = "close a refund"
)

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

// tb is the part of testing.T that a check needs. It is small, so that a test can prove that the
// suite fails.
type tb interface {
	require.TestingT
	Helper()
	Skipf(format string, args ...any)
}

// check is one promise of the port.
type check struct {
	name   string
	proves string // stays unproven if the check is skipped
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
		{"DeclinedIsAResult", "a refusal is a result and pays nothing", declinedIsAResult},
		{"LostAnswerIsUnknown", "a refund whose answer was lost is found and not paid again", lostAnswerIsUnknown},
		{"LostConnectionIsUnknown", "a refund that never arrived is sent again", lostConnectionIsUnknown},
		{"GarbageIsUnknown", "an answer that cannot be read decides nothing", garbageIsUnknown},
		{"AnswerAboutAnotherRefund", "another refund's answer decides nothing", answerAboutAnotherRefund},
		{"AnswerWithAnotherAmount", "an answer with another amount decides nothing", answerWithAnotherAmount},
		{"AbnormalIsReported", "money that could not be delivered is reported", abnormalIsReported},
		{"ClosedIsReported", "a refund that was closed is reported", closedIsReported},
		{"NeverSeenIsNotFound", "a number that was never seen is not-found", neverSeenIsNotFound},
		{"QueryLostIsUnknown", "a query without an answer is not reported as not-found", queryLostIsUnknown},
		{"QueryBrokenOffIsUnknown", "a query that did not arrive is not reported as not-found", queryBrokenOffIsUnknown},
		{"QueryGarbageIsUnknown", "a garbled answer to a query is not reported as not-found", queryGarbageIsUnknown},
		{"QueryAboutAnotherRefund", "another refund's answer to a query decides nothing", queryAboutAnotherRefund},
		{"QueryWithAnotherAmount", "another amount in the answer to a query decides nothing", queryWithAnotherAmount},
		{"ContextEndedBefore", "a cancelled call pays nothing", contextEndedBefore},
		{"DeadlineIsKept", "a deadline ends a call", deadlineIsKept},
		{"QueryDeadlineIsKept", "a deadline ends a query", queryDeadlineIsKept},
		{"ListIsComplete", "Sync learns of refunds made elsewhere", listIsComplete},
	}
}

// env holds the gateway of one check.
type env struct {
	gateway  refund.RefundGateway
	provider Provider
	proves   string
	patience time.Duration // how long to wait for a gateway that may be broken
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

// next breaks the next call. If the provider cannot do that, next skips the check.
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
		e.requireSound(t, req, res)
		require.NotEqual(t, refund.OutcomeNotFound, res.Outcome,
			"only a query may return not-found")
	}
	if errors.Is(err, refund.ErrNotSent) {
		e.requireUnpaid(t, req)
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
		e.requireSound(t, req, res)
	}
	return res, err
}

// requireSound requires that the Service can act on the result, and that the ledger confirms it.
func (e *env) requireSound(t tb, req refund.Request, res refund.Result) {
	t.Helper()
	require.False(t, mismatch(req, res), "%s must be about the request: %+v", res.Outcome, res)
	switch res.Outcome {
	case refund.OutcomeSucceeded:
		require.Equal(t, req.Amount, e.provider.Paid(req.RefundNo),
			"succeeded means that the money was paid")
		fallthrough
	case refund.OutcomeAccepted, refund.OutcomeClosed, refund.OutcomeAbnormal:
		require.Equal(t, req.RefundNo, res.RefundNo, "%s must name the refund", res.Outcome)
		require.Equal(t, req.Amount, res.Amount, "%s must name the amount", res.Outcome)
	case refund.OutcomeDeclined:
		require.NotEmpty(t, res.Code, "declined must come with the provider's code")
	case refund.OutcomeNotFound:
	case refund.OutcomeUnknown:
		require.Fail(t, "an unknown outcome must be an error")
	default:
		require.Fail(t, "not an outcome", "%q", res.Outcome)
	}
	require.Equal(t, time.UTC, res.RefundedAt.Location(), "times are UTC")
}

// mismatch reports whether the Service would refuse the result because it is about something else.
func mismatch(req refund.Request, res refund.Result) bool {
	return res.RefundNo != "" && res.RefundNo != req.RefundNo ||
		res.OrderID != "" && res.OrderID != req.OrderID ||
		res.Amount != 0 && res.Amount != req.Amount
}

// submit submits a refund that the provider must accept.
func (e *env) submit(t tb, req refund.Request) refund.Result {
	t.Helper()
	res, err := e.refund(t, req)
	require.NoError(t, err)
	accepted := []refund.Outcome{refund.OutcomeAccepted, refund.OutcomeSucceeded}
	require.Contains(t, accepted, res.Outcome,
		"got %s, code %q", res.Outcome, res.Code)
	require.LessOrEqual(t, len(res.ProviderRefundID), order.MaxCode,
		"the Service would cut the provider's number")
	return res
}

// settle settles a refund and asks until it has ended.
func (e *env) settle(t tb, req refund.Request) refund.Result {
	t.Helper()
	for range 10 {
		e.provider.Settle(req.RefundNo)
		res, err := e.query(t, req)
		require.NoError(t, err)
		if res.Outcome != refund.OutcomeAccepted {
			return res
		}
	}
	require.Fail(t, "the refund does not end",
		"Provider.Settle and Query were called ten times")
	return refund.Result{}
}

// requirePaid requires that a refund ends as paid, once.
func (e *env) requirePaid(t tb, req refund.Request) {
	t.Helper()
	res := e.settle(t, req)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome, "code %q", res.Code)
	require.Equal(t, req.Amount, e.provider.Paid(req.RefundNo), "paid once")
}

// requireUnpaid requires that a refund did not pay.
func (e *env) requireUnpaid(t tb, req refund.Request) {
	t.Helper()
	e.provider.Settle(req.RefundNo)
	require.Zero(t, e.provider.Paid(req.RefundNo), "nothing must be paid under %s", req.RefundNo)
}

// resume does what the Service does after an unknown outcome. It asks, and it submits the refund
// again only if the provider has never seen it.
func (e *env) resume(t tb, req refund.Request) {
	t.Helper()
	res, err := e.query(t, req)
	require.NoError(t, err)
	if res.Outcome == refund.OutcomeNotFound {
		e.submit(t, req)
	}
	e.requirePaid(t, req)
	require.Equal(t, req.Amount, e.provider.PaidTotal(req.OrderID), "and nothing else was paid")
}
