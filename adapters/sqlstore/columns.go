package sqlstore

import (
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/column"
	"github.com/orderfsm/orderfsm/order"
)

// orderColumns are the columns of an order, without update_id. excess is not read back.
var orderColumns = column.List[order.Order]{
	column.Text("id", order.MaxID, func(o *order.Order) *string { return &o.ID }),
	column.Text("gateway", order.MaxName, func(o *order.Order) *string { return &o.Gateway }),
	column.Text("payment_id", order.MaxID, func(o *order.Order) *string { return &o.PaymentID }),
	column.Text("currency", 3, func(o *order.Order) *string { return &o.Currency }),
	column.Number("total", func(o *order.Order) *int64 { return &o.Total }),
	column.Number("refunded", func(o *order.Order) *int64 { return &o.Refunded }),
	column.Number("reserved", func(o *order.Order) *int64 { return &o.Reserved }),
	column.Number("excess", func(o *order.Order) *int64 { n := o.Excess(); return &n }),
	column.Text("state", order.MaxName, func(o *order.Order) *order.State { return &o.State }),
	column.Number("seq", func(o *order.Order) *int64 { return &o.Seq }),
	column.Number("version", func(o *order.Order) *int64 { return &o.Version }),
	column.OptionalTime("paid_at", func(o *order.Order) *time.Time { return &o.PaidAt }),
	column.OptionalTime("created_at", func(o *order.Order) *time.Time { return &o.CreatedAt }),
	column.OptionalTime("updated_at", func(o *order.Order) *time.Time { return &o.UpdatedAt }),
}

// refundColumns are the columns of a refund, without those of its order: order_id, place and
// gateway.
var refundColumns = column.List[order.Refund]{
	column.Text("no", order.MaxRefundNo, func(r *order.Refund) *string { return &r.No }),
	column.Number("amount", func(r *order.Refund) *int64 { return &r.Amount }),
	column.Text("reason", maxText, func(r *order.Refund) *string { return &r.Reason }),
	column.Text("state", order.MaxName, func(r *order.Refund) *order.State { return &r.State }),
	column.Text("requested_by", order.MaxActor,
		func(r *order.Refund) *order.Actor { return &r.RequestedBy }),
	column.Text("reviewed_by", order.MaxActor,
		func(r *order.Refund) *order.Actor { return &r.ReviewedBy }),
	column.Text("review_note", maxText, func(r *order.Refund) *string { return &r.ReviewNote }),
	column.Text("provider_refund_id", order.MaxCode,
		func(r *order.Refund) *string { return &r.ProviderRefundID }),
	column.Text("code", order.MaxCode, func(r *order.Refund) *string { return &r.Code }),
	column.Text("message", order.MaxMessage, func(r *order.Refund) *string { return &r.Message }),
	column.Text("recipient", order.MaxCode, func(r *order.Refund) *string { return &r.Recipient }),
	column.Number("settled", func(r *order.Refund) *int64 { return &r.Settled }),
	column.Number("attempts", func(r *order.Refund) *int { return &r.Attempts }),
	column.Number("retries", func(r *order.Refund) *int { return &r.Retries }),
	column.Flag("outstanding", func(r *order.Refund) *bool { return &r.Outstanding }),
	column.Time("next_attempt_at", func(r *order.Refund) *time.Time { return &r.NextAttemptAt }),
	column.OptionalTime("leased_until", func(r *order.Refund) *time.Time { return &r.LeasedUntil }),
	column.OptionalTime("submitted_at", func(r *order.Refund) *time.Time { return &r.SubmittedAt }),
	column.OptionalTime("declined_at", func(r *order.Refund) *time.Time { return &r.DeclinedAt }),
	column.OptionalTime("accepted_at", func(r *order.Refund) *time.Time { return &r.AcceptedAt }),
	column.OptionalTime("confirmed_at", func(r *order.Refund) *time.Time { return &r.ConfirmedAt }),
	column.Time("requested_at", func(r *order.Refund) *time.Time { return &r.RequestedAt }),
	column.OptionalTime("reviewed_at", func(r *order.Refund) *time.Time { return &r.ReviewedAt }),
	column.OptionalTime("approved_at", func(r *order.Refund) *time.Time { return &r.ApprovedAt }),
	column.OptionalTime("ended_at", func(r *order.Refund) *time.Time { return &r.EndedAt }),
	column.OptionalTime("refunded_at", func(r *order.Refund) *time.Time { return &r.RefundedAt }),
}

// transitionColumns are the columns of a transition, without order_id.
var transitionColumns = column.List[order.Transition]{
	column.Number("seq", func(t *order.Transition) *int64 { return &t.Seq }),
	column.Text("event", order.MaxName, func(t *order.Transition) *order.Event { return &t.Event }),
	column.Text("refund_no", order.MaxRefundNo,
		func(t *order.Transition) *string { return &t.RefundNo }),
	column.Text("from_state", order.MaxName,
		func(t *order.Transition) *order.State { return &t.From }),
	column.Text("to_state", order.MaxName, func(t *order.Transition) *order.State { return &t.To }),
	column.Text("order_from", order.MaxName,
		func(t *order.Transition) *order.State { return &t.OrderFrom }),
	column.Text("order_to", order.MaxName,
		func(t *order.Transition) *order.State { return &t.OrderTo }),
	column.Text("actor", order.MaxActor,
		func(t *order.Transition) *order.Actor { return &t.Actor }),
	column.Text("note", maxText, func(t *order.Transition) *string { return &t.Note }),
	column.Time("at", func(t *order.Transition) *time.Time { return &t.At }),
}

// maxText is the number of characters that a TEXT of MySQL always holds.
const maxText = 65535 / utf8.UTFMax
