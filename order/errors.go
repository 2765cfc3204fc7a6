package order

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels for errors.Is. The typed errors of this package match them.
var (
	// ErrTransition is returned if the refund's state does not allow the event; see
	// [*TransitionError].
	ErrTransition = errors.New("transition not allowed")
	// ErrAmount is returned if the amount cannot be refunded; see [*AmountError].
	ErrAmount = errors.New("amount not refundable")
	// ErrVetoed is returned if a guard refused the decision; see [*VetoError].
	ErrVetoed = errors.New("vetoed")
	// ErrGuardPanic is returned if a guard panicked. This is a fault of the guard, not a veto.
	ErrGuardPanic = errors.New("guard panicked")
	// ErrInvalid is returned for malformed input; see [*InvalidError].
	ErrInvalid = errors.New("invalid input")
	// ErrRefundNotFound is returned if the order has no refund with that number.
	ErrRefundNotFound = errors.New("refund not found")
	// ErrConflict is returned if input contradicts what is recorded: a refund number is taken, with
	// other terms or by another order, or the approved amount is not the refund's.
	ErrConflict = errors.New("conflict")
)

// TransitionError reports an event that is not allowed, and the events that are. It matches
// [ErrTransition].
type TransitionError struct {
	// Event was fired on refund RefundNo of order OrderID.
	OrderID  string
	RefundNo string
	Event    Event
	// From is the refund's state; StatePaid if the refund does not exist yet.
	From State
	// Available are the events that the refund's state allows now, sorted.
	Available []Event
	// Reason names the condition of the row that failed. It is empty if the table has no such row.
	Reason string
}

// Error implements error.
func (e *TransitionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s refund %s of order %s: not allowed in state %s", e.Event, e.RefundNo, e.OrderID, e.From)
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	var possible []string
	for _, ev := range e.Available {
		if !ev.IsFact() { // nobody can decide on a fact
			possible = append(possible, string(ev))
		}
	}
	if possible == nil {
		possible = []string{"nothing"}
	}
	return b.String() + " (possible now: " + strings.Join(possible, ", ") + ")"
}

// Unwrap returns ErrTransition.
func (e *TransitionError) Unwrap() error { return ErrTransition }

// AmountError reports how much was asked for and how much is left. It matches [ErrAmount].
type AmountError struct {
	OrderID string
	// Asked and Left are in minor units. adopt does not need a refundable amount; for it, Left is
	// the greatest amount that does not overflow the sums.
	Asked int64
	Left  int64
}

// Error implements error.
func (e *AmountError) Error() string {
	if e.Asked <= 0 {
		return fmt.Sprintf("refund of order %s: amount must be greater than 0, got %d", e.OrderID, e.Asked)
	}
	return fmt.Sprintf("refund of order %s: amount %d exceeds the %d left", e.OrderID, e.Asked, e.Left)
}

// Unwrap returns ErrAmount.
func (e *AmountError) Unwrap() error { return ErrAmount }

// VetoError reports that a guard refused a decision. It matches [ErrVetoed] and the
// guard's error.
type VetoError struct {
	OrderID  string
	RefundNo string
	Event    Event
	// Reason is the guard's error.
	Reason error
}

// Error implements error.
func (e *VetoError) Error() string {
	return fmt.Sprintf("%s refund %s of order %s: vetoed: %v", e.Event, e.RefundNo, e.OrderID, e.Reason)
}

// Unwrap returns ErrVetoed and the guard's error.
func (e *VetoError) Unwrap() []error { return []error{ErrVetoed, e.Reason} }

// InvalidError reports a malformed field. It matches [ErrInvalid].
type InvalidError struct {
	// Field is the field's name in snake_case, for example "refund_no".
	Field string
	// Problem describes what is wrong with the field. It does not quote the value.
	Problem string
}

// Error implements error.
func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }
