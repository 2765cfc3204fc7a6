package refund_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func success(number string, amount int64) refund.Notification {
	return refund.Notification{
		Gateway: "bank",
		Result: refund.Result{
			Outcome: refund.OutcomeSucceeded, OrderID: "O1", RefundNo: number, Amount: amount,
		},
	}
}

// TestForgedNotification: a notification alone books nothing.
func TestForgedNotification(t *testing.T) {
	for _, state := range []order.State{
		order.StateRefundRequested, order.StateApproved, order.StateRejected,
	} {
		t.Run(string(state), func(t *testing.T) {
			e := newEnv(t)
			e.into(state)
			before := e.order()
			require.NoError(t, e.svc.HandleNotification(bg, success("R1", 4000)))
			require.Equal(t, before, e.order(), "the provider has never seen the number")
			require.Equal(t, []string{"query R1"}, called(e.bank))
		})
	}
}

func TestNotificationSettles(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	for range 3 {
		require.NoError(t, e.svc.HandleNotification(bg, success("R1", 4000)))
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
	}
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank), "duplicates ask nothing")
	require.EqualValues(t, 3, e.order().Seq)
}

func TestNotificationThatContradicts(t *testing.T) {
	for field, change := range map[string]func(*refund.Notification){
		"amount":             func(n *refund.Notification) { n.Result.Amount = 3999 },
		"total":              func(n *refund.Notification) { n.Total = 9999 },
		"gateway":            func(n *refund.Notification) { n.Gateway = "other" },
		"payment_id":         func(n *refund.Notification) { n.PaymentID = "other" },
		"provider_refund_id": func(n *refund.Notification) { n.Result.ProviderRefundID = "other" },
	} {
		t.Run(field, func(t *testing.T) {
			e := newEnv(t)
			_, err := e.svc.Register(bg, refund.RegisterParams{
				OrderID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
			})
			require.NoError(t, err)
			e.process(e.approved("R1", 4000))
			before := e.order()
			n := success("R1", 4000)
			change(&n)
			err = e.svc.HandleNotification(bg, n)
			var mismatch *refund.MismatchError
			require.ErrorAs(t, err, &mismatch)
			require.Equal(t, field, mismatch.Field)
			require.Equal(t, before, e.order())
			require.Equal(t, []string{"refund R1"}, called(e.bank), "nothing is asked on its word")
		})
	}
}

func TestNotificationForAnUnknownRefund(t *testing.T) {
	e := newEnv(t)
	e.approved("R1", 4000)
	other := success("R1", 4000)
	other.Result.OrderID = "O2"
	require.NoError(t, e.svc.HandleNotification(bg, other))
	require.NoError(t, e.svc.HandleNotification(bg, success("R9", 4000)))
	require.Len(t, e.unknown, 2)
	require.Empty(t, called(e.bank))
}

func TestNotificationWhenSomethingIsDown(t *testing.T) {
	t.Run("provider", func(t *testing.T) {
		e := newEnv(t)
		e.process(e.approved("R1", 4000))
		before := e.order()
		e.bank.NextQuery(refundtest.Fail(errLost))
		require.ErrorIs(t, e.svc.HandleNotification(bg, success("R1", 4000)), errLost)
		require.Equal(t, before, e.order())
	})
	t.Run("store", func(t *testing.T) {
		e := newEnv(t)
		e.process(e.approved("R1", 4000))
		store := &flakyStore{Store: e.store, err: errLost}
		s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
		require.NoError(t, err)
		require.ErrorIs(t, s.HandleNotification(bg, success("R1", 4000)), errLost)
		require.NoError(t, e.svc.HandleNotification(bg, success("R1", 4000)), "redelivered")
		require.Equal(t, order.StateRefunded, e.refund("R1").State)
	})
}

func TestNotificationHandler(t *testing.T) {
	e := newEnv(t)
	gateways, err := refund.NewGateways(map[string]refund.RefundGateway{
		"bank": e.bank, "mute": e.bank.Plain(),
	})
	require.NoError(t, err)
	s := e.service(gateways, refund.Options{Now: e.clock.Now})
	e.process(e.approved("R1", 4000))

	_, err = s.NotificationHandler("mute")
	require.ErrorIs(t, err, refund.ErrUnsupported)
	_, err = s.NotificationHandler("nobody")
	require.ErrorIs(t, err, refund.ErrUnknownGateway)
	_, err = e.svc.NotificationHandler("bank")
	require.ErrorIs(t, err, refund.ErrUnsupported)

	h, err := s.NotificationHandler("bank")
	require.NoError(t, err)
	post := func(r *http.Request, err error) int {
		require.NoError(t, err)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusInternalServerError,
		post(http.NewRequest(http.MethodPost, "/notify", strings.NewReader("garbage"))))
	long := success("R9", 4000)
	require.Equal(t, http.StatusNoContent, post(refundtest.Forge(long, "/notify")))
	long.Result.Message = strings.Repeat("x", refund.MaxNotification)
	require.Equal(t, http.StatusInternalServerError, post(refundtest.Forge(long, "/notify")),
		"bounded")
	e.bank.NextQuery(refundtest.Fail(errLost))
	require.Equal(t, http.StatusInternalServerError, post(e.bank.Notify("R1", "/notify")),
		"asks for redelivery")
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.Equal(t, http.StatusNoContent, post(e.bank.Notify("R1", "/notify")))
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestNotificationAheadOfTheProvider: the notification says succeeded, the query says accepted. The
// query counts.
func TestNotificationAheadOfTheProvider(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	before := e.order()
	require.NoError(t, e.svc.HandleNotification(bg, success("R1", 4000)))
	require.Equal(t, before, e.order())
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}
