package order

import (
	"slices"
	"time"
)

// Order is one paid order and every refund ever asked for on it.
//
// Refunds change state only through [Machine.Fire], which also keeps Refunded, Reserved, State, Seq and
// History. An Order is a plain value without locks: it must not be used from several goroutines at once.
type Order struct {
	// ID is the host's order number (WeChat: out_trade_no). It is fixed.
	ID string `json:"id"`
	// Gateway names the provider that took the money; refunds go back through it.
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
	// State is that of the most pressing refund.
	State State `json:"state"`
	// Refunds holds every refund ever asked for, oldest first.
	Refunds []Refund `json:"refunds"`
	// Seq is the number of the newest transition; 0 where there is none.
	Seq int64 `json:"seq"`
	// History holds transitions, oldest first and without gaps, the newest with number Seq. It is only appended to.
	// Which ones depends on who made the order: refund's Service.Order and LoadOrder return all of them, from Seq 1;
	// in hooks and guards and from a Store it holds those of the running command alone, and none before there is one.
	History []Transition `json:"history"`
	// Version counts the committed changes. The store keeps it: 1 after Create.
	Version int64 `json:"version"`
	// PaidAt is when the buyer paid, UTC; zero where the host does not know.
	PaidAt time.Time `json:"paid_at,omitzero"`
	// CreatedAt and UpdatedAt tell when the order was registered and last changed, UTC.
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Refund is one refund of an order. No and Amount are fixed once it is recorded.
type Refund struct {
	// No is the refund number and the idempotency key towards the provider (WeChat: out_refund_no).
	// It is unique among all orders of a store; see [ValidateRefundNo] for its form.
	No string `json:"no"`
	// Amount is in minor units of the order's currency; > 0.
	Amount int64 `json:"amount"`
	// Reason is what the buyer said. The provider may show it to the buyer.
	Reason string `json:"reason"`
	// State is where the refund stands.
	State State `json:"state"`

	// RequestedBy asked for it.
	RequestedBy Actor `json:"requested_by"`
	// ReviewedBy approved or rejected it, with ReviewNote.
	ReviewedBy Actor  `json:"reviewed_by"`
	ReviewNote string `json:"review_note"`

	// ProviderRefundID is the provider's number for the refund (WeChat: refund_id).
	ProviderRefundID string `json:"provider_refund_id"`
	// Code and Message are the provider's last words on it; empty when it had nothing to object. While the
	// outcome is unknown, Code is empty and Message says why: an error's text, for operators and not for buyers.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Recipient is where the money went, in the provider's words (WeChat: refund_recv_accout). It is
	// empty until the provider says so. At most MaxCode bytes.
	Recipient string `json:"recipient"`
	// Settled is the part of Amount that was returned as money, without coupons, in minor units. It is
	// zero if the provider does not say.
	Settled int64 `json:"settled"`

	// Attempts counts the times that Process set out to ask the provider since it was approved or retried,
	// Retries the retries. Both are 0 until it is submitted for the first time.
	Attempts int `json:"attempts"`
	Retries  int `json:"retries"`
	// NextAttemptAt is when an approved refund is due, UTC.
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	// LeasedUntil is set while a call to the provider may be under way: no other Process asks for this
	// refund, nor submits another one of the order, before it. Safety does not rest on it. UTC.
	LeasedUntil time.Time `json:"leased_until,omitzero"`
	// SubmittedAt is when the newest submission was sent, UTC; zero before the first.
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	// Outstanding reports that a submission may still pay: it was sent, or a process died in sending it, and
	// the provider has not answered it with a definite no. Only an approved refund is outstanding.
	Outstanding bool `json:"outstanding"`
	// DeclinedAt is set while a refusal waits for proof that no earlier submission paid, UTC. Once the provider
	// has accepted the refund, it is set while the provider denies that.
	DeclinedAt time.Time `json:"declined_at,omitzero"`
	// AcceptedAt is when the provider first confirmed that it has the refund, UTC; zero until then. From there
	// on the refund is only asked about and not sent again, until it is approved or retried anew.
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	// ConfirmedAt is when the provider's confirmation that it paid was booked, UTC. It is zero for a refund
	// that is refunded only because a person said so.
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`

	// RequestedAt, ReviewedAt, ApprovedAt (the newest move into approved) and EndedAt (the newest move into
	// a state that Terminal reports, or failed) are UTC; zero before that.
	RequestedAt time.Time `json:"requested_at"`
	ReviewedAt  time.Time `json:"reviewed_at,omitzero"`
	ApprovedAt  time.Time `json:"approved_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	// RefundedAt is when the provider says that the money was returned, UTC; zero where it does not say.
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
	// OrderFrom and OrderTo are the order's.
	OrderFrom State  `json:"order_from"`
	OrderTo   State  `json:"order_to"`
	Actor     Actor  `json:"actor"`
	Note      string `json:"note"`
	// At is given by the caller, UTC.
	At time.Time `json:"at"`
}

// Actor says who did something, in the host's own terms, for example "buyer:42" or "staff:7": 1 to 128
// bytes of printable UTF-8.
type Actor string

// Actors that the module itself uses.
const (
	// ActorProvider is the payment provider: it answered, or sent a notification. Package refund takes no command from it.
	ActorProvider Actor = "provider"
)

// Refund returns the refund of that number, or nil. The pointer is into o.Refunds: it is valid until the
// next [Machine.Fire].
func (o *Order) Refund(no string) *Refund {
	if i := o.index(no); i >= 0 {
		return &o.Refunds[i]
	}
	return nil
}

// index returns where the refund of that number stands, or -1.
func (o *Order) index(no string) int {
	for i := range o.Refunds {
		if o.Refunds[i].No == no {
			return i
		}
	}
	return -1
}

// Refundable is what can still be asked for: Total − Refunded − Reserved, in minor units. It is never negative.
func (o *Order) Refundable() int64 { return max(0, o.Total-o.Refunded-o.Reserved) }

// Excess is by how much Refunded + Reserved exceeds Total, in minor units. It is 0 unless the provider paid
// what the book had no room for (see [EventAdopt]).
func (o *Order) Excess() int64 { return max(0, o.Refunded+o.Reserved-o.Total) }

// PartiallyRefunded reports whether some of the money, but not all of it, has been returned.
func (o *Order) PartiallyRefunded() bool { return 0 < o.Refunded && o.Refunded < o.Total }

// Equal reports whether o and p are the same but for Version: a store has nothing to write then. Times are compared
// as moments. History counts too: an order as a Store returns it, without history, is not the same as that order
// with it.
func (o *Order) Equal(p *Order) bool {
	return slices.EqualFunc(o.Refunds, p.Refunds, func(a, b Refund) bool { return a.Equal(&b) }) &&
		slices.EqualFunc(o.History, p.History, equalTransition) &&
		o.ID == p.ID && o.Gateway == p.Gateway && o.PaymentID == p.PaymentID && o.Currency == p.Currency &&
		o.Total == p.Total && o.Refunded == p.Refunded && o.Reserved == p.Reserved && o.State == p.State && o.Seq == p.Seq &&
		o.PaidAt.Equal(p.PaidAt) && o.CreatedAt.Equal(p.CreatedAt) && o.UpdatedAt.Equal(p.UpdatedAt)
}

func equalTransition(a, b Transition) bool {
	at := a.At.Equal(b.At)
	a.At, b.At = time.Time{}, time.Time{}
	return at && a == b
}

// Equal reports whether r and p are the same. Times are compared as moments.
func (r *Refund) Equal(p *Refund) bool {
	return r.No == p.No && r.Amount == p.Amount && r.Reason == p.Reason && r.State == p.State &&
		r.RequestedBy == p.RequestedBy && r.ReviewedBy == p.ReviewedBy && r.ReviewNote == p.ReviewNote &&
		r.ProviderRefundID == p.ProviderRefundID && r.Code == p.Code && r.Message == p.Message &&
		r.Recipient == p.Recipient && r.Settled == p.Settled &&
		r.Attempts == p.Attempts && r.Retries == p.Retries && r.Outstanding == p.Outstanding &&
		r.NextAttemptAt.Equal(p.NextAttemptAt) && r.LeasedUntil.Equal(p.LeasedUntil) && r.SubmittedAt.Equal(p.SubmittedAt) &&
		r.DeclinedAt.Equal(p.DeclinedAt) && r.AcceptedAt.Equal(p.AcceptedAt) && r.ConfirmedAt.Equal(p.ConfirmedAt) &&
		r.RequestedAt.Equal(p.RequestedAt) && r.ReviewedAt.Equal(p.ReviewedAt) &&
		r.ApprovedAt.Equal(p.ApprovedAt) && r.EndedAt.Equal(p.EndedAt) && r.RefundedAt.Equal(p.RefundedAt)
}

// Clone returns a deep copy: nothing done to it reaches o.
func (o *Order) Clone() *Order {
	if o == nil {
		return nil
	}
	c := *o
	c.Refunds = slices.Clone(o.Refunds)
	c.History = slices.Clone(o.History)
	return &c
}
