package order

// State is the state of a refund or an order. Its value is what is stored. Hosts may add states
// with [Options].Rows.
type State string

// The states of the machine. An order is in one of the first six or in an added state.
const (
	// StatePaid is an order that has no open refund and is not fully refunded. A refund starts in
	// it.
	StatePaid State = "paid"
	// StateRefundRequested waits for the merchant's decision.
	StateRefundRequested State = "refund_requested"
	// StateApproved lasts from the approval until the outcome is known. The money may move.
	StateApproved State = "approved"
	// StateAbnormal means that the money left the merchant but could not reach the buyer (WeChat:
	// CHANGE).
	StateAbnormal State = "abnormal"
	// StateFailed means that the provider definitely refused. The refund can be retried or
	// abandoned.
	StateFailed State = "failed"
	// StateRefunded means that the money was returned; for an order, all of it.
	StateRefunded State = "refunded"

	// StateRejected, StateCancelled and StateAbandoned end a refund without a payment.
	StateRejected  State = "rejected"
	StateCancelled State = "cancelled"
	StateAbandoned State = "abandoned"
)

// Terminal reports whether s is an end state: refunded, rejected, cancelled or abandoned. Only
// [EventAdopt] leads out of the last three, if the provider turns out to hold the refund.
func (s State) Terminal() bool {
	switch s {
	case StateRefunded, StateRejected, StateCancelled, StateAbandoned:
		return true
	default:
		return false
	}
}

// reserves reports whether a refund in state s reserves its amount, because it may still pay.
func (s State) reserves() bool { return s != StatePaid && !s.Terminal() }

// Event is what happens to a refund. Its value is what is stored.
type Event string

// The events of the machine; the package documentation has the table.
const (
	// EventRequestRefund creates a refund and reserves its amount.
	EventRequestRefund Event = "request_refund"
	// EventApprove allows the refund to be submitted to the provider.
	EventApprove Event = "approve"
	// EventReject refuses the refund; a note is required.
	EventReject Event = "reject"
	// EventCancel withdraws a refund that was never submitted.
	EventCancel Event = "cancel"
	// EventSettle records that the provider returned the money.
	EventSettle Event = "settle"
	// EventFail records that the provider definitely refused the refund.
	EventFail Event = "fail"
	// EventHold records that the money left the merchant but could not arrive.
	EventHold Event = "hold"
	// EventRetry submits a failed refund again, with the same number.
	EventRetry Event = "retry"
	// EventAbandon ends a failed refund and releases its amount.
	EventAbandon Event = "abandon"
	// EventAdopt records a refund that the provider holds but the book does not expect.
	EventAdopt Event = "adopt"
)

// IsFact reports whether e records what the provider did: adopt, settle, fail or hold. Every other
// event is a decision, which guards may veto.
func (e Event) IsFact() bool {
	switch e {
	case EventAdopt, EventSettle, EventFail, EventHold:
		return true
	default:
		return false
	}
}
