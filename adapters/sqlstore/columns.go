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
	{"id", order.MaxID, func(o *order.Order) any { return &o.ID }},
	{"gateway", order.MaxName, func(o *order.Order) any { return &o.Gateway }},
	{"payment_id", order.MaxID, func(o *order.Order) any { return &o.PaymentID }},
	{"currency", 3, func(o *order.Order) any { return &o.Currency }},
	{"total", 0, func(o *order.Order) any { return &o.Total }},
	{"refunded", 0, func(o *order.Order) any { return &o.Refunded }},
	{"reserved", 0, func(o *order.Order) any { return &o.Reserved }},
	{"excess", 0, func(o *order.Order) any { n := o.Excess(); return &n }},
	{"state", order.MaxName, func(o *order.Order) any { return &o.State }},
	{"seq", 0, func(o *order.Order) any { return &o.Seq }},
	{"version", 0, func(o *order.Order) any { return &o.Version }},
	{"paid_at", 0, func(o *order.Order) any { return (*optionalTime)(&o.PaidAt) }},
	{"created_at", 0, func(o *order.Order) any { return (*optionalTime)(&o.CreatedAt) }},
	{"updated_at", 0, func(o *order.Order) any { return (*optionalTime)(&o.UpdatedAt) }},
}

// refundColumns are the columns of a refund, without those of its order: order_id, place and
// gateway.
var refundColumns = columns[order.Refund]{
	{"no", order.MaxRefundNo, func(r *order.Refund) any { return &r.No }},
	{"amount", 0, func(r *order.Refund) any { return &r.Amount }},
	{"reason", maxText, func(r *order.Refund) any { return &r.Reason }},
	{"state", order.MaxName, func(r *order.Refund) any { return &r.State }},
	{"requested_by", order.MaxActor, func(r *order.Refund) any { return &r.RequestedBy }},
	{"reviewed_by", order.MaxActor, func(r *order.Refund) any { return &r.ReviewedBy }},
	{"review_note", maxText, func(r *order.Refund) any { return &r.ReviewNote }},
	{"provider_refund_id", order.MaxCode, func(r *order.Refund) any { return &r.ProviderRefundID }},
	{"code", order.MaxCode, func(r *order.Refund) any { return &r.Code }},
	{"message", order.MaxMessage, func(r *order.Refund) any { return &r.Message }},
	{"recipient", order.MaxCode, func(r *order.Refund) any { return &r.Recipient }},
	{"settled", 0, func(r *order.Refund) any { return &r.Settled }},
	{"attempts", 0, func(r *order.Refund) any { return &r.Attempts }},
	{"retries", 0, func(r *order.Refund) any { return &r.Retries }},
	{"outstanding", 0, func(r *order.Refund) any { return (*flag)(&r.Outstanding) }},
	{"next_attempt_at", 0, func(r *order.Refund) any { return (*requiredTime)(&r.NextAttemptAt) }},
	{"leased_until", 0, func(r *order.Refund) any { return (*optionalTime)(&r.LeasedUntil) }},
	{"submitted_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.SubmittedAt) }},
	{"declined_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.DeclinedAt) }},
	{"accepted_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.AcceptedAt) }},
	{"confirmed_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.ConfirmedAt) }},
	{"requested_at", 0, func(r *order.Refund) any { return (*requiredTime)(&r.RequestedAt) }},
	{"reviewed_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.ReviewedAt) }},
	{"approved_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.ApprovedAt) }},
	{"ended_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.EndedAt) }},
	{"refunded_at", 0, func(r *order.Refund) any { return (*optionalTime)(&r.RefundedAt) }},
}

// transitionColumns are the columns of a transition, without order_id.
var transitionColumns = columns[order.Transition]{
	{"seq", 0, func(t *order.Transition) any { return &t.Seq }},
	{"event", order.MaxName, func(t *order.Transition) any { return &t.Event }},
	{"refund_no", order.MaxRefundNo, func(t *order.Transition) any { return &t.RefundNo }},
	{"from_state", order.MaxName, func(t *order.Transition) any { return &t.From }},
	{"to_state", order.MaxName, func(t *order.Transition) any { return &t.To }},
	{"order_from", order.MaxName, func(t *order.Transition) any { return &t.OrderFrom }},
	{"order_to", order.MaxName, func(t *order.Transition) any { return &t.OrderTo }},
	{"actor", order.MaxActor, func(t *order.Transition) any { return &t.Actor }},
	{"note", maxText, func(t *order.Transition) any { return &t.Note }},
	{"at", 0, func(t *order.Transition) any { return (*requiredTime)(&t.At) }},
}

// maxText is the number of characters that a TEXT of MySQL always holds.
const maxText = 65535 / utf8.UTFMax

// column is a column of a table and the field of a T that it holds.
type column[T any] struct {
	name string
	most int // characters of a text; 0 if it holds a number
	// field returns a pointer to the field: of a string or integer type, or of one of the types
	// below.
	field func(v *T) any
}

type (
	// flag is stored as 0 or 1.
	flag bool
	// requiredTime is stored as microseconds since 1970. The zero time is in the year 1.
	requiredTime time.Time
	// optionalTime is stored as microseconds since 1970. The zero time is NULL.
	optionalTime time.Time
)

// Scan implements sql.Scanner.
func (f *flag) Scan(src any) error {
	n, _, err := scanNumber(src)
	*f = n != 0
	return err
}

// Scan implements sql.Scanner.
func (t *requiredTime) Scan(src any) error {
	n, _, err := scanNumber(src)
	*t = requiredTime(moment(n))
	return err
}

// Scan implements sql.Scanner.
func (t *optionalTime) Scan(src any) error {
	n, valid, err := scanNumber(src)
	*t = optionalTime{}
	if valid {
		*t = optionalTime(moment(n))
	}
	return err
}

func moment(n int64) time.Time { return time.UnixMicro(n).UTC() }

// scanNumber returns a number of the database, which may be NULL.
func scanNumber(src any) (n int64, valid bool, err error) {
	if n, ok := src.(int64); ok { // as most drivers return it
		return n, true, nil
	}
	var null sql.NullInt64
	err = null.Scan(src)
	return null.Int64, null.Valid, err
}

// textOf returns what a text column stores of a field.
func textOf(field any) (s string, isText bool) {
	switch p := field.(type) {
	case *string:
		return *p, true
	case *order.State:
		return string(*p), true
	case *order.Event:
		return string(*p), true
	case *order.Actor:
		return string(*p), true
	}
	return "", false
}

// numberOf returns what a column of numbers stores of a field. It is not valid if that is NULL.
func numberOf(field any) (n int64, valid bool) {
	switch p := field.(type) {
	case *int:
		return int64(*p), true
	case *int64:
		return *p, true
	case *flag:
		if *p {
			return 1, true
		}
		return 0, true
	case *requiredTime:
		return time.Time(*p).UnixMicro(), true
	case *optionalTime:
		if t := time.Time(*p); !t.IsZero() {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// valueOf returns what is stored of a field: a string, an int64 or nil.
func valueOf(field any) any {
	if s, isText := textOf(field); isText {
		return s
	}
	if n, valid := numberOf(field); valid {
		return n
	}
	return nil
}

// isSame reports whether the same is stored of two fields of one column.
func isSame(a, b any) bool {
	if s, isText := textOf(a); isText {
		t, _ := textOf(b)
		return s == t
	}
	n, valid := numberOf(a)
	m, alsoValid := numberOf(b)
	return n == m && valid == alsoValid
}

type columns[T any] []column[T]

// dest returns where Scan puts the columns of v.
func (cs columns[T]) dest(v *T) []any {
	dest := make([]any, len(cs))
	for i, c := range cs {
		dest[i] = c.field(v)
	}
	return dest
}

func (cs columns[T]) values(v *T) []any {
	values := make([]any, len(cs))
	for i, c := range cs {
		values[i] = valueOf(c.field(v))
	}
	return values
}

// names lists the columns, each after a prefix.
func (cs columns[T]) names(prefix string) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = prefix + c.name
	}
	return strings.Join(names, ", ")
}

// blanks lists a constant of each column's type.
func (cs columns[T]) blanks() string {
	blanks := make([]string, len(cs))
	for i, c := range cs {
		blanks[i] = "0"
		if c.most > 0 {
			blanks[i] = "''"
		}
	}
	return strings.Join(blanks, ", ")
}

// changed returns the columns whose values differ. MySQL counts the rows that an UPDATE changes and
// not those that it finds, so that an UPDATE must change something.
func (cs columns[T]) changed(before, after *T) (set []assignment) {
	for _, c := range cs {
		if field := c.field(after); !isSame(c.field(before), field) {
			set = append(set, assignment{c.name, valueOf(field)})
		}
	}
	return set
}

// check refuses text that a database would cut, change or refuse. Text is stored exactly or not at
// all.
func (cs columns[T]) check(v *T) error {
	for _, c := range cs {
		s, _ := textOf(c.field(v))
		problem := ""
		switch {
		case !utf8.ValidString(s), strings.ContainsRune(s, 0):
			problem = "is not valid UTF-8 without NUL"
		case utf8.RuneCountInString(s) > c.most:
			problem = fmt.Sprintf("must have at most %d characters", c.most)
		default:
			continue
		}
		// from and to are words of SQL, so that their columns have longer names.
		return &order.InvalidError{Field: strings.TrimSuffix(c.name, "_state"), Problem: problem}
	}
	return nil
}
