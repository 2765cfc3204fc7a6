package customhooks

import "github.com/orderfsm/orderfsm/order"

// The states and events that the shop adds to the review. They are stored as they are written here.
const (
	// StateGoodsReturning waits for the goods; nothing can be approved there.
	StateGoodsReturning order.State = "goods_returning"
	// StateSecondReview has one person's yes and waits for another's.
	StateSecondReview order.State = "second_review"

	// EventAskReturn tells the buyer to send the goods back.
	EventAskReturn order.Event = "ask_return"
	// EventGoodsArrived puts the refund back in review, with the goods in the warehouse.
	EventGoodsArrived order.Event = "goods_arrived"
	// EventPropose is the first of two people saying yes.
	EventPropose order.Event = "propose"
)

// rows are what the shop adds to the table. There is no row that approves from goods_returning:
// what the table does not have needs no guard.
func rows() []order.Row {
	return []order.Row{
		{Event: EventAskReturn, From: order.StateRefundRequested, To: StateGoodsReturning},
		{Event: EventGoodsArrived, From: StateGoodsReturning, To: order.StateRefundRequested},
		{Event: order.EventReject, From: StateGoodsReturning, To: order.StateRejected},
		{Event: order.EventCancel, From: StateGoodsReturning, To: order.StateCancelled},

		{Event: EventPropose, From: order.StateRefundRequested, To: StateSecondReview},
		{Event: order.EventApprove, From: StateSecondReview, To: order.StateApproved},
		{Event: order.EventReject, From: StateSecondReview, To: order.StateRejected},
		{Event: order.EventCancel, From: StateSecondReview, To: order.StateCancelled},
	}
}

// NewMachine returns the shop's machine: the core's table, its own rows, and its rules, which look
// things up in book.
func NewMachine(r Rules, book Book) (*order.Machine, error) {
	return order.NewMachine(order.Options{Rows: rows(), Guards: []order.Guard{rules{r, book}.guard}})
}
