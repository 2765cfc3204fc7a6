package order_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func t0() time.Time { return time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC) }

func newMachine(t testing.TB, rows ...order.Row) *order.Machine {
	t.Helper()
	return machine(t, order.Options{Rows: rows})
}

func guarded(t testing.TB, guards ...order.Guard) *order.Machine {
	t.Helper()
	return machine(t, order.Options{Guards: guards})
}

func machine(t testing.TB, opts order.Options) *order.Machine {
	t.Helper()
	m, err := order.NewMachine(opts)
	require.NoError(t, err)
	return m
}

// newOrder is a paid order that passes Validate.
func newOrder(total int64) *order.Order {
	return &order.Order{
		ID: "O1", Gateway: "wechat", PaymentID: "420000", Currency: "CNY", Total: total,
		State: order.StatePaid, PaidAt: t0(), CreatedAt: t0(), UpdatedAt: t0(), Version: 1,
	}
}

func trigger(ev order.Event, number string, amount int64) order.Trigger {
	return order.Trigger{
		Event: ev, RefundNo: number, Amount: amount, Reason: "too small", Actor: "staff:7",
		Note: "seen", At: t0().Add(time.Minute),
	}
}

// fire must succeed and leave an order that Verify accepts.
func fire(
	t testing.TB, m *order.Machine, o *order.Order, ev order.Event, number string, amount int64,
) order.Transition {
	t.Helper()
	tr, err := m.Fire(context.Background(), o, trigger(ev, number, amount))
	require.NoError(t, err)
	require.NoError(t, m.Verify(o))
	return tr
}

// refuse must fail and leave the order untouched: equal, and byte for byte the same JSON.
func refuse(
	t testing.TB, m *order.Machine, o *order.Order, in order.Trigger, guards ...order.Guard,
) error {
	t.Helper()
	before, bytes := o.Clone(), toJSON(t, o)
	tr, err := m.Fire(context.Background(), o, in, guards...)
	require.Error(t, err)
	require.Zero(t, tr)
	require.Equal(t, before, o)
	require.Equal(t, bytes, toJSON(t, o))
	return err
}

func toJSON(t require.TestingT, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// pathTo lists the events that take a new refund to a core state.
func pathTo(s order.State) []order.Event {
	request, approve := order.EventRequestRefund, order.EventApprove
	return map[order.State][]order.Event{
		order.StatePaid:            nil,
		order.StateRefundRequested: {request},
		order.StateApproved:        {request, approve},
		order.StateAbnormal:        {request, approve, order.EventHold},
		order.StateFailed:          {request, approve, order.EventFail},
		order.StateRefunded:        {request, approve, order.EventSettle},
		order.StateRejected:        {request, order.EventReject},
		order.StateCancelled:       {request, order.EventCancel},
		order.StateAbandoned:       {request, approve, order.EventFail, order.EventAbandon},
	}[s]
}

func coreStates() []order.State {
	return []order.State{
		order.StatePaid, order.StateRefundRequested, order.StateApproved, order.StateAbnormal,
		order.StateFailed,
		order.StateRefunded, order.StateRejected, order.StateCancelled, order.StateAbandoned,
	}
}

func coreEvents() []order.Event {
	return []order.Event{
		order.EventRequestRefund, order.EventApprove, order.EventReject, order.EventCancel,
		order.EventSettle,
		order.EventFail, order.EventHold, order.EventRetry, order.EventAbandon, order.EventAdopt,
	}
}

// addRefund puts a refund of that amount, in that core state, on o.
func addRefund(
	t testing.TB, m *order.Machine, o *order.Order, number string, amount int64, s order.State,
) {
	t.Helper()
	for _, ev := range pathTo(s) {
		fire(t, m, o, ev, number, amount)
	}
}

// inState is an order of 100 with refund R1 of 60 in that state; none for paid.
func inState(t testing.TB, m *order.Machine, s order.State) *order.Order {
	t.Helper()
	o := newOrder(100)
	addRefund(t, m, o, "R1", 60, s)
	return o
}
