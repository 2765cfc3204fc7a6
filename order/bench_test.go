package order_test

import (
	"context"
	"testing"

	"github.com/looplab/fsm"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// BenchmarkFire approves the third refund of an order with a history. Fire is meant to cost at most
// twice a bare FSM. The history has room to grow, as it mostly has.
func BenchmarkFire(b *testing.B) {
	m, o := newMachine(b), newOrder(100)
	addRefund(b, m, o, "R1", 30, order.StateRefunded)
	addRefund(b, m, o, "R2", 20, order.StateFailed)
	addRefund(b, m, o, "R3", 10, order.StateRefundRequested)
	ctx, in, start, r3 := context.Background(), trigger(order.EventApprove, "R3", 0), *o, o.Refunds[2]
	start.History = append(make([]order.Transition, 0, 2*len(o.History)), o.History...)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		*o, o.Refunds[2] = start, r3
		if _, err := m.Fire(ctx, o, in); err != nil {
			b.Fatal(err)
		}
	}
}

func looplabEvents(b *testing.B) fsm.Events {
	b.Helper()
	var events fsm.Events
	for _, r := range newMachine(b).Rows() {
		events = append(events, fsm.EventDesc{
			Name: string(r.Event), Src: []string{string(r.From)},
			Dst: string(r.To),
		})
	}
	return events
}

// BenchmarkNewFSMPerTransition builds an FSM for every move, as looplab's own examples do.
func BenchmarkNewFSMPerTransition(b *testing.B) {
	ctx, events := context.Background(), looplabEvents(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f := fsm.NewFSM(string(order.StateRefundRequested), events, nil)
		if err := f.Event(ctx, string(order.EventApprove)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareFSM is the least that looplab takes: one FSM, SetState and Event, no order.
func BenchmarkBareFSM(b *testing.B) {
	ctx := context.Background()
	f := fsm.NewFSM(string(order.StatePaid), looplabEvents(b), nil)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f.SetState(string(order.StateRefundRequested))
		if err := f.Event(ctx, string(order.EventApprove)); err != nil {
			b.Fatal(err)
		}
	}
	require.Equal(b, string(order.StateApproved), f.Current())
}
