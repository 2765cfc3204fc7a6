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
	e.requireUnpaid(t, req)
	e.submit(t, req) // the query has not used the number up
	e.requirePaid(t, req)
	res, err := e.query(t, another(req))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "also if the order has another refund")
}

// requireQueryError requires that a query without a usable answer returns an error. It must not
// return not-found, because the Service would then submit the refund again.
func (e *env) requireQueryError(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.submit(t, req)
	e.next(t, f)
	res, err := e.query(t, req)
	require.Error(t, err, "got %s although the provider did %s: the outcome is unknown",
		res.Outcome, f)
	e.requirePaid(t, req)
}

func queryLostIsUnknown(t tb, e *env) { e.requireQueryError(t, FaultLoseAnswer) }

func queryBrokenOffIsUnknown(t tb, e *env) { e.requireQueryError(t, FaultFailBefore) }

func queryGarbageIsUnknown(t tb, e *env) { e.requireQueryError(t, FaultGarbage) }

func (e *env) requireQueryMismatch(t tb, f Fault) {
	t.Helper()
	req := e.order()
	e.submit(t, req)
	e.requireMismatch(t, f, req,
		func(ctx context.Context) (refund.Result, error) { return e.gateway.Query(ctx, req) })
	e.requirePaid(t, req)
}

func queryAboutAnotherRefund(t tb, e *env) { e.requireQueryMismatch(t, FaultOtherRefund) }

func queryWithAnotherAmount(t tb, e *env) { e.requireQueryMismatch(t, FaultOtherAmount) }

func contextEndedBefore(t tb, e *env) {
	req := e.order()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.gateway.Refund(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	e.requireUnpaid(t, req)
	_, err = e.gateway.Query(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	res, err := e.query(t, req)
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome, "nothing was sent")
}

// requireDeadline leaves the next call without an answer and requires that the gateway returns at
// the deadline. It measures an answered call first, so that the call arrives before the deadline.
func (e *env) requireDeadline(
	t tb, answered func(), call func(context.Context) (refund.Result, error),
) {
	t.Helper()
	start := time.Now() //nolint:forbidigo // measures this machine
	answered()
	took := time.Since(start) //nolint:forbidigo // measures this machine
	deadline := max(300*time.Millisecond, 20*took)
	e.next(t, FaultHang)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	got := make(chan answer, 1)
	go func() { // ends when the gateway returns, at the latest when the provider is closed
		res, err := call(ctx)
		got <- answer{res, err}
	}()
	limit, stop := e.limit()
	defer stop()
	select {
	case a := <-got:
		require.Error(t, a.err, "got %s without an answer: the outcome is unknown", a.res.Outcome)
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
	e.requireDeadline(t, connect,
		func(ctx context.Context) (refund.Result, error) { return e.gateway.Refund(ctx, req) })
	e.resume(t, req)
}

func queryDeadlineIsKept(t tb, e *env) {
	req := e.order()
	e.requireDeadline(t, func() {
		e.submit(t,
			req)
	}, func(ctx context.Context) (refund.Result, error) {
		return e.gateway.Query(ctx, req)
	})
	e.requirePaid(t, req)
}

func listIsComplete(t tb, e *env) {
	lister, ok := e.gateway.(refund.Lister)
	if !ok {
		t.Skipf("the gateway is not a refund.Lister: unproven that %s", e.proves)
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
		byNumber := map[string]refund.Result{}
		for _, res := range found {
			byNumber[res.RefundNo] = res
		}
		for _, want := range wants {
			e.requireSound(t, want, byNumber[want.RefundNo])
		}
	}
	list()
	e.submit(t, first)
	e.submit(t, elsewhere)
	e.submit(t, second)
	list(first, second)
	e.requirePaid(t, first)
	list(first, second)
}
