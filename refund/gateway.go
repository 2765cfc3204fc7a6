package refund

import (
	"context"
	"net/http"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RefundGateway returns money through a payment provider. gatewaytest.Run checks an implementation.
//
// An error always means that the outcome is unknown: a time-out, a broken answer, a wrong
// signature, a code that the adapter does not know. Only a Result can say that the provider
// refused. In doubt, an implementation must return an error and not [OutcomeDeclined].
//
// Two kinds of error say when to ask again: [*SetupError] (certificate, signature, permission; not
// caused by this refund) and [*BusyError]. The outcome is still unknown.
//
// An error of Refund that wraps [ErrNotSent] says that the provider certainly did not get the
// request: no connection was had, the certificate could not be loaded, the wait for the rate limit
// was too short. Only a proof counts. A refused dial is one; a write that failed is none, because
// the provider may have read what was written.
//
// Methods must be safe for concurrent use and must return soon after ctx ends. Errors must not
// contain secrets: they are logged and stored with the refund.
type RefundGateway interface {
	// Refund asks the provider to return money. It must be idempotent by req.RefundNo: any number
	// of calls with the same number pay at most once. It must not return OutcomeNotFound.
	Refund(ctx context.Context, req Request) (Result, error)
	// Query asks the provider for the outcome of a refund. It returns OutcomeNotFound and a nil
	// error if the provider has never seen the number.
	Query(ctx context.Context, req Request) (Result, error)
}

// Request names one refund to a gateway, in [RefundGateway].Refund, [RefundGateway].Query and
// [Lister].List. All fields but ProviderRefundID and Retries stay the same for a refund.
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
	// Amount of the refund and Total of the order are in minor units of Currency (ISO 4217). An
	// adapter compares them with the amounts in the answer.
	Amount   int64
	Total    int64
	Currency string
	// Reason is what the buyer wrote. The adapter shortens it if the provider has a limit.
	Reason string
	// Retries counts how often the refund was retried after a refusal; see [Service.Retry]. The
	// RefundNo stays the same. A provider that stores a refusal under its idempotency key needs a
	// new key after each retry, and only then.
	Retries int
}

// Result is what the provider said about a refund.
type Result struct {
	// Outcome is the provider's answer. OutcomeUnknown with a nil error is unknown too.
	Outcome Outcome
	// RefundNo, OrderID and Amount are those that the provider's answer names. For Accepted,
	// Succeeded, Closed and Abnormal the adapter must set RefundNo and Amount from the answer. If
	// one of the three is set and differs from the request, the Service treats the result as a
	// [*MismatchError]: unknown.
	RefundNo string
	OrderID  string
	Amount   int64
	// ProviderRefundID is the provider's own number (WeChat: refund_id); may be empty.
	ProviderRefundID string
	// Code and Message are the provider's error code and its text; empty if there is none.
	Code    string
	Message string
	// Recipient is where the money went, in the provider's words, so that the merchant's staff can
	// inform the buyer (WeChat: refund_recv_accout); may be empty.
	Recipient string
	// Settled is the part of Amount that was returned as money, in minor units: Amount without
	// coupons (WeChat: settlement_refund_fee). It is zero if the provider does not say.
	Settled int64
	// RefundedAt is when the money was returned, UTC. It is zero if the provider does not say.
	RefundedAt time.Time
}

// Outcome is the provider's answer about one refund. Its value is what logs and JSON contain; logs
// have "unknown" for OutcomeUnknown, and "invalid" for a value that is not one of the constants.
type Outcome string

// The outcomes. The zero value is OutcomeUnknown, so that a forgotten field decides nothing.
const (
	// OutcomeUnknown means that the outcome is not known. The Service asks again.
	OutcomeUnknown Outcome = ""
	// OutcomeAccepted means that the provider has the refund and has not paid it yet.
	OutcomeAccepted Outcome = "accepted"
	// OutcomeSucceeded means that the provider confirms the payment.
	OutcomeSucceeded Outcome = "succeeded"
	// OutcomeDeclined means that the provider refused: this attempt moved no money and never will.
	OutcomeDeclined Outcome = "declined"
	// OutcomeClosed means that an accepted refund ended without a payment (WeChat: REFUNDCLOSE).
	OutcomeClosed Outcome = "closed"
	// OutcomeAbnormal means that the money left and could not reach the buyer (WeChat: CHANGE).
	OutcomeAbnormal Outcome = "abnormal"
	// OutcomeNotFound means that the provider has never seen the number. Only Query returns it.
	OutcomeNotFound Outcome = "not_found"
)

// word returns o as logs have it.
func (o Outcome) word() string {
	switch o {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeDeclined, OutcomeClosed, OutcomeAbnormal,
		OutcomeNotFound:
		return string(o)
	case OutcomeUnknown:
		return "unknown"
	}
	return "invalid"
}

// Checker is an optional interface of a [RefundGateway]. Check returns an error if the provider
// could never take the request, for example because of its number or currency. [Service.Request]
// calls it, so that such a refund is refused at once. Check must not call the provider. Its errors
// should match [order.ErrInvalid].
type Checker interface {
	Check(req Request) error
}

// Lister is an optional interface of a [RefundGateway], which [Service.Sync] needs. List returns
// every refund that the provider knows for the order of req, also those made in its own console.
// The fields of req that describe one refund are empty.
type Lister interface {
	List(ctx context.Context, req Request) ([]Result, error)
}

// NotificationReader is an optional interface of a [RefundGateway] that reads notifications.
type NotificationReader interface {
	// ReadNotification bounds, authenticates and parses the body as far as the protocol allows.
	ReadNotification(r *http.Request) (Notification, error)
	// Acknowledge writes the provider's acknowledgement if err is nil, and otherwise asks the
	// provider to deliver the notification again.
	Acknowledge(w http.ResponseWriter, err error)
}

// Notification is a provider's message about a refund. It is a hint, never proof.
type Notification struct {
	// Gateway is the name that orders have for the gateway; [Service.NotificationHandler] sets it.
	Gateway string
	// Result is what the message claims, with its OrderID, RefundNo and Amount.
	Result Result
	// PaymentID and Total are those of the message; zero if it does not name them.
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
