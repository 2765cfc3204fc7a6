package order

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels for errors.Is. The typed errors of this package match them.
var (
	// ErrTransition is an event that the refund's state does not allow; see [*TransitionError].
	ErrTransition = errors.New("transition not allowed")
	// ErrAmount is an amount that cannot be refunded; see [*AmountError].
	ErrAmount = errors.New("amount not refundable")
	// ErrVetoed is a decision that a guard refused; see [*VetoError].
	ErrVetoed = errors.New("vetoed")
	// ErrGuardPanic is a guard that panicked: not a decision, but a fault of the guard. Nothing was changed.
	ErrGuardPanic = errors.New("guard panicked")
	// ErrInvalid is bad input; see [*InvalidError].
	ErrInvalid = errors.New("invalid input")
	// ErrRefundNotFound is a refund number that the order does not have.
	ErrRefundNotFound = errors.New("refund not found")
	// ErrConflict is a refund number that is already taken, or input that contradicts what is recorded.
	ErrConflict = errors.New("conflict")
)

// TransitionError tells which event was refused in which state, and which are possible now.
// It matches [ErrTransition].
type TransitionError struct {
	// OrderID, RefundNo and Event are what was tried.
	OrderID  string
	RefundNo string
	Event    Event
	// From is the refund's state; StatePaid where the refund does not exist yet.
	From State
	// Available are the events that the refund's state allows now, sorted.
	Available []Event
	// Reason says which condition of the row failed; empty where the table has no such row.
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
		if !ev.IsFact() { // that is for the provider to do
			possible = append(possible, string(ev))
		}
	}
	if possible == nil {
		possible = []string{"nothing"}
	}
	return b.String() + " (possible now: " + strings.Join(possible, ", ") + ")"
}

// Is reports whether target is ErrTransition.
func (e *TransitionError) Is(target error) bool { return target == ErrTransition }

// AmountError tells how much was asked for and how much is left. It matches [ErrAmount].
type AmountError struct {
	OrderID string
	// Asked and Left are in minor units. For adopt, which needs no room on the order, Left is what the sums
	// can hold.
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

// Is reports whether target is ErrAmount.
func (e *AmountError) Is(target error) bool { return target == ErrAmount }

// VetoError is a guard's no, with its reason. It matches [ErrVetoed] and unwraps to the guard's error.
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

// Is reports whether target is ErrVetoed.
func (e *VetoError) Is(target error) bool { return target == ErrVetoed }

// Unwrap returns the guard's error.
func (e *VetoError) Unwrap() error { return e.Reason }

// InvalidError names the field that is wrong and says why. It matches [ErrInvalid].
type InvalidError struct {
	// Field is the field's name in snake_case, for example "refund_no".
	Field string
	// Problem says what is wrong with it, without quoting the value.
	Problem string
}

// Error implements error.
func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }

// Is reports whether target is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
