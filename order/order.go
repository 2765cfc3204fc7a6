package order

import (
	"slices"
	"time"
)

// Order is one paid order and all its refunds.
//
// Refunds change state only through [Machine.Fire], which also updates Refunded, Reserved, State,
// Seq and History. An Order has no locks and is not safe for concurrent use.
type Order struct {
	// ID is the host's order number (WeChat: out_trade_no). It is fixed.
	ID string `json:"id"`
	// Gateway names the gateway that took the payment; refunds go through the same one.
	Gateway string `json:"gateway"`
	// PaymentID is the provider's number for the payment (WeChat: transaction_id). It may be empty.
	PaymentID string `json:"payment_id"`
	// Currency is the ISO 4217 code of every amount of this order.
	Currency string `json:"currency"`
	// Total is what the buyer paid, in minor units; > 0.
	Total int64 `json:"total"`
	// Refunded is the sum of the refunds that reached StateRefunded, in minor units.
	Refunded int64 `json:"refunded"`
	// Reserved is the sum of the refunds that may still pay, in minor units.
	Reserved int64 `json:"reserved"`
	// State is the state of the most pressing refund.
	State State `json:"state"`
	// Refunds holds every refund that was ever asked for, oldest first.
	Refunds []Refund `json:"refunds"`
	// Seq is the number of the newest transition, or 0 if there is none.
	Seq int64 `json:"seq"`
	// History holds transitions, oldest first and without gaps; the last one has number Seq. It is
	// append-only. An order from refund's Service.Order or LoadOrder has the whole history. An
	// order from a Store, or in a hook or guard, has only the transitions of the running command so
	// far.
	History []Transition `json:"history"`
	// Version counts the committed changes. The store maintains it and starts with 1 at Create.
	Version int64 `json:"version"`
	// PaidAt is when the buyer paid, UTC; zero if the host does not know.
	PaidAt time.Time `json:"paid_at,omitzero"`
	// CreatedAt is when the order was registered, UpdatedAt when it last changed, UTC.
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Refund is one refund of an order. No and Amount never change.
type Refund struct {
	// No is the refund number and the idempotency key towards the provider (WeChat: out_refund_no).
	// It is unique among all orders of a store. It has 1 to 64 of A-Z, a-z, 0-9 and _ - | * @,
	// which is the form that WeChat allows.
	No string `json:"no"`
	// Amount is in minor units of the order's currency; > 0.
	Amount int64 `json:"amount"`
	// Reason is why the refund was asked for. The provider may show it to the buyer.
	Reason string `json:"reason"`
	// State is the refund's state in the machine.
	State State `json:"state"`

	// RequestedBy asked for the refund.
	RequestedBy Actor `json:"requested_by"`
	// ReviewedBy approved or rejected the refund, with ReviewNote.
	ReviewedBy Actor  `json:"reviewed_by"`
	ReviewNote string `json:"review_note"`

	// ProviderRefundID is the provider's number for the refund (WeChat: refund_id).
	ProviderRefundID string `json:"provider_refund_id"`
	// Code and Message are the provider's last answer about the refund; both are empty if there was
	// no objection. While the outcome is unknown, Code is empty and Message is the text of an
	// error, for operators and not for buyers.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Recipient is where the money went, in the provider's words (WeChat: refund_recv_accout).
	// It is empty until the provider says so. At most MaxCode bytes.
	Recipient string `json:"recipient"`
	// Settled is the part of Amount that was returned as money, without coupons, in minor units.
	// It is zero if the provider does not say.
	Settled int64 `json:"settled"`

	// Attempts counts the calls to the provider that Process began since the refund was last
	// approved or retried. Retries counts the retries.
	Attempts int `json:"attempts"`
	Retries  int `json:"retries"`
	// NextAttemptAt is when an approved refund is due, UTC.
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	// LeasedUntil is set while a call to the provider may be under way, UTC. Until then no other
	// Process asks about this refund or submits another refund of the order. Safety does not depend
	// on it.
	LeasedUntil time.Time `json:"leased_until,omitzero"`
	// SubmittedAt is when the newest submission was sent, UTC; zero before the first. An attempt
	// that certainly sent nothing is no submission.
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	// Outstanding reports whether a submission may still pay: it was sent, or a process died while
	// sending it, and the provider has not definitely refused it. Only an approved refund can be
	// outstanding.
	Outstanding bool `json:"outstanding"`
	// DeclinedAt is set while a refusal waits for proof that no earlier submission paid, UTC. For a
	// refund that the provider has accepted, it is set while the provider no longer confirms it.
	DeclinedAt time.Time `json:"declined_at,omitzero"`
	// AcceptedAt is when the provider first confirmed that it has the refund, UTC; zero until then.
	// After that the refund is only queried and not submitted again, until the next approval or
	// retry.
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	// ConfirmedAt is when the provider's confirmation of the payment was recorded, UTC. It is zero
	// for a refund that is refunded only because a person said so.
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`

	// RequestedAt, ReviewedAt, ApprovedAt (the newest move to approved) and EndedAt (the newest
	// move to failed or to a terminal state) are UTC, and zero if it has not happened.
	RequestedAt time.Time `json:"requested_at"`
	ReviewedAt  time.Time `json:"reviewed_at,omitzero"`
	ApprovedAt  time.Time `json:"approved_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	// RefundedAt is when the provider returned the money, by its own account, UTC; zero if the
	// provider gives no time.
	RefundedAt time.Time `json:"refunded_at,omitzero"`
}

// Transition is one step of a refund, as recorded in [Order.History].
type Transition struct {
	// Seq numbers the transitions of an order from 1 without gaps.
	Seq      int64  `json:"seq"`
	Event    Event  `json:"event"`
	RefundNo string `json:"refund_no"`
	// From and To are the refund's states.
	From State `json:"from"`
	To   State `json:"to"`
	// OrderFrom and OrderTo are the order's states.
	OrderFrom State  `json:"order_from"`
	OrderTo   State  `json:"order_to"`
	Actor     Actor  `json:"actor"`
	Note      string `json:"note"`
	// At is the time that the caller gave, UTC.
	At time.Time `json:"at"`
}

// Actor names who did something, in the host's own terms, for example "buyer:42" or "staff:7". It
// has 1 to 128 bytes of printable UTF-8.
type Actor string

// Actors that the module itself uses.
const (
	// ActorProvider is the payment provider, by its answer or its notification. Package refund
	// refuses commands from it.
	ActorProvider Actor = "provider"
)

// Refund returns the refund with that number, or nil. The pointer is into o.Refunds and is valid
// until the next [Machine.Fire].
func (o *Order) Refund(number string) *Refund {
	if i := o.index(number); i >= 0 {
		return &o.Refunds[i]
	}
	return nil
}

// index returns the index of the refund with that number, or -1.
func (o *Order) index(number string) int {
	for i := range o.Refunds {
		if o.Refunds[i].No == number {
			return i
		}
	}
	return -1
}

// Refundable returns the amount that can still be asked for: Total − Refunded − Reserved, in minor
// units. It is never negative.
func (o *Order) Refundable() int64 { return max(0, o.Total-o.Refunded-o.Reserved) }

// Excess returns the amount by which Refunded + Reserved exceeds Total, in minor units. It is 0
// unless a refund was adopted that exceeds the total (see [EventAdopt]).
func (o *Order) Excess() int64 { return max(0, o.Refunded+o.Reserved-o.Total) }

// Equal reports whether o and p are equal in everything but Version; then a store has nothing to
// write. Times are compared with time.Time.Equal. History is compared too, so an order without its
// history does not equal the same order with it.
func (o *Order) Equal(p *Order) bool {
	return slices.EqualFunc(o.Refunds, p.Refunds, func(a, b Refund) bool { return a.Equal(&b) }) &&
		slices.EqualFunc(o.History, p.History, equalTransition) &&
		o.ID == p.ID && o.Gateway == p.Gateway && o.PaymentID == p.PaymentID &&
		o.Currency == p.Currency && o.Total == p.Total && o.Refunded == p.Refunded &&
		o.Reserved == p.Reserved && o.State == p.State && o.Seq == p.Seq &&
		o.PaidAt.Equal(p.PaidAt) && o.CreatedAt.Equal(p.CreatedAt) && o.UpdatedAt.Equal(p.UpdatedAt)
}

func equalTransition(a, b Transition) bool {
	at := a.At.Equal(b.At)
	a.At, b.At = time.Time{}, time.Time{}
	return at && a == b
}

// Equal reports whether r and p are equal. Times are compared with time.Time.Equal.
func (r *Refund) Equal(p *Refund) bool {
	return r.No == p.No && r.Amount == p.Amount && r.Reason == p.Reason && r.State == p.State &&
		r.RequestedBy == p.RequestedBy &&
		r.ReviewedBy == p.ReviewedBy && r.ReviewNote == p.ReviewNote &&
		r.ProviderRefundID == p.ProviderRefundID && r.Code == p.Code && r.Message == p.Message &&
		r.Recipient == p.Recipient && r.Settled == p.Settled &&
		r.Attempts == p.Attempts && r.Retries == p.Retries && r.Outstanding == p.Outstanding &&
		r.NextAttemptAt.Equal(p.NextAttemptAt) && r.LeasedUntil.Equal(p.LeasedUntil) &&
		r.SubmittedAt.Equal(p.SubmittedAt) && r.DeclinedAt.Equal(p.DeclinedAt) &&
		r.AcceptedAt.Equal(p.AcceptedAt) && r.ConfirmedAt.Equal(p.ConfirmedAt) &&
		r.RequestedAt.Equal(p.RequestedAt) && r.ReviewedAt.Equal(p.ReviewedAt) &&
		r.ApprovedAt.Equal(p.ApprovedAt) && r.EndedAt.Equal(p.EndedAt) &&
		r.RefundedAt.Equal(p.RefundedAt)
}

// Clone returns a deep copy of o, or nil if o is nil.
func (o *Order) Clone() *Order {
	if o == nil {
		return nil
	}
	c := *o
	c.Refunds = slices.Clone(o.Refunds)
	c.History = slices.Clone(o.History)
	return &c
}
