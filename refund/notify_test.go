package refund_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
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
			require.Equal(t, []string{"query R1"}, e.bank.called())
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
	require.Equal(t, []string{"refund R1", "query R1"}, e.bank.called(), "duplicates ask nothing")
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
			require.Equal(t, []string{"refund R1"}, e.bank.called(), "nothing is asked on its word")
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
	require.Empty(t, e.bank.called())
}

func TestNotificationWhenSomethingIsDown(t *testing.T) {
	t.Run("provider", func(t *testing.T) {
		e := newEnv(t)
		e.process(e.approved("R1", 4000))
		before := e.order()
		e.bank.next(fault{op: "query", err: errLost})
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

// reader is a bank that sends "number amount" as plain text.
type reader struct{ *bank }

func (reader) ReadNotification(r *http.Request) (refund.Notification, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return refund.Notification{}, errors.Join(refund.ErrNotification, err)
	}
	number, ok := strings.CutPrefix(string(body), "paid ")
	if !ok {
		return refund.Notification{}, refund.ErrNotification
	}
	return success(number, 4000), nil
}

func (reader) Acknowledge(w http.ResponseWriter, err error) {
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, "OK")
}

func TestNotificationHandler(t *testing.T) {
	e := newEnv(t)
	gateways, err := refund.NewGateways(map[string]refund.RefundGateway{
		"bank": reader{e.bank}, "mute": newBank(),
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
	post := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notify", strings.NewReader(body)))
		return w
	}
	require.Equal(t, http.StatusInternalServerError, post("garbage").Code)
	require.Equal(
		t, http.StatusInternalServerError,
		post("paid "+strings.Repeat("x", refund.MaxNotification)).Code, "bounded",
	)
	e.bank.next(fault{op: "query", err: errLost})
	require.Equal(t, http.StatusInternalServerError, post("paid R1").Code, "asks for redelivery")
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	require.Equal(t, "OK", post("paid R1").Body.String())
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestNotificationAheadOfTheProvider: the notification says succeeded, the query says accepted. The
// query counts.
func TestNotificationAheadOfTheProvider(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	e.bank.next(fault{op: "query", res: isAccepted})
	before := e.order()
	require.NoError(t, e.svc.HandleNotification(bg, success("R1", 4000)))
	require.Equal(t, before, e.order())
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}
