package order_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// mostPressing is the rule of the documentation, read off a list.
func mostPressing(states []order.State, refunded, total int64) order.State {
	for _, s := range []order.State{
		order.StateAbnormal, order.StateApproved, order.StateRefundRequested, order.StateFailed,
	} {
		if slices.Contains(states, s) {
			return s
		}
	}
	if refunded >= total {
		return order.StateRefunded
	}
	return order.StatePaid
}

// TestOrderShowsTheMostPressingRefund puts every three states side by side, in every order, on
// orders with and without a rest.
func TestOrderShowsTheMostPressingRefund(t *testing.T) {
	m := newMachine(t)
	states := coreStates()[1:]
	for _, total := range []int64{30, 31} {
		for _, a := range states {
			for _, b := range states {
				for _, c := range states {
					o := newOrder(total)
					three := []order.State{a, b, c}
					for i, s := range three {
						addRefund(t, m, o, []string{"R1", "R2", "R3"}[i], 10, s)
					}
					require.Equal(t, mostPressing(three, o.Refunded, total), o.State, "%v of %d",
						three, total)
				}
			}
		}
	}
}

func TestOrderIsRefundedOnceAllIs(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 60, order.StateApproved)
	require.Zero(t, o.Refunded)
	fire(t, m, o, order.EventSettle, "R1", 0)
	require.Equal(t, int64(60), o.Refunded)
	require.Equal(t, order.StatePaid, o.State)
	require.Equal(t, int64(40), o.Refundable())
	addRefund(t, m, o, "R2", 40, order.StateRefunded)
	require.Equal(t, int64(100), o.Refunded)
	require.Equal(t, order.StateRefunded, o.State)
	require.Zero(t, o.Refundable())
	require.Empty(t, m.Available(o, "R2"))
}

func TestReleasedAmountCanBeAskedForAgain(t *testing.T) {
	m := newMachine(t)
	for _, s := range []order.State{
		order.StateRejected, order.StateCancelled,
		order.StateAbandoned,
	} {
		o := newOrder(100)
		addRefund(t, m, o, "R1", 100, s)
		require.Equal(t, order.StatePaid, o.State)
		addRefund(t, m, o, "R2", 100, order.StateRefunded)
		require.Equal(t, order.StateRefunded, o.State)
	}
}

func TestFailedRefundKeepsItsReservation(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateFailed)
	require.ErrorIs(t, refuse(t, m, o, trigger(order.EventRequestRefund, "R2", 41)), order.ErrAmount)
	fire(t, m, o, order.EventSettle, "R1", 0) // the late success still counts
	require.Equal(t, int64(60), o.Refunded)
}

// Money that moved for a refund which had been given up, after its amount was refunded under a new
// number.
func TestAdoptMayExceedTheTotal(t *testing.T) {
	m := newMachine(t)
	for _, s := range []order.State{
		order.StateRejected, order.StateCancelled,
		order.StateAbandoned,
	} {
		o := newOrder(100)
		addRefund(t, m, o, "R1", 60, s)
		addRefund(t, m, o, "R2", 100, order.StateRefunded)
		require.Equal(t, order.StateRefunded, o.State)

		fire(t, m, o, order.EventAdopt, "R1", 0)
		require.Equal(t, order.StateApproved, o.State)
		require.Equal(t, int64(60), o.Excess())
		require.Zero(t, o.Refundable())
		require.ErrorIs(t, refuse(t, m, o, trigger(order.EventRequestRefund, "R3", 1)),
			order.ErrAmount)

		fire(t, m, o, order.EventSettle, "R1", 0)
		require.Equal(t, order.StateRefunded, o.State)
		require.Equal(t, int64(160), o.Refunded)
		require.Equal(t, int64(60), o.Excess())
	}
}

func TestAdoptedRefundIsReservedAndDue(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 30, order.StateRefundRequested)
	tr := fire(t, m, o, order.EventAdopt, "console-1", 70)
	require.Equal(t, order.StatePaid, tr.From)
	require.Equal(t, order.StateApproved, o.State)
	require.Zero(t, o.Excess())
	require.Zero(t, o.Refundable())
	r := o.Refund("console-1")
	require.Equal(t, tr.At, r.RequestedAt)
	require.Equal(t, tr.At, r.NextAttemptAt, "it is polled like any other")
	require.Equal(t, order.Actor("staff:7"), r.RequestedBy)
}

func TestAdoptKeepsTheReservation(t *testing.T) {
	m := newMachine(t)
	for _, s := range []order.State{order.StateRefundRequested, order.StateFailed} {
		o := inState(t, m, s)
		fire(t, m, o, order.EventAdopt, "R1", 0)
		require.Equal(t, int64(60), o.Reserved, s)
	}
}

// A refund that was requested before an adoption used its amount up must not be sent.
func TestNothingIsApprovedBeyondTheTotal(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 30, order.StateFailed)
	addRefund(t, m, o, "R2", 60, order.StateRefundRequested)
	fire(t, m, o, order.EventAdopt, "console-1", 40)
	require.Equal(t, int64(30), o.Excess())
	for number, ev := range map[string]order.Event{"R1": order.EventRetry, "R2": order.EventApprove} {
		require.NotContains(t, m.Available(o, number), ev)
		err := refuse(t, m, o, trigger(ev, number, 0))
		require.ErrorIs(t, err, order.ErrTransition)
		require.ErrorContains(t, err, "exceed its total by 30")
	}
	fire(t, m, o, order.EventAbandon, "R1", 0)
	fire(t, m, o, order.EventApprove, "R2", 0)
	require.Zero(t, o.Excess())
}
