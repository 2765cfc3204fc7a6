package sqlstore

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
)

// orderColumns are the columns of an order, without update_id. excess is not read back.
var orderColumns = columns[order.Order]{
	{"id", func(o *order.Order) field { return text(&o.ID, order.MaxID) }},
	{"gateway", func(o *order.Order) field { return text(&o.Gateway, order.MaxName) }},
	{"payment_id", func(o *order.Order) field { return text(&o.PaymentID, order.MaxID) }},
	{"currency", func(o *order.Order) field { return text(&o.Currency, 3) }},
	{"total", func(o *order.Order) field { return number(&o.Total) }},
	{"refunded", func(o *order.Order) field { return number(&o.Refunded) }},
	{"reserved", func(o *order.Order) field { return number(&o.Reserved) }},
	{"excess", func(o *order.Order) field { n := o.Excess(); return number(&n) }},
	{"state", func(o *order.Order) field { return text(&o.State, order.MaxName) }},
	{"seq", func(o *order.Order) field { return number(&o.Seq) }},
	{"version", func(o *order.Order) field { return number(&o.Version) }},
	{"paid_at", func(o *order.Order) field { return optionalTime(&o.PaidAt) }},
	{"created_at", func(o *order.Order) field { return optionalTime(&o.CreatedAt) }},
	{"updated_at", func(o *order.Order) field { return optionalTime(&o.UpdatedAt) }},
}

// refundColumns are the columns of a refund, without those of its order: order_id, place and
// gateway.
var refundColumns = columns[order.Refund]{
	{"no", func(r *order.Refund) field { return text(&r.No, order.MaxRefundNo) }},
	{"amount", func(r *order.Refund) field { return number(&r.Amount) }},
	{"reason", func(r *order.Refund) field { return text(&r.Reason, maxText) }},
	{"state", func(r *order.Refund) field { return text(&r.State, order.MaxName) }},
	{"requested_by", func(r *order.Refund) field { return text(&r.RequestedBy, order.MaxActor) }},
	{"reviewed_by", func(r *order.Refund) field { return text(&r.ReviewedBy, order.MaxActor) }},
	{"review_note", func(r *order.Refund) field { return text(&r.ReviewNote, maxText) }},
	{"provider_refund_id", func(r *order.Refund) field {
		return text(&r.ProviderRefundID, order.MaxCode)
	}},
	{"code", func(r *order.Refund) field { return text(&r.Code, order.MaxCode) }},
	{"message", func(r *order.Refund) field { return text(&r.Message, order.MaxMessage) }},
	{"recipient", func(r *order.Refund) field { return text(&r.Recipient, order.MaxCode) }},
	{"settled", func(r *order.Refund) field { return number(&r.Settled) }},
	{"attempts", func(r *order.Refund) field { return number(&r.Attempts) }},
	{"retries", func(r *order.Refund) field { return number(&r.Retries) }},
	{"outstanding", func(r *order.Refund) field { return flag(&r.Outstanding) }},
	{"next_attempt_at", func(r *order.Refund) field { return requiredTime(&r.NextAttemptAt) }},
	{"leased_until", func(r *order.Refund) field { return optionalTime(&r.LeasedUntil) }},
	{"submitted_at", func(r *order.Refund) field { return optionalTime(&r.SubmittedAt) }},
	{"declined_at", func(r *order.Refund) field { return optionalTime(&r.DeclinedAt) }},
	{"accepted_at", func(r *order.Refund) field { return optionalTime(&r.AcceptedAt) }},
	{"confirmed_at", func(r *order.Refund) field { return optionalTime(&r.ConfirmedAt) }},
	{"requested_at", func(r *order.Refund) field { return requiredTime(&r.RequestedAt) }},
	{"reviewed_at", func(r *order.Refund) field { return optionalTime(&r.ReviewedAt) }},
	{"approved_at", func(r *order.Refund) field { return optionalTime(&r.ApprovedAt) }},
	{"ended_at", func(r *order.Refund) field { return optionalTime(&r.EndedAt) }},
	{"refunded_at", func(r *order.Refund) field { return optionalTime(&r.RefundedAt) }},
}

// transitionColumns are the columns of a transition, without order_id.
var transitionColumns = columns[order.Transition]{
	{"seq", func(t *order.Transition) field { return number(&t.Seq) }},
	{"event", func(t *order.Transition) field { return text(&t.Event, order.MaxName) }},
	{"refund_no", func(t *order.Transition) field { return text(&t.RefundNo, order.MaxRefundNo) }},
	{"from_state", func(t *order.Transition) field { return text(&t.From, order.MaxName) }},
	{"to_state", func(t *order.Transition) field { return text(&t.To, order.MaxName) }},
	{"order_from", func(t *order.Transition) field { return text(&t.OrderFrom, order.MaxName) }},
	{"order_to", func(t *order.Transition) field { return text(&t.OrderTo, order.MaxName) }},
	{"actor", func(t *order.Transition) field { return text(&t.Actor, order.MaxActor) }},
	{"note", func(t *order.Transition) field { return text(&t.Note, maxText) }},
	{"at", func(t *order.Transition) field { return requiredTime(&t.At) }},
}

// maxText is the number of characters that a TEXT of MySQL always holds.
const maxText = 65535 / utf8.UTFMax

// column is a column of a table and the field of a T that it holds.
type column[T any] struct {
	name  string
	field func(v *T) field
}

// field is one field of a struct.
type field struct {
	dest  any // for Scan
	value any // that is stored: a string, an int64 or nil
	most  int // characters of a text
}

func text[T ~string](p *T, most int) field { return field{p, string(*p), most} }

func number[T ~int | ~int64](p *T) field { return field{dest: p, value: int64(*p)} }

// flag is stored as 0 or 1.
func flag(p *bool) field {
	f := field{dest: scanner(func(n sql.NullInt64) { *p = n.Int64 != 0 }), value: int64(0)}
	if *p {
		f.value = int64(1)
	}
	return f
}

// requiredTime is stored as microseconds since 1970. The zero time is in the year 1.
func requiredTime(p *time.Time) field {
	scan := func(n sql.NullInt64) { *p = moment(n.Int64) }
	return field{dest: scanner(scan), value: p.UnixMicro()}
}

// optionalTime is stored as microseconds since 1970. The zero time is NULL.
func optionalTime(p *time.Time) field {
	f := field{dest: scanner(func(n sql.NullInt64) {
		*p = time.Time{}
		if n.Valid {
			*p = moment(n.Int64)
		}
	})}
	if !p.IsZero() {
		f.value = p.UnixMicro()
	}
	return f
}

func moment(n int64) time.Time { return time.UnixMicro(n).UTC() }

// scanner takes a number that may be NULL.
type scanner func(n sql.NullInt64)

// Scan implements sql.Scanner.
func (f scanner) Scan(src any) error {
	var n sql.NullInt64
	if err := n.Scan(src); err != nil {
		return err
	}
	f(n)
	return nil
}

type columns[T any] []column[T]

// collect calls f for every column with the field of v.
func collect[T, R any](cs columns[T], v *T, f func(name string, f field) R) []R {
	all := make([]R, len(cs))
	for i, c := range cs {
		all[i] = f(c.name, c.field(v))
	}
	return all
}

// dest returns where Scan puts the columns of v.
func (cs columns[T]) dest(v *T) []any {
	return collect(cs, v, func(_ string, f field) any { return f.dest })
}

func (cs columns[T]) values(v *T) []any {
	return collect(cs, v, func(_ string, f field) any { return f.value })
}

// names lists the columns, each after a prefix.
func (cs columns[T]) names(prefix string) string {
	names := collect(cs, new(T), func(name string, _ field) string { return prefix + name })
	return strings.Join(names, ", ")
}

// blanks lists a constant of each column's type.
func (cs columns[T]) blanks() string {
	return strings.Join(collect(cs, new(T), func(_ string, f field) string {
		if f.most > 0 {
			return "''"
		}
		return "0"
	}), ", ")
}

// changed returns the columns whose values differ. MySQL counts the rows that an UPDATE changes and
// not those that it finds, so that an UPDATE must change something.
func (cs columns[T]) changed(before, after *T) (set []assignment) {
	for _, c := range cs {
		if value := c.field(after).value; c.field(before).value != value {
			set = append(set, assignment{c.name, value})
		}
	}
	return set
}

// check refuses text that a database would cut, change or refuse. Text is stored exactly or not at
// all.
func (cs columns[T]) check(v *T) error {
	for _, c := range cs {
		f := c.field(v)
		s, _ := f.value.(string)
		problem := ""
		switch {
		case !utf8.ValidString(s), strings.ContainsRune(s, 0):
			problem = "is not valid UTF-8 without NUL"
		case utf8.RuneCountInString(s) > f.most:
			problem = fmt.Sprintf("must have at most %d characters", f.most)
		default:
			continue
		}
		// from and to are words of SQL, so that their columns have longer names.
		return &order.InvalidError{Field: strings.TrimSuffix(c.name, "_state"), Problem: problem}
	}
	return nil
}
