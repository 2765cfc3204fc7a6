package refund

import (
	"context"
	"net/http"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RefundGateway returns money through a payment provider. gatewaytest.Run checks an implementation.
//
// An error always means that the outcome is unknown: a time-out, a broken answer, a wrong signature, a code
// that the adapter does not know. Only a Result says that the provider refused. An implementation must
// never turn doubt into [OutcomeDeclined].
//
// Two kinds of error tell the Service more: [*SetupError] (certificate, signature, permission: nothing to
// do with this refund) and [*BusyError] (the provider is busy). Both still mean unknown.
//
// Methods must be safe for concurrent use and must return soon after ctx ends. Errors must not contain
// secrets: they are logged and stored with the refund.
type RefundGateway interface {
	// Refund asks for money to be returned. It must be idempotent by req.RefundNo: any number of calls with
	// the same number pay at most once. It must not return OutcomeNotFound.
	Refund(ctx context.Context, req Request) (Result, error)
	// Query tells what became of a refund. A number that the provider has never seen is OutcomeNotFound
	// with a nil error.
	Query(ctx context.Context, req Request) (Result, error)
}

// Request names one refund to a gateway, in [RefundGateway].Refund, [RefundGateway].Query and
// [Lister].List. All fields but ProviderRefundID and Retries are the same in every call for one
// refund.
type Request struct {
	// Gateway is order.Order.Gateway, by which [Gateways] routes.
	Gateway string
	// OrderID is the host's order number (WeChat: out_trade_no).
	OrderID string
	// PaymentID is the provider's number for the payment (WeChat: transaction_id); may be empty.
	PaymentID string
	// RefundNo is the idempotency key (WeChat: out_refund_no).
	RefundNo string
	// ProviderRefundID is the provider's own number for the refund (WeChat: refund_id). It is empty
	// until an answer of the provider has named it.
	ProviderRefundID string
	// Amount to return and Total of the order, in minor units of Currency (ISO 4217). An adapter
	// compares them with what the answer names.
	Amount   int64
	Total    int64
	Currency string
	// Reason is what the buyer said. The adapter shortens it if the provider has a limit.
	Reason string
	// Retries counts how often the refund was retried after a refusal; see [Service.Retry]. The
	// RefundNo stays the same. A provider that stores a refusal under its idempotency key needs a
	// new key then, and only then.
	Retries int
}

// Result is what the provider said of a refund.
type Result struct {
	// Outcome is the provider's answer. OutcomeUnknown with a nil error is treated as unknown too.
	Outcome Outcome
	// RefundNo, OrderID and Amount are what the provider says the answer is about. For Accepted,
	// Succeeded, Closed and Abnormal the adapter must fill in RefundNo and Amount from the answer; what is
	// not zero must be equal to what was asked for, else the Service takes the result for a
	// [*MismatchError], which is unknown.
	RefundNo string
	OrderID  string
	Amount   int64
	// ProviderRefundID is the provider's own number (WeChat: refund_id); may be empty.
	ProviderRefundID string
	// Code and Message are the provider's error code and its text; empty if there is none.
	Code    string
	Message string
	// Recipient is where the money went, in the provider's words, for the merchant's staff to tell
	// the buyer (WeChat: refund_recv_accout); may be empty.
	Recipient string
	// Settled is the part of Amount that was returned as money, in minor units: Amount without coupons
	// (WeChat: settlement_refund_fee). It is zero if the provider does not say.
	Settled int64
	// RefundedAt is when the money was returned, UTC; zero where the provider does not say.
	RefundedAt time.Time
}

// Outcome is the provider's answer on one refund.
type Outcome int

// The outcomes. The zero value is OutcomeUnknown, so that a forgotten field never decides anything.
const (
	// OutcomeUnknown says nothing: ask again.
	OutcomeUnknown Outcome = iota
	// OutcomeAccepted is a refund on its way. It is not money returned.
	OutcomeAccepted
	// OutcomeSucceeded is money that the provider confirms as returned.
	OutcomeSucceeded
	// OutcomeDeclined is a definite no to this refund: this attempt moved nothing and will not.
	OutcomeDeclined
	// OutcomeClosed is a refund that was accepted once and ended without paying (WeChat: REFUNDCLOSE).
	OutcomeClosed
	// OutcomeAbnormal is money that left the merchant and could not reach the buyer (WeChat: CHANGE).
	OutcomeAbnormal
	// OutcomeNotFound is a number that the provider has never seen. It is an answer to a Query only.
	OutcomeNotFound
)

// String returns the outcome's name in lower case, as it stands in logs.
func (o Outcome) String() string {
	switch o {
	case OutcomeUnknown:
		return "unknown"
	case OutcomeAccepted:
		return "accepted"
	case OutcomeSucceeded:
		return "succeeded"
	case OutcomeDeclined:
		return "declined"
	case OutcomeClosed:
		return "closed"
	case OutcomeAbnormal:
		return "abnormal"
	case OutcomeNotFound:
		return "not_found"
	}
	return "invalid"
}

// MarshalText implements [encoding.TextMarshaler] with String, also for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. What is not the name of an outcome is [ErrInvalid].
func (o *Outcome) UnmarshalText(text []byte) error {
	for known := OutcomeUnknown; known <= OutcomeNotFound; known++ {
		if known.String() == string(text) {
			*o = known
			return nil
		}
	}
	return &order.InvalidError{Field: "outcome", Problem: "is not known"}
}

// Checker is an optional interface of a [RefundGateway]. Check reports what makes a request one that the
// provider could never take (the form of a number, a currency), so that it is refused when it is asked for
// and not when it is sent. It must not call the provider. Its errors should match [ErrInvalid].
type Checker interface {
	Check(req Request) error
}

// Lister is an optional interface of a [RefundGateway]. List returns every refund that the provider knows
// for the order of req, also those made in its own console. What req says of one refund is empty.
// [Service.Sync] needs it.
type Lister interface {
	List(ctx context.Context, req Request) ([]Result, error)
}

// NotificationReader is an optional interface of a [RefundGateway]: it reads the provider's notifications.
type NotificationReader interface {
	// ReadNotification bounds, authenticates and parses the body as far as the provider's protocol allows.
	ReadNotification(r *http.Request) (Notification, error)
	// Acknowledge writes the provider's acknowledgement: taken when err is nil, else a request for redelivery.
	Acknowledge(w http.ResponseWriter, err error)
}

// Notification is a provider's message that something became of a refund. It is a hint, never proof.
type Notification struct {
	// Gateway is the name under which the order's gateway is known; [Service.NotificationHandler] sets it.
	Gateway string
	// Result is what the message claims, with OrderID, RefundNo and Amount as it names them.
	Result Result
	// PaymentID and Total are the message's, where it names them.
	PaymentID string
	Total     int64
}

func newRequest(o *order.Order, r *order.Refund) Request {
	return Request{
		Gateway: o.Gateway, OrderID: o.ID, PaymentID: o.PaymentID,
		RefundNo: r.No, ProviderRefundID: r.ProviderRefundID, Retries: r.Retries,
		Amount: r.Amount, Total: o.Total, Currency: o.Currency, Reason: r.Reason,
	}
}
