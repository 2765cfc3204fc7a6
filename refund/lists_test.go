package refund_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// noLists is a store whose lists fail.
type noLists struct{ refund.Store }

func (noLists) Due(context.Context, refund.DueQuery) ([]refund.DueRefund, error) {
	return nil, errStore
}

func (noLists) ListRefunds(context.Context, refund.Filter) (refund.Page, error) {
	return refund.Page{}, errStore
}

// TestListErrorsNameTheList: when the store fails.
func TestListErrorsNameTheList(t *testing.T) {
	e := newEnv(t)
	s, err := refund.NewService(
		e.machine,
		noLists{e.store},
		e.bank,
		refund.Options{},
	)
	require.NoError(t, err)
	_, due := s.Due(bg, 1, nil)
	_, list := s.ListRefunds(bg, refund.Filter{})
	_, stuck := s.Stuck(bg, refund.Filter{})
	for err, says := range map[error]string{
		due: "list due refunds: ", list: "list refunds: ",
		stuck: "list stuck refunds: ",
	} {
		require.ErrorIs(t, err, errStore)
		require.EqualError(t, err, says+"the store is down")
	}
	_, err = s.Due(bg, 0, nil)
	require.EqualError(t, err, "list due refunds: limit: must be above 0")
}

// TestDueLimitIgnoresExceptedGateways: the refunds of the gateways in except do not count for the
// limit.
func TestDueLimitIgnoresExceptedGateways(t *testing.T) {
	e := newEnv(t)
	e.approvedOf("a", "A1")
	e.clock.Advance(time.Second)
	wanted := e.approvedOf("b", "B1")
	due, err := e.svc.Due(bg, 1, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []refund.DueRefund{{Ref: wanted, Gateway: "b", At: e.clock.Now()}}, due)
}

// claiming reads notifications that claim to be of the gateway bank.
type claiming struct{ *refundtest.Gateway }

func (c claiming) ReadNotification(r *http.Request) (refund.Notification, error) {
	n, err := c.Gateway.ReadNotification(r)
	n.Gateway = "bank"
	return n, err
}

// TestHandlerSetsTheGateway: the endpoint decides which gateway a notification is for, and not the
// message.
func TestHandlerSetsTheGateway(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	two, err := refund.NewGateways(
		map[string]refund.RefundGateway{"bank": e.bank, "other": claiming{e.bank}},
	)
	require.NoError(t, err)
	h, err := e.service(two, refund.Options{Now: e.clock.Now}).NotificationHandler("other")
	require.NoError(t, err)
	post, err := e.bank.Notify("R1", "/notify")
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, post)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, order.StateApproved, e.refund("R1").State)

	_, err = e.svc.NotificationHandler("bank")
	require.EqualError(
		t, err, `notification handler for gateway "bank": not supported by the gateway`,
	)
	router, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": e.bank})
	require.NoError(t, err)
	_, err = e.service(router, refund.Options{}).NotificationHandler("x")
	require.EqualError(t, err, `notification handler: gateway "x": unknown gateway`)
}
