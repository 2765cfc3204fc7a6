package refund

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Sentinels for errors.Is. The methods of a [Service] also return those of package order:
// [order.ErrRefundNotFound], [order.ErrConflict], [order.ErrTransition], [order.ErrAmount],
// [order.ErrVetoed] and [order.ErrInvalid].
var (
	// ErrOrderNotFound is returned if the store does not have the order.
	ErrOrderNotFound = errors.New("order not found")
	// ErrExists is returned by [Store].Create if the order ID is taken.
	ErrExists = errors.New("order already exists")
	// ErrInTx is returned if a command would call the provider while a transaction is open. A
	// rollback would lose the record of a payment. The provider was not called.
	ErrInTx = errors.New("not inside a transaction: the provider must not be called")
	// ErrUnsupported is returned if the gateway lacks an optional interface that the command needs.
	ErrUnsupported = errors.New("not supported by the gateway")
	// ErrUnknownGateway is returned if [Gateways] has no gateway of the order's name.
	ErrUnknownGateway = errors.New("unknown gateway")
	// ErrSetup matches every [*SetupError].
	ErrSetup = errors.New("gateway set-up")
	// ErrBusy matches every [*BusyError].
	ErrBusy = errors.New("provider is busy")
	// ErrNotSent is for the errors of [RefundGateway].Refund: the request certainly did not reach
	// the provider. The attempt then is no submission, and the refund can still be cancelled.
	ErrNotSent = errors.New("not sent")
	// ErrMismatch matches every [*MismatchError].
	ErrMismatch = errors.New("answer does not match the question")
	// ErrLimit matches every [*LimitError].
	ErrLimit = errors.New("limit reached")
	// ErrUnsettled is returned by Abandon if the provider did not confirm that it will not pay.
	ErrUnsettled = errors.New("the provider may still pay")
	// ErrHookPanic is returned if a hook or a guard panicked. The command was rolled back.
	ErrHookPanic = errors.New("hook panicked")
	// ErrNotification is returned for a notification that is not readable or not authentic.
	ErrNotification = errors.New("bad notification")
)

// SetupError reports a fault of the gateway's set-up: certificate, signature, permission, unknown
// merchant. It says nothing about the refund: the outcome is unknown. It wraps [ErrSetup] and Err.
type SetupError struct {
	// Gateway names the gateway. The Setup hook gets the name that the order has for it.
	Gateway string
	Err     error
}

// Error implements error.
func (e *SetupError) Error() string {
	return fmt.Sprintf("set-up of gateway %q: %v", e.Gateway, e.Err)
}

// Unwrap returns ErrSetup and the cause.
func (e *SetupError) Unwrap() []error { return []error{ErrSetup, e.Err} }

// BusyError reports that the provider is busy: the outcome is unknown, and the provider must not be
// asked again before After has passed, or [Options].MaxWait if that is shorter. It wraps [ErrBusy]
// and Err.
type BusyError struct {
	After time.Duration
	// Account reports that the provider limits the whole account: no refund of the gateway should
	// be sent before After has passed. If false, only this refund waits.
	Account bool
	Err     error
}

// Error implements error.
func (e *BusyError) Error() string { return fmt.Sprintf("retry in %v: %v", e.After, e.Err) }

// Unwrap returns ErrBusy and the cause.
func (e *BusyError) Unwrap() []error { return []error{ErrBusy, e.Err} }

// MismatchError reports an answer about something other than the question: the outcome is unknown.
// It wraps [ErrMismatch].
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

// Unwrap returns ErrMismatch.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// LimitError reports which limit a command would exceed. It wraps [ErrLimit].
type LimitError struct {
	Ref
	// Limit is "max_refunds", "max_age" or "max_requests".
	Limit string
	// Problem describes it.
	Problem string
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("refund %s of order %s: %s: %s", e.RefundNo, e.OrderID, e.Limit, e.Problem)
}

// Unwrap returns ErrLimit.
func (e *LimitError) Unwrap() error { return ErrLimit }

// invalid returns an InvalidError.
func invalid(field, problem string) error {
	return &order.InvalidError{Field: field, Problem: problem}
}
