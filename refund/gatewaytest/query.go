package gatewaytest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
)

func neverSeenIsNotFound(t tb, e *env) {
	req := e.order()
	for range 2 {
		res, err := e.query(t, req)
		require.NoError(t, err)
		require.Equal(t, refund.OutcomeNotFound, res.Outcome)
	}
	e.unpaid(t, req)
	e.taken(t, req) // asking has not used the number up
	e.paid(t, req)
	res, err := e.query(t, another(req))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "also beside a refund that the order has")
}

// queryUnknown requires that a query which gets no usable answer is an error. Above all it must not be
// not-found: that releases money, and submits again.
func (e *env) queryUnknown(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.taken(t, req)
	e.next(t, f)
	res, err := e.query(t, req)
	require.Error(t, err, "%s where the provider did %s: the outcome is unknown", res.Outcome, f)
	e.paid(t, req)
}

func queryLostIsUnknown(t tb, e *env) { e.queryUnknown(t, FaultLoseAnswer) }

func queryBrokenOffIsUnknown(t tb, e *env) { e.queryUnknown(t, FaultFailBefore) }

func queryGarbageIsUnknown(t tb, e *env) { e.queryUnknown(t, FaultGarbage) }

func (e *env) doubtfulQuery(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.taken(t, req)
	e.doubtful(t, f, req, func(ctx context.Context) (refund.Result, error) { return e.gateway.Query(ctx, req) })
	e.paid(t, req)
}

func queryAboutAnotherRefund(t tb, e *env) { e.doubtfulQuery(t, FaultOtherRefund) }

func queryWithAnotherAmount(t tb, e *env) { e.doubtfulQuery(t, FaultOtherAmount) }

func contextEndedBefore(t tb, e *env) {
	req := e.order()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.gateway.Refund(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	e.unpaid(t, req)
	_, err = e.gateway.Query(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	res, err := e.query(t, req)
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "nothing was sent")
}

// inTime leaves the next call without an answer and requires that the gateway gives up at the deadline. What an
// answered call took shows how long the deadline must be, for the call to arrive before it.
func (e *env) inTime(t tb, answered func(), call func(context.Context) (refund.Result, error)) {
	t.Helper()
	began := time.Now() //nolint:forbidigo // measures this machine
	answered()
	deadline := max(300*time.Millisecond, 20*time.Since(began)) //nolint:forbidigo // measures this machine
	e.next(t, FaultHang)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	got := make(chan answer, 1)
	go func() { // ends when the gateway gives up, at the latest when the provider is closed
		res, err := call(ctx)
		got <- answer{res, err}
	}()
	limit, stop := e.limit()
	defer stop()
	select {
	case a := <-got:
		require.Error(t, a.err, "%s without an answer: the outcome is unknown", a.res.Outcome)
		ended := errors.Is(a.err, context.DeadlineExceeded) || errors.Is(a.err, context.Canceled)
		require.True(t, ended, "the error must be the context's: %v", a.err)
	case <-limit.Done():
		require.Fail(t, "the gateway does not return when its context ends")
	}
}

func deadlineIsKept(t tb, e *env) {
	req := e.order()
	connect := func() {
		_, err := e.query(t, req)
		require.NoError(t, err)
	}
	e.inTime(t, connect, func(ctx context.Context) (refund.Result, error) { return e.gateway.Refund(ctx, req) })
	e.resume(t, req)
}

func queryDeadlineIsKept(t tb, e *env) {
	req := e.order()
	e.inTime(t, func() { e.taken(t, req) }, func(ctx context.Context) (refund.Result, error) {
		return e.gateway.Query(ctx, req)
	})
	e.paid(t, req)
}

func listIsComplete(t tb, e *env) {
	lister, ok := e.gateway.(refund.Lister)
	if !ok {
		t.Skipf("the gateway is no refund.Lister: unproven that %s", e.proves)
		return
	}
	first := e.order()
	second := another(first)
	second.Amount = 2 * amount
	elsewhere := e.order()
	elsewhere.RefundNo += "-elsewhere"
	about := first
	about.RefundNo, about.Amount, about.Reason = "", 0, ""
	list := func(wants ...refund.Request) {
		ctx, cancel := e.limit()
		defer cancel()
		found, err := lister.List(ctx, about)
		require.NoError(t, err)
		require.Len(t, found, len(wants), "every refund of the order, and no other")
		byNo := map[string]refund.Result{}
		for _, res := range found {
			byNo[res.RefundNo] = res
		}
		for _, want := range wants {
			e.sound(t, want, byNo[want.RefundNo])
		}
	}
	list()
	e.taken(t, first)
	e.taken(t, elsewhere)
	e.taken(t, second)
	list(first, second)
	e.paid(t, first)
	list(first, second)
}
