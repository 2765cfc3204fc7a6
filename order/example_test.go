package order_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

func exampleOrder() *order.Order {
	return &order.Order{
		ID: "O1", Gateway: "wechat", Currency: "CNY", Total: 10000, State: order.StatePaid,
	}
}

func exampleTrigger(ev order.Event) order.Trigger {
	return order.Trigger{
		Event: ev, RefundNo: "R1", Amount: 10000, Reason: "arrived broken", Actor: "staff:7",
		At: time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC),
	}
}

func ExampleMachine_Fire() {
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		panic(err)
	}
	ctx, o := context.Background(), exampleOrder()
	for _, ev := range []order.Event{
		order.EventRequestRefund, order.EventApprove,
		order.EventSettle,
	} {
		t, err := m.Fire(ctx, o, exampleTrigger(ev))
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d %s: %s → %s, reserved %d, refunded %d\n", t.Seq, t.Event, t.OrderFrom, t.OrderTo, o.Reserved, o.Refunded)
	}

	_, err = m.Fire(ctx, o, exampleTrigger(order.EventCancel))
	fmt.Println(errors.Is(err, order.ErrTransition))
	fmt.Println(err)
	// Output:
	// 1 request_refund: paid → refund_requested, reserved 10000, refunded 0
	// 2 approve: refund_requested → approved, reserved 10000, refunded 0
	// 3 settle: approved → refunded, reserved 0, refunded 10000
	// true
	// cancel refund R1 of order O1: not allowed in state refunded (possible now: nothing)
}

func ExampleMachine_Available() {
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		panic(err)
	}
	o := exampleOrder()
	fmt.Println(m.Available(o, "R1"))
	if _, err := m.Fire(context.Background(), o,
		exampleTrigger(order.EventRequestRefund)); err != nil {
		panic(err)
	}
	fmt.Println(m.Available(o, "R1"))
	fmt.Println("another refund:", m.Available(o, "R2")) // nothing is left to ask for
	// Output:
	// [adopt request_refund]
	// [adopt approve cancel reject]
	// another refund: [adopt]
}

// A second reviewer looks at a refund before it can be approved.
func ExampleOptions_rows() {
	const reviewed order.State = "reviewed"
	m, err := order.NewMachine(order.Options{Rows: []order.Row{
		{Event: "second_review", From: order.StateRefundRequested, To: reviewed},
		{Event: order.EventApprove, From: reviewed, To: order.StateApproved},
		{Event: order.EventReject, From: reviewed, To: order.StateRejected},
		{Event: order.EventCancel, From: reviewed, To: order.StateCancelled},
	}})
	if err != nil {
		panic(err)
	}
	o := exampleOrder()
	for _, ev := range []order.Event{order.EventRequestRefund, "second_review", order.EventApprove} {
		if _, err := m.Fire(context.Background(), o, exampleTrigger(ev)); err != nil {
			panic(err)
		}
		fmt.Println(o.State, o.Reserved)
	}

	_, err = order.NewMachine(order.Options{Rows: []order.Row{
		{Event: "pay", From: order.StateRefundRequested, To: order.StateRefunded},
	}})
	fmt.Println(err)
	// Output:
	// refund_requested 10000
	// reviewed 10000
	// approved 10000
	// new machine: row pay: refund_requested → refunded: only approve, reject and cancel leave the review
}

// The requester of a refund cannot approve it.
func ExampleOptions_guards() {
	fourEyes := func(_ context.Context, o *order.Order, t order.Transition) error {
		if t.Event == order.EventApprove && o.Refund(t.RefundNo).RequestedBy == t.Actor {
			return fmt.Errorf("%s asked for it", t.Actor)
		}
		return nil
	}
	m, err := order.NewMachine(order.Options{Guards: []order.Guard{fourEyes}})
	if err != nil {
		panic(err)
	}
	o := exampleOrder()
	if _, err := m.Fire(context.Background(), o,
		exampleTrigger(order.EventRequestRefund)); err != nil {
		panic(err)
	}
	_, err = m.Fire(context.Background(), o, exampleTrigger(order.EventApprove))
	fmt.Println(errors.Is(err, order.ErrVetoed), o.State)
	fmt.Println(err)
	// Output:
	// true refund_requested
	// approve refund R1 of order O1: vetoed: staff:7 asked for it
}
