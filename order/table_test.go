package order_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// want is the table of the package documentation, written out a second time by hand.
type want struct {
	ev                 order.Event
	from, to           order.State
	refunded, reserved int64
	orderTo            order.State
}

func wantRows() []want {
	const none, paid = 0, order.StatePaid
	return []want{
		{
			order.EventRequestRefund, paid, order.StateRefundRequested, none, 60,
			order.StateRefundRequested,
		},
		{
			order.EventApprove, order.StateRefundRequested, order.StateApproved, none, 60,
			order.StateApproved,
		},
		{order.EventReject, order.StateRefundRequested, order.StateRejected, none, none, paid},
		{order.EventCancel, order.StateRefundRequested, order.StateCancelled, none, none, paid},
		{order.EventCancel, order.StateApproved, order.StateCancelled, none, none, paid},
		{order.EventSettle, order.StateApproved, order.StateRefunded, 60, none, paid},
		{order.EventSettle, order.StateAbnormal, order.StateRefunded, 60, none, paid},
		{order.EventSettle, order.StateFailed, order.StateRefunded, 60, none, paid},
		{order.EventFail, order.StateApproved, order.StateFailed, none, 60, order.StateFailed},
		{order.EventFail, order.StateAbnormal, order.StateFailed, none, 60, order.StateFailed},
		{order.EventHold, order.StateApproved, order.StateAbnormal, none, 60, order.StateAbnormal},
		{order.EventRetry, order.StateFailed, order.StateApproved, none, 60, order.StateApproved},
		{order.EventAbandon, order.StateFailed, order.StateAbandoned, none, none, paid},
		{order.EventAdopt, paid, order.StateApproved, none, 60, order.StateApproved},
		{
			order.EventAdopt, order.StateRefundRequested, order.StateApproved, none, 60,
			order.StateApproved,
		},
		{order.EventAdopt, order.StateFailed, order.StateApproved, none, 60, order.StateApproved},
		{order.EventAdopt, order.StateRejected, order.StateApproved, none, 60, order.StateApproved},
		{
			order.EventAdopt, order.StateCancelled, order.StateApproved, none, 60,
			order.StateApproved,
		},
		{
			order.EventAdopt, order.StateAbandoned, order.StateApproved, none, 60,
			order.StateApproved,
		},
	}
}

func TestEveryRowMovesAsWritten(t *testing.T) {
	m := newMachine(t)
	for _, w := range wantRows() {
		t.Run(string(w.ev)+" from "+string(w.from), func(t *testing.T) {
			o := inState(t, m, w.from)
			before := o.Clone()
			tr := fire(t, m, o, w.ev, "R1", 60)
			require.Equal(t, order.Transition{
				Seq: before.Seq + 1, Event: w.ev, RefundNo: "R1", From: w.from, To: w.to,
				OrderFrom: before.State, OrderTo: w.orderTo, Actor: "staff:7", Note: "seen",
				At: trigger("", "", 0).At,
			}, tr)
			require.Equal(t, w.to, o.Refund("R1").State)
			require.Equal(t, int64(60), o.Refund("R1").Amount)
			require.Equal(t, w.refunded, o.Refunded)
			require.Equal(t, w.reserved, o.Reserved)
			require.Equal(t, w.orderTo, o.State)
			require.Equal(t, tr.At, o.UpdatedAt)
			require.Equal(t, append(before.History, tr), o.History)
			require.Equal(t, int64(1), o.Version, "the store keeps it")
		})
	}
}

// TestOnlyRowsOfTheTableMove asks Rows, Available, Can and Fire about every (event, state), known
// and unknown.
func TestOnlyRowsOfTheTableMove(t *testing.T) {
	m := newMachine(t)
	table := map[order.Event]map[order.State]bool{}
	for _, w := range wantRows() {
		if table[w.ev] == nil {
			table[w.ev] = map[order.State]bool{}
		}
		table[w.ev][w.from] = true
	}
	require.Len(t, m.Rows(), len(wantRows()))
	for _, r := range m.Rows() {
		require.True(t, table[r.Event][r.From], "%v", r)
	}

	events := append(coreEvents(), "", "settled", "Settle", "settle ", "event", "state", "before_settle")
	states := append(coreStates(), "", "aproved", "Approved", "event", "state")
	for _, s := range states {
		o := newOrder(100)
		switch path := pathTo(s); {
		case path != nil:
			addRefund(t, m, o, "R1", 60, s)
		default: // paid, or a state that the machine does not know: as a store might return it
			o.Refunds = []order.Refund{{No: "R1", Amount: 60, State: s}}
		}
		for _, ev := range events {
			t.Run(string(ev)+" from "+string(s), func(t *testing.T) {
				possible := table[ev][s]
				require.Equal(t, possible, slices.Contains(m.Available(o, "R1"), ev))
				if possible {
					_, err := m.Fire(context.Background(), o.Clone(), trigger(ev, "R1", 60))
					require.NoError(t, err)
					return
				}
				require.NotContains(t, m.Available(o, "R1"), ev)
				err := refuse(t, m, o, trigger(ev, "R1", 60))
				require.ErrorIs(t, err, order.ErrTransition)
				var te *order.TransitionError
				require.ErrorAs(t, err, &te)
				require.Equal(t, &order.TransitionError{
					OrderID: "O1", RefundNo: "R1", Event: ev, From: s, Available: m.Available(o, "R1"),
				}, te)
			})
		}
	}
}

func TestUnknownRefundIsNotFound(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, []order.Event{order.EventAdopt, order.EventRequestRefund},
		m.Available(newOrder(100), "R1"))
	for _, ev := range append(coreEvents(), "no_such_event") {
		if ev == order.EventRequestRefund || ev == order.EventAdopt {
			continue
		}
		err := refuse(t, m, newOrder(100), trigger(ev, "R1", 60))
		require.ErrorIs(t, err, order.ErrRefundNotFound, ev)
		require.ErrorContains(t, err, string(ev)+" refund R1 of order O1")
	}
}

func TestRefundNumberCannotBeUsedTwice(t *testing.T) {
	m := newMachine(t)
	for _, s := range coreStates() {
		if s == order.StatePaid {
			continue
		}
		o := inState(t, m, s)
		require.ErrorIs(t, refuse(t, m, o, trigger(order.EventRequestRefund, "R1", 10)),
			order.ErrTransition, s)
	}
}

func TestRequestIsLimitedToTheRefundableAmount(t *testing.T) {
	m := newMachine(t)
	for name, c := range map[string]struct {
		amount int64
		ok     bool
	}{
		"zero": {0, false}, "negative": {-1, false}, "least int": {math.MinInt64, false}, "greatest int": {math.MaxInt64, false},
		"more than left": {41, false}, "exactly left": {40, true}, "one": {1, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := inState(t, m, order.StateRefundRequested) // 60 of 100 are taken
			if c.ok {
				fire(t, m, o, order.EventRequestRefund, "R2", c.amount)
				require.Equal(t, 40-c.amount, o.Refundable())
				return
			}
			err := refuse(t, m, o, trigger(order.EventRequestRefund, "R2", c.amount))
			var ae *order.AmountError
			require.ErrorAs(t, err, &ae)
			require.Equal(t, &order.AmountError{OrderID: "O1", Asked: c.amount, Left: 40}, ae)
		})
	}
}

func TestFullyReservedOrderRefusesRequests(t *testing.T) {
	m, o := newMachine(t), newOrder(60)
	addRefund(t, m, o, "R1", 60, order.StateApproved)
	require.Equal(t, []order.Event{order.EventAdopt}, m.Available(o, "R2"))
	require.ErrorIs(t, refuse(t, m, o, trigger(order.EventRequestRefund, "R2", 1)), order.ErrAmount)
}

func TestAdoptIsLimitedToMaxAmount(t *testing.T) {
	m := newMachine(t)
	for _, amount := range []int64{0, -1, math.MinInt64, math.MaxInt64, order.MaxAmount + 1} {
		var ae *order.AmountError
		require.ErrorAs(t, refuse(t, m, newOrder(100), trigger(order.EventAdopt, "R1", amount)), &ae)
		require.Equal(t, &order.AmountError{OrderID: "O1", Asked: amount, Left: order.MaxAmount}, ae)
	}
	o := newOrder(100)
	fire(t, m, o, order.EventAdopt, "R1", order.MaxAmount)
	require.Equal(t, order.MaxAmount-100, o.Excess())
	require.Zero(t, o.Refundable())
}

// Each adopted refund is bounded, their number is not: the sums must not wrap round.
func TestAdoptNeverOverflows(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	for i := range math.MaxInt64 / order.MaxAmount {
		number := fmt.Sprintf("S%d", i)
		o.Refunds = append(o.Refunds, order.Refund{
			No: number, Amount: order.MaxAmount,
			State: order.StateApproved,
		})
		o.Reserved += order.MaxAmount
	}
	require.ErrorIs(t, refuse(t, m, o, trigger(order.EventAdopt, "R1", order.MaxAmount)),
		order.ErrAmount)
	require.Positive(t, o.Excess())
}

func TestRejectNeedsANote(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateRefundRequested)
	for _, note := range []string{"", " ", "\n\t", "\u3000"} {
		in := trigger(order.EventReject, "R1", 0)
		in.Note = note
		err := refuse(t, m, o, in)
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, "note")
	}
}

func TestSubmittedRefundCannotBeCancelled(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateApproved)
	o.Refund("R1").Attempts = 1
	require.Contains(t, m.Available(o, "R1"), order.EventCancel, "the attempt sent nothing")
	o.Refund("R1").SubmittedAt = t0()
	require.NotContains(t, m.Available(o, "R1"), order.EventCancel)
	o.Refund("R1").SubmittedAt, o.Refund("R1").Outstanding = time.Time{}, true
	require.NotContains(t, m.Available(o, "R1"), order.EventCancel)
	err := refuse(t, m, o, trigger(order.EventCancel, "R1", 0))
	var te *order.TransitionError
	require.ErrorAs(t, err, &te)
	require.Equal(t, []order.Event{order.EventFail, order.EventHold, order.EventSettle},
		te.Available)
	require.Contains(t, te.Reason, "submitted")

	// Failing and retrying counts attempts anew and still does not make it new.
	fire(t, m, o, order.EventFail, "R1", 0)
	fire(t, m, o, order.EventRetry, "R1", 0)
	require.Zero(t, o.Refund("R1").Attempts)
	require.Equal(t, 1, o.Refund("R1").Retries)
	require.ErrorIs(t, refuse(t, m, o, trigger(order.EventCancel, "R1", 0)), order.ErrTransition)
}

func TestAcceptedRefundCannotBeCancelled(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateApproved)
	require.Contains(t, m.Available(o, "R1"), order.EventCancel)
	o.Refund("R1").AcceptedAt = t0()
	require.NotContains(t, m.Available(o, "R1"), order.EventCancel)
	require.ErrorContains(t, refuse(t, m, o, trigger(order.EventCancel, "R1", 0)), "submitted")
}

func TestAdoptedRefundCannotBeCancelled(t *testing.T) {
	m := newMachine(t)
	for _, w := range wantRows() {
		if w.ev != order.EventAdopt {
			continue
		}
		o := inState(t, m, w.from)
		fire(t, m, o, order.EventAdopt, "R1", 60)
		require.Positive(t, o.Refund("R1").Attempts)
		require.True(t, o.Refund("R1").Outstanding)
		require.ErrorIs(t, refuse(t, m, o, trigger(order.EventCancel, "R1", 0)), order.ErrTransition)
	}
}

func TestAmountAndReasonAreFixed(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateRefundRequested)
	in := trigger(order.EventApprove, "R1", 99)
	in.Reason = "not looked at\x00"
	_, err := m.Fire(context.Background(), o, in)
	require.NoError(t, err)
	require.Equal(t, int64(60), o.Refund("R1").Amount)
	require.Equal(t, "too small", o.Refund("R1").Reason)
}
