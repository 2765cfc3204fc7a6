package order_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/orderfsm/orderfsm/order"
)

// The diagram of a machine with a state of the host's own, for its documents: it cannot go stale.
func ExampleMachine_Mermaid() {
	m, err := order.NewMachine(order.Options{Rows: []order.Row{
		{Event: "await_goods", From: order.StateRefundRequested, To: "goods_returning"},
		{Event: order.EventApprove, From: "goods_returning", To: order.StateApproved},
	}})
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(m.Mermaid(), "\n") {
		if strings.Contains(line, "goods_returning") { // the rest is the README's diagram
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// refund_requested --> goods_returning: await_goods
	// goods_returning --> approved: approve
	// goods_returning --> approved: adopt
}

// An audit walks an order's history through the table: a book that was changed by hand is found.
func ExampleMachine_Verify() {
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		panic(err)
	}
	o := exampleOrder()
	for _, ev := range []order.Event{order.EventRequestRefund, order.EventApprove} {
		if _, err := m.Fire(context.Background(), o, exampleTrigger(ev)); err != nil {
			panic(err)
		}
	}
	fmt.Println(m.Verify(o))

	o.Refunds[0].State = order.StateRefunded
	fmt.Println(m.Verify(o))
	// Output:
	// <nil>
	// order O1: its 1 refunds differ from the 1 of its history in number, order or state
	// order O1: refunded 0, reserved 10000, state approved; by its refunds it is 10000, 0, refunded
}
