package refundtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestListReturnsTheLedgerOfAnOrder: also the refunds made in the console.
func TestListReturnsTheLedgerOfAnOrder(t *testing.T) {
	gw := refundtest.New()
	_, err := gw.Refund(ctx, ask("R2"))
	require.NoError(t, err)
	require.NoError(t, gw.RefundInConsole("O1", "C1", 20))
	require.NoError(t, gw.RefundInConsole("O2", "C2", 20))
	require.ErrorContains(t, gw.RefundInConsole("O2", "C1", 20), "taken")
	all, err := gw.List(ctx, refund.Request{OrderID: "O1"})
	require.NoError(t, err)
	require.Equal(t, []refund.Result{
		{
			Outcome: refund.OutcomeSucceeded, RefundNo: "C1", OrderID: "O1", Amount: 20,
			ProviderRefundID: "provider-C1",
		},
		{
			Outcome: refund.OutcomeSucceeded, RefundNo: "R2", OrderID: "O1", Amount: 30,
			ProviderRefundID: "provider-R2",
		},
	}, all)
	require.Equal(t, "[refund R2 list O1]", fmt.Sprint(gw.Calls()))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = gw.List(ended, refund.Request{OrderID: "O1"})
	require.ErrorIs(t, err, context.Canceled)
}

// TestNextListScriptsTheList: a step is for one List, and for no other call.
func TestNextListScriptsTheList(t *testing.T) {
	gw := refundtest.New()
	_, err := gw.Refund(ctx, ask("R1"))
	require.NoError(t, err)
	require.NoError(t, gw.RefundInConsole("O1", "C1", 20))
	gw.NextList(
		refundtest.Fail(&refund.SetupError{Err: errors.New("the certificate has expired")}),
		refundtest.Answer(refund.Result{Outcome: refund.OutcomeAbnormal, RefundNo: "C9"}),
		refundtest.Close().Rewrite(func(r *refund.Result) { r.Amount++ }),
	)
	gw.Next(refundtest.Fail(nil))
	gw.Choose(func(refundtest.Call) refundtest.Step { return refundtest.Fail(nil) })
	_, err = gw.List(ctx, asked(""))
	require.ErrorIs(t, err, refund.ErrSetup)
	all, err := gw.List(ctx, refund.Request{OrderID: "O1"})
	require.NoError(t, err)
	require.Equal(t, []refund.Result{
		{Outcome: refund.OutcomeAbnormal, RefundNo: "C9", OrderID: "O1"},
	}, all)
	for _, more := range []int64{1, 0} {
		all, err = gw.List(ctx, refund.Request{OrderID: "O1"})
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, 20+more, all[0].Amount)
		require.Equal(t, 30+more, all[1].Amount)
		require.Equal(t, refund.OutcomeSucceeded, all[1].Outcome)
	}
	require.Equal(t, 1, gw.Unused(), "Next is for the other calls")
}

// TestRefundInConsoleGoesAsByDefault: the provider handles it as any other refund.
func TestRefundInConsoleGoesAsByDefault(t *testing.T) {
	gw := refundtest.New()
	for number, c := range map[string]struct {
		usual refundtest.Step
		state refund.Outcome
	}{
		"R1": {refundtest.AsUsual(), refund.OutcomeSucceeded},
		"R2": {refundtest.Accept(), refund.OutcomeAccepted},
		"R3": {refundtest.Fail(nil), refund.OutcomeSucceeded},
		"R4": {refundtest.PayWhenAsked(), refund.OutcomeAccepted},
	} {
		gw.ByDefault(c.usual)
		require.NoError(t, gw.RefundInConsole("O1", number, 1))
		require.Equal(t, c.state, gw.State(number))
	}
	res, err := gw.Query(ctx, asked("R4"))
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
}

// TestServiceFindsOptionalInterfaces: limits, checks and notifications, also behind Gateways.
func TestServiceFindsOptionalInterfaces(t *testing.T) {
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
	more := func(number string) error {
		_, err := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: number}, Amount: 1, Actor: "buyer:42",
		})
		return err
	}
	require.ErrorIs(t, more("X1"), order.ErrInvalid)
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
	require.Equal(t, order.StateApproved, state(t, svc), "the Service asks the provider")
	forged.Result.Amount = 1
	require.Equal(t, http.StatusInternalServerError, post(refundtest.Forge(forged, "/")))
	require.Equal(t, http.StatusInternalServerError,
		post(http.NewRequest(http.MethodPost, "/", strings.NewReader("<xml>"))))
	require.NoError(t, gw.End("R1", refund.OutcomeSucceeded))
	require.Equal(t, http.StatusNoContent, post(gw.Notify("R1", "https://shop.example/notify")))
	require.Equal(t, order.StateRefunded, state(t, svc))

	_, err = gw.Notify("R9", "/")
	require.ErrorContains(t, err, "does not have the number")
	_, err = gw.Notify("R1", "://")
	require.ErrorContains(t, err, "notify of refund R1")
	_, err = refundtest.Forge(refund.Notification{
		Result: refund.Result{RefundedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	}, "/")
	require.ErrorContains(t, err, "notify of refund")
}

func state(t *testing.T, svc *refund.Service) order.State {
	t.Helper()
	o, err := svc.Order(ctx, "ORDER-1")
	require.NoError(t, err)
	return o.Refund("R1").State
}
