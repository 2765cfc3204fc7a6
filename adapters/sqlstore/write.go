package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// insert stores a new order.
func (s *Store) insert(ctx context.Context, c Conn, o *order.Order) error {
	if err := check(o); err != nil {
		return err
	}
	o.Version = 1
	n, err := c.Exec(ctx, s.sql.insertOrder, o.ID, o.Gateway, o.PaymentID, o.Currency, o.Total, o.Refunded, o.Reserved, o.Excess(),
		string(o.State), o.Seq, o.Version, micros(o.PaidAt), micros(o.CreatedAt), micros(o.UpdatedAt))
	if s.d.classify(err) == faultDuplicate || err == nil && n == 0 {
		return refund.ErrExists
	}
	if err != nil {
		return err
	}
	return s.add(ctx, c, o, 0, 0)
}

// write stores what has changed between before and after: the order's row, the refunds that differ, and the
// new refunds and transitions in one statement each.
func (s *Store) write(ctx context.Context, c Conn, before, after *order.Order) error {
	if after.ID != before.ID {
		return fmt.Errorf("the ID was changed: %w", order.ErrInvalid)
	}
	if before.Equal(after) {
		after.Version = before.Version
		return nil
	}
	if err := check(after); err != nil {
		return err
	}
	known, past := len(before.Refunds), len(before.History)
	if len(after.Refunds) < known || len(after.History) < past || !slices.Equal(after.History[:past], before.History) {
		return fmt.Errorf("refunds and history are only ever added to: %w", order.ErrInvalid)
	}
	after.Version = before.Version + 1
	n, err := c.Exec(ctx, s.sql.updateOrder, after.Gateway, after.PaymentID, after.Currency, after.Total, after.Refunded,
		after.Reserved, after.Excess(), string(after.State), after.Seq, after.Version, micros(after.PaidAt), micros(after.CreatedAt),
		micros(after.UpdatedAt), after.ID, before.Version)
	if err != nil {
		return err
	}
	if n != 1 {
		return errors.New("the order was changed by others while it was locked")
	}
	for i := range known {
		r := &after.Refunds[i]
		if *r == before.Refunds[i] {
			continue
		}
		if r.No != before.Refunds[i].No {
			return fmt.Errorf("the number of a refund was changed: %w", order.ErrInvalid)
		}
		if _, err := c.Exec(ctx, s.sql.updateRefund, append(refundValues(r)[1:], r.No, after.ID)...); err != nil {
			return fmt.Errorf("refund %s: %w", r.No, err)
		}
	}
	return s.add(ctx, c, after, known, past)
}

// add inserts the refunds and transitions of o from these indexes on.
func (s *Store) add(ctx context.Context, c Conn, o *order.Order, known, past int) error {
	var values []any
	for i := known; i < len(o.Refunds); i++ {
		r := &o.Refunds[i]
		values = append(append(values, o.ID, i), refundValues(r)...)
	}
	if n := len(o.Refunds) - known; n > 0 {
		added, err := c.Exec(ctx, s.d.bind(s.sql.insertRefunds+rows(n, len(values)/n)+s.d.ifNew("no")), values...)
		if s.d.classify(err) == faultDuplicate || err == nil && added != int64(n) {
			return fmt.Errorf("a refund number is taken: %w", refund.ErrConflict)
		}
		if err != nil {
			return err
		}
	}
	values = nil
	for _, t := range o.History[past:] {
		values = append(values, o.ID, t.Seq, string(t.Event), t.RefundNo, string(t.From), string(t.To),
			string(t.OrderFrom), string(t.OrderTo), string(t.Actor), t.Note, t.At.UnixMicro())
	}
	if n := len(o.History) - past; n > 0 {
		if _, err := c.Exec(ctx, s.d.bind(s.sql.insertTransitions+rows(n, len(values)/n)), values...); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	return nil
}

// refundValues are those of refundColumns.
func refundValues(r *order.Refund) []any {
	outstanding := int64(0)
	if r.Outstanding {
		outstanding = 1
	}
	values := []any{
		r.No, r.Amount, r.Reason, string(r.State), string(r.RequestedBy), string(r.ReviewedBy), r.ReviewNote,
		r.RefundID, r.Code, r.Message, r.Attempts, r.Retries, outstanding, r.NextAttemptAt.UnixMicro(),
	}
	for _, t := range refundTimes(r) {
		values = append(values, micros(*t))
	}
	return values
}

// rows is n times a row of placeholders.
func rows(n, columns int) string {
	return strings.TrimSuffix(strings.Repeat("("+marks(columns)+"), ", n), ", ")
}

// check refuses text that a database would cut, change or refuse: it is stored exactly or not at all.
func check(o *order.Order) error {
	type text struct {
		field, value string
		most         int // characters
	}
	texts := []text{
		{"id", o.ID, order.MaxID},
		{"gateway", o.Gateway, order.MaxName},
		{"payment_id", o.PaymentID, order.MaxID},
		{"currency", o.Currency, 3},
		{"state", string(o.State), order.MaxName},
	}
	const maxText = 65535 / utf8.UTFMax // what MySQL's TEXT always holds
	for i := range o.Refunds {
		r := &o.Refunds[i]
		texts = append(texts, text{"no", r.No, order.MaxRefundNo}, text{"state", string(r.State), order.MaxName},
			text{"requested_by", string(r.RequestedBy), order.MaxActor}, text{"reviewed_by", string(r.ReviewedBy), order.MaxActor},
			text{"reason", r.Reason, maxText}, text{"review_note", r.ReviewNote, maxText}, text{"message", r.Message, maxText},
			text{"refund_id", r.RefundID, order.MaxActor}, text{"code", r.Code, order.MaxActor})
	}
	for i := range o.History {
		t := &o.History[i]
		texts = append(texts, text{"event", string(t.Event), order.MaxName}, text{"from", string(t.From), order.MaxName},
			text{"to", string(t.To), order.MaxName}, text{"order_from", string(t.OrderFrom), order.MaxName},
			text{"order_to", string(t.OrderTo), order.MaxName},
			text{"actor", string(t.Actor), order.MaxActor}, text{"note", t.Note, maxText})
	}
	for _, t := range texts {
		switch {
		case !utf8.ValidString(t.value), strings.ContainsRune(t.value, 0):
			return &order.InvalidError{Field: t.field, Problem: "is not valid UTF-8 without NUL"}
		case utf8.RuneCountInString(t.value) > t.most:
			return &order.InvalidError{Field: t.field, Problem: fmt.Sprintf("must have at most %d characters", t.most)}
		}
	}
	return nil
}
