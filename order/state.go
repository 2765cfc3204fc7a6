package order

// State is where a refund, or an order, stands. It is stored as it is written here. Hosts may add states
// with [Options].Rows.
type State string

// The states of the machine. An order is in one of the first six, or in a state that the host added.
const (
	// StatePaid is an order on which nothing is open and something is left; and where a refund begins.
	StatePaid State = "paid"
	// StateRefundRequested waits for the merchant.
	StateRefundRequested State = "refund_requested"
	// StateApproved lasts from the merchant's yes until the outcome is known: the money may move.
	StateApproved State = "approved"
	// StateAbnormal is money that left the merchant and could not reach the buyer (WeChat: CHANGE).
	StateAbnormal State = "abnormal"
	// StateFailed is a refund to which the provider gave a definite no. It can be retried or abandoned.
	StateFailed State = "failed"
	// StateRefunded is money that the provider confirmed as returned; for an order: nothing is left.
	StateRefunded State = "refunded"

	// StateRejected, StateCancelled and StateAbandoned end a refund without money moving.
	StateRejected  State = "rejected"
	StateCancelled State = "cancelled"
	StateAbandoned State = "abandoned"
)

// Terminal reports whether the refund has ended: refunded, rejected, cancelled or abandoned. Only
// [EventAdopt] leads out of the last three, when the provider turns out to have paid all the same.
func (s State) Terminal() bool {
	switch s {
	case StateRefunded, StateRejected, StateCancelled, StateAbandoned:
		return true
	default:
		return false
	}
}

// holds reports whether a refund in that state reserves its amount: everything that may still pay does.
func (s State) holds() bool { return s != StatePaid && !s.Terminal() }

// Event is what happens to a refund. It is stored as it is written here.
type Event string

// The events of the machine; the package documentation has the table.
const (
	// EventRequestRefund creates a refund and reserves its amount.
	EventRequestRefund Event = "request_refund"
	// EventApprove lets the money move.
	EventApprove Event = "approve"
	// EventReject refuses the refund; a note is required.
	EventReject Event = "reject"
	// EventCancel withdraws the refund before it was submitted.
	EventCancel Event = "cancel"
	// EventSettle records that the provider returned the money.
	EventSettle Event = "settle"
	// EventFail records the provider's definite no.
	EventFail Event = "fail"
	// EventHold records that the money left and could not arrive.
	EventHold Event = "hold"
	// EventRetry sends a failed refund again, under the same number.
	EventRetry Event = "retry"
	// EventAbandon gives a failed refund up and releases its amount.
	EventAbandon Event = "abandon"
	// EventAdopt takes a refund into the book that the provider holds and the book does not.
	EventAdopt Event = "adopt"
)

// IsFact reports whether e records what the provider did (adopt, settle, fail, hold). Every other event is
// somebody's decision, which guards may veto.
func (e Event) IsFact() bool {
	switch e {
	case EventAdopt, EventSettle, EventFail, EventHold:
		return true
	default:
		return false
	}
}
