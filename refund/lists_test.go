package refund_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// oldList is a plain store whose list of due refunds was made before they moved on, and one of
// whose lists fails.
type oldList struct {
	refund.Store
	refs []refund.Ref
	err  error
}

func (s oldList) Due(context.Context, time.Time, int) ([]refund.Ref, error) { return s.refs, s.err }

func (s oldList) List(context.Context, refund.Filter) (refund.Page, error) {
	return refund.Page{}, s.err
}

func TestDueLeavesOutWhatHasMovedOn(t *testing.T) {
	e := newEnv(t)
	due, done := e.approvedOf("a", "A1"), e.approvedOf("a", "A2")
	e.process(done)
	e.clock.Advance(time.Minute)
	require.Equal(t, order.StateRefunded, e.process(done).State)
	gone := refund.Ref{OrderID: "A1", RefundNo: "R9"}
	s, err := refund.NewService(
		e.machine,
		oldList{Store: e.store, refs: []refund.Ref{gone, done, due}},
		e.bank,
		refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	got, err := s.DueExcept(bg, 10, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, due, got[0].Ref)
}

// TestListsSayWhatTheyList when the store fails.
func TestListsSayWhatTheyList(t *testing.T) {
	e := newEnv(t)
	s, err := refund.NewService(
		e.machine,
		oldList{Store: e.store, err: errStore},
		e.bank,
		refund.Options{},
	)
	require.NoError(t, err)
	_, due := s.Due(bg, 1)
	_, except := s.DueExcept(bg, 1, nil)
	_, list := s.List(bg, refund.Filter{})
	_, stuck := s.Stuck(bg, refund.Filter{})
	for err, says := range map[error]string{
		due: "list due refunds: ", except: "list due refunds: ", list: "list refunds: ",
		stuck: "list stuck refunds: ",
	} {
		require.ErrorIs(t, err, errStore)
		require.EqualError(t, err, says+"the store is down")
	}
	_, err = s.Due(bg, 0)
	require.EqualError(t, err, "list due refunds: limit: must be above 0")
}

// TestDueEndsWithItsCaller: a list that was interrupted is no list.
func TestDueEndsWithItsCaller(t *testing.T) {
	e := newEnv(t)
	ref := e.approvedOf("a", "A1")
	ctx, cancel := context.WithCancel(bg)
	s, err := refund.NewService(
		e.machine,
		leaving{oldList{Store: e.store, refs: []refund.Ref{ref}}, cancel},
		e.bank,
		refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	due, err := s.DueExcept(ctx, 10, nil)
	require.EqualError(t, err, "list due refunds: context canceled")
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, due)
}

// leaving is a store whose caller goes away while it reads an order.
type leaving struct {
	oldList
	leave func()
}

func (s leaving) Get(ctx context.Context, id string) (*order.Order, error) {
	s.leave()
	return s.oldList.Get(ctx, id)
}

// TestDueLimitsWhatIsWanted: the gateways that are left out do not use up the limit of a store that
// knows them.
func TestDueLimitsWhatIsWanted(t *testing.T) {
	e := newEnv(t)
	e.approvedOf("a", "A1")
	e.clock.Advance(time.Second)
	wanted := e.approvedOf("b", "B1")
	due, err := e.svc.DueExcept(bg, 1, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []refund.DueRefund{{Ref: wanted, Gateway: "b", At: e.clock.Now()}}, due)
}

// TestStuckAsksForNoMoreThanCanBeStuck: what was requested since cannot have been approved before.
func TestStuckAsksForNoMoreThanCanBeStuck(t *testing.T) {
	e := newEnv(t)
	var asked refund.Filter
	s, err := refund.NewService(e.machine, filters{e.store, &asked}, e.bank, refund.Options{
		Now: e.clock.Now, AlertAfter: time.Hour,
	})
	require.NoError(t, err)
	last := e.clock.Now().Add(-time.Hour + time.Microsecond)
	for given, want := range map[time.Time]time.Time{
		{}: last, last: last, last.Add(time.Second): last, last.Add(-time.Second): last.Add(-time.Second),
	} {
		_, err := s.Stuck(bg, refund.Filter{To: given, OrderID: "O"})
		require.NoError(t, err)
		require.Equal(
			t,
			refund.Filter{States: []order.State{order.StateApproved}, To: want, OrderID: "O"},
			asked,
		)
	}
}

// filters notes what a store is asked to list.
type filters struct {
	refund.Store
	asked *refund.Filter
}

func (s filters) List(ctx context.Context, f refund.Filter) (refund.Page, error) {
	*s.asked = f
	return s.Store.List(ctx, f)
}

// TestHandlerSaysWhichGateway: the endpoint decides for which gateway a notification is, and not
// the message.
func TestHandlerSaysWhichGateway(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 4000))
	two, err := refund.NewGateways(
		map[string]refund.RefundGateway{"bank": reader{e.bank}, "other": reader{e.bank}},
	)
	require.NoError(t, err)
	h, err := e.service(two, refund.Options{Now: e.clock.Now}).NotificationHandler("other")
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notify", strings.NewReader("paid R1")))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, order.StateApproved, e.refund("R1").State)

	_, err = e.svc.NotificationHandler("bank")
	require.EqualError(t, err, `notification handler for gateway "bank": not supported by the gateway`)
	router, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": e.bank})
	require.NoError(t, err)
	_, err = e.service(router, refund.Options{}).NotificationHandler("x")
	require.EqualError(t, err, `notification handler: gateway "x": unknown gateway`)
}
