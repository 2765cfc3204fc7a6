package refund

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Sentinels for errors.Is. Those that package order defines stand here too, under the same name and with
// the same value, so that a caller of the Service needs one import.
var (
	// ErrOrderNotFound is an order that the store does not have.
	ErrOrderNotFound = errors.New("order not found")
	// ErrRefundNotFound is a refund number that the order does not have.
	ErrRefundNotFound = order.ErrRefundNotFound
	// ErrExists is an order ID that is already registered.
	ErrExists = errors.New("order already exists")
	// ErrConflict is a refund number that is already taken with other terms or by another order, or an
	// approval for another amount than the recorded one.
	ErrConflict = order.ErrConflict
	// ErrTransition is a command that the refund's state does not allow; errors.As with [*order.TransitionError].
	ErrTransition = order.ErrTransition
	// ErrAmount is an amount that is not left; errors.As with [*order.AmountError].
	ErrAmount = order.ErrAmount
	// ErrVetoed is a guard's no; errors.As with [*order.VetoError].
	ErrVetoed = order.ErrVetoed
	// ErrInvalid is bad input; errors.As with [*order.InvalidError].
	ErrInvalid = order.ErrInvalid
	// ErrInTx is a command that would call the provider while a transaction is open: a rollback would lose
	// a payment that was made. It is returned before any call.
	ErrInTx = errors.New("not inside a transaction: the provider must not be called")
	// ErrUnsupported is a gateway that lacks the optional interface which the command needs.
	ErrUnsupported = errors.New("not supported by the gateway")
	// ErrUnknownGateway is an order whose gateway the Gateways router does not have.
	ErrUnknownGateway = errors.New("unknown gateway")
	// ErrSetup matches every [*SetupError].
	ErrSetup = errors.New("gateway set-up")
	// ErrBusy matches every [*BusyError].
	ErrBusy = errors.New("provider is busy")
	// ErrMismatch matches every [*MismatchError].
	ErrMismatch = errors.New("answer does not match the question")
	// ErrUnsettled is an Abandon that was refused because the provider did not confirm that it will not pay.
	ErrUnsettled = errors.New("the provider may still pay")
	// ErrHookPanic is a hook or guard that panicked, which is no veto; the command was rolled back.
	ErrHookPanic = errors.New("hook panicked")
	// ErrNotification is a notification that could not be read or is not authentic.
	ErrNotification = errors.New("bad notification")
)

// SetupError is a fault of the gateway's set-up: certificate, signature, permission, unknown merchant. It
// says nothing about the refund that met it: the outcome is unknown. It matches [ErrSetup] and unwraps to Err.
type SetupError struct {
	// Gateway names the gateway; in what the Setup hook is told, the order's.
	Gateway string
	Err     error
}

// Error implements error.
func (e *SetupError) Error() string { return fmt.Sprintf("set-up of gateway %q: %v", e.Gateway, e.Err) }

// Is reports whether target is ErrSetup.
func (e *SetupError) Is(target error) bool { return target == ErrSetup }

// Unwrap returns the cause.
func (e *SetupError) Unwrap() error { return e.Err }

// BusyError is a busy provider: the outcome is unknown, and it must not be asked again before After has
// passed, or [Options].MaxWait where that is less. It matches [ErrBusy] and unwraps to Err.
type BusyError struct {
	After time.Duration
	// Account reports that the provider limits the whole account: no refund of the gateway should be sent
	// before After has passed. If false, only this refund waits.
	Account bool
	Err     error
}

// Error implements error.
func (e *BusyError) Error() string { return fmt.Sprintf("retry in %v: %v", e.After, e.Err) }

// Is reports whether target is ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Unwrap returns the cause.
func (e *BusyError) Unwrap() error { return e.Err }

// MismatchError is an answer about something else than was asked: the outcome is unknown. It matches [ErrMismatch].
type MismatchError struct {
	// Field is refund_no, order_id, amount or another field of the answer.
	Field string
	Want  string
	Got   string
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("answer does not match: %s is %q, want %q", e.Field, e.Got, e.Want)
}

// Is reports whether target is ErrMismatch.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
