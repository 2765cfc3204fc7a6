package order_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// TestVerifyCatchesTampering spoils a sound order in one way at a time.
func TestVerifyCatchesTampering(t *testing.T) {
	m := newMachine(t)
	sound := newOrder(100)
	addRefund(t, m, sound, "R1", 30, order.StateRefunded)        // transitions 1 to 3
	addRefund(t, m, sound, "R2", 20, order.StateFailed)          // 4 to 6
	addRefund(t, m, sound, "R3", 10, order.StateRejected)        // 7, 8
	addRefund(t, m, sound, "R4", 40, order.StateRefundRequested) // 9
	require.NoError(t, m.Verify(sound))

	for name, c := range map[string]struct {
		spoil func(o *order.Order)
		says  string
	}{
		"no id":            {func(o *order.Order) { o.ID = "" }, "id:"},
		"no currency":      {func(o *order.Order) { o.Currency = "" }, "currency:"},
		"no total":         {func(o *order.Order) { o.Total = 0 }, "total:"},
		"smaller total":    {func(o *order.Order) { o.Total = 89 }, "request_refund refund R4 exceeds the total by 1"},
		"refunded":         {func(o *order.Order) { o.Refunded++ }, "refunded 31"},
		"reserved":         {func(o *order.Order) { o.Reserved = 0 }, "reserved 0"},
		"reserved shifted": {func(o *order.Order) { o.Reserved, o.Refunded = o.Refunded, o.Reserved }, "by its refunds it is"},
		"state":            {func(o *order.Order) { o.State = order.StatePaid }, "state paid"},
		"unknown state":    {func(o *order.Order) { o.State = "" }, "by its refunds it is"},
		"seq too high":     {func(o *order.Order) { o.Seq++ }, "seq is 10 with 9"},
		"seq too low":      {func(o *order.Order) { o.Seq-- }, "seq is 8 with 9"},
		"refund settled": {func(o *order.Order) {
			o.Refunds[1].State, o.Refunded,
				o.Reserved = "refunded", 50, 40
		}, "differ from the 4 of its history"},
		"refund state lost": {func(o *order.Order) { o.Refunds[2].State = "" }, "differ from the 4"},
		"amount raised":     {func(o *order.Order) { o.Refunds[0].Amount, o.Refunded = 130, 130 }, "exceeds the total by"},
		"amount zero":       {func(o *order.Order) { o.Refunds[2].Amount = 0 }, "amount 0"},
		"amount negative":   {func(o *order.Order) { o.Refunds[0].Amount, o.Refunded = -30, -30 }, "amount -30"},
		"amount huge":       {func(o *order.Order) { o.Refunds[2].Amount = order.MaxAmount + 1 }, "amount 1000000000000001"},
		"refund dropped":    {func(o *order.Order) { o.Refunds = slices.Delete(o.Refunds, 2, 3) }, "its 3 refunds"},
		"refund doubled":    {func(o *order.Order) { o.Refunds = append(o.Refunds, o.Refunds[0]) }, "its 5 refunds"},
		"refund invented": {func(o *order.Order) {
			o.Refunds = append(o.Refunds, order.Refund{No: "R5", Amount: 1, State: "rejected"})
		}, "its 5 refunds"},
		"refunds swapped": {func(o *order.Order) {
			o.Refunds[0], o.Refunds[1] = o.Refunds[1],
				o.Refunds[0]
		}, "order or state"},
		"refund renumbered": {func(o *order.Order) { o.Refunds[0].No = "R9" }, "in number"},
		"refund number bad": {func(o *order.Order) { o.Refunds[0].No = "R 1" }, "refund_no:"},
		"history lost":      {func(o *order.Order) { o.History = nil }, "9 with 0 transitions"},
		"history cut":       {func(o *order.Order) { o.History = o.History[:8] }, "9 with 8"},
		"history beheaded":  {func(o *order.Order) { o.History, o.Seq = o.History[1:], 8 }, "transition 1"},
		"history gap":       {func(o *order.Order) { o.History[4].Seq = 6 }, "transition 5"},
		"history doubled":   {func(o *order.Order) { o.History, o.Seq = append(o.History, o.History[8]), 10 }, "transition 10"},
		"history swapped": {func(o *order.Order) {
			o.History[1], o.History[2] = o.History[2],
				o.History[1]
		}, "transition 2"},
		"transition event":  {func(o *order.Order) { o.History[2].Event = order.EventHold }, "hold from approved to refunded is not in the table"},
		"transition from":   {func(o *order.Order) { o.History[2].From = order.StateAbnormal }, "transition 3"},
		"transition to":     {func(o *order.Order) { o.History[7].To = order.StateCancelled }, "transition 8"},
		"transition refund": {func(o *order.Order) { o.History[7].RefundNo = "R2" }, "transition 8"},
		"order from":        {func(o *order.Order) { o.History[1].OrderFrom = order.StatePaid }, "transition 2"},
		"order to":          {func(o *order.Order) { o.History[8].OrderTo = order.StateApproved }, "transition 9"},
		"order to and from": {func(o *order.Order) { o.History[1].OrderTo, o.History[2].OrderFrom = "abnormal", "abnormal" }, "transition 2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := sound.Clone()
			c.spoil(o)
			err := m.Verify(o)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "order "+o.ID+": ")
		})
	}
	require.NoError(t, m.Verify(sound), "spoiling a clone reaches nothing")
}

func TestVerifyReturnsEveryFault(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateApproved)
	o.Seq, o.Reserved, o.Currency = 7, 1, "yuan"
	err := m.Verify(o)
	for _, text := range []string{"currency", "seq is 7", "reserved 1"} {
		require.ErrorContains(t, err, text)
	}
	require.ErrorIs(t, err, order.ErrInvalid)
}

// After an adoption the excess is allowed, but nothing may be asked for on top of it.
func TestVerifyRefusesARequestOnAnExcess(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 100, order.StateRefunded)
	fire(t, m, o, order.EventAdopt, "R2", 50)
	require.NoError(t, m.Verify(o))
	o.History[3].Event = order.EventRequestRefund
	o.History[3].To, o.Refunds[1].State = order.StateRefundRequested, order.StateRefundRequested
	o.History[3].OrderTo, o.State = order.StateRefundRequested, order.StateRefundRequested
	require.ErrorContains(t, m.Verify(o), "request_refund refund R2 exceeds the total by 50")
}

// An approval that came before an adoption is sound; the same two the other way round are not.
func TestVerifyRefusesAnApprovalOnAnExcess(t *testing.T) {
	m := newMachine(t)
	for from, ev := range map[order.State]order.Event{
		order.StateRefundRequested: order.EventApprove, order.StateFailed: order.EventRetry,
	} {
		o := inState(t, m, from)
		fire(t, m, o, ev, "R1", 0)
		fire(t, m, o, order.EventAdopt, "R2", 50)
		h := o.History
		last := len(h) - 1
		h[last-1], h[last] = h[last], h[last-1]
		h[last-1].Seq, h[last].Seq = h[last].Seq, h[last-1].Seq
		h[last-1].OrderFrom, h[last].OrderFrom = h[last].OrderFrom, order.StateApproved
		require.EqualError(t, m.Verify(o), fmt.Sprintf(
			"order O1: transition %d: %s refund R1 exceeds the total by 10", last+1, ev))
	}
}
