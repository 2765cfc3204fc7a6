package customhooks

import "github.com/orderfsm/orderfsm/order"

// The states and events that the shop adds to the review. The store keeps these strings.
const (
	// StateGoodsReturning waits for the goods. A refund in it cannot be approved.
	StateGoodsReturning order.State = "goods_returning"
	// StateSecondReview waits for a second person. The first one has proposed the refund.
	StateSecondReview order.State = "second_review"

	// EventAskReturn asks the buyer to send the goods back.
	EventAskReturn order.Event = "ask_return"
	// EventGoodsArrived returns the refund to review. The goods are in the warehouse.
	EventGoodsArrived order.Event = "goods_arrived"
	// EventPropose records the agreement of the first of two people.
	EventPropose order.Event = "propose"
)

// rows returns the rows that the shop adds to the table. No row approves a refund in
// goods_returning, so no guard has to refuse it.
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

// NewMachine returns the shop's machine: the core's table with the shop's rows and rules. The rules
// read the history of an order from book.
func NewMachine(r Rules, book Book) (*order.Machine, error) {
	return order.NewMachine(order.Options{
		Rows: rows(), Guards: []order.Guard{rules{r, book}.guard},
	})
}
