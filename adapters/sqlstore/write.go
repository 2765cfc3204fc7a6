package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// change is one statement that writes.
type change struct {
	query  string // with question marks
	args   []any
	rows   int   // that it must write
	missed error // what it means that it wrote fewer
}

var errOverwritten = errors.New("the order was changed by others while it was locked")

// updateID identifies one write of an order's row, which holds it. It is 0 if nothing was written.
type updateID int64

// newUpdateID returns an ID that no other write has: 63 random bits.
func newUpdateID() updateID { return updateID(rand.Int64()) + 1 } //nolint:gosec // no secret

// insert stores a new order.
func (s *Store) insert(ctx context.Context, c txn.Conn, o *order.Order) (updateID, error) {
	if err := check(o); err != nil {
		return 0, err
	}
	if err := refund.CheckHistory(o, 0); err != nil {
		return 0, err
	}
	first := *o
	first.Version = 1
	id := newUpdateID()
	row := change{s.sql.insertOrder, append([]any{o.ID, int64(id)}, orderValues(&first)...), 1, refund.ErrExists}
	// The order first and on its own: what else is taken then is so because the order is there.
	if err := s.apply(ctx, c, []change{row}); err != nil {
		return 0, err
	}
	return id, s.apply(ctx, c, s.added(o, 0))
}

// write stores what has changed between before and after: the order's row, the refunds that differ, and the
// new refunds and the transitions of after in one statement each.
func (s *Store) write(ctx context.Context, c txn.Conn, before, after *order.Order) (updateID, error) {
	if after.ID != before.ID {
		return 0, fmt.Errorf("the ID was changed: %w", order.ErrInvalid)
	}
	if before.Equal(after) {
		return 0, nil
	}
	if err := check(after); err != nil {
		return 0, err
	}
	if err := refund.CheckHistory(after, before.Seq); err != nil {
		return 0, err
	}
	known := len(before.Refunds)
	if len(after.Refunds) < known {
		return 0, fmt.Errorf("refunds are only ever added to: %w", order.ErrInvalid)
	}
	row := *after
	row.Version = before.Version + 1
	id := newUpdateID()
	updates := []update{{
		s.sql.orders, append(changed(orderColumns, orderValues(before), orderValues(&row)), column{"update_id", int64(id)}),
		[]column{{"id", after.ID}, {"version", before.Version}},
	}}
	for i := range known {
		r, was := &after.Refunds[i], &before.Refunds[i]
		if *r == *was && after.Gateway == before.Gateway {
			continue
		}
		if r.No != was.No {
			return 0, fmt.Errorf("the number of a refund was changed: %w", order.ErrInvalid)
		}
		set := changed(refundColumns, refundValues(before, was), refundValues(after, r))
		if len(set) > 0 { // they may differ by what is not stored
			updates = append(updates, update{s.sql.refunds, set, []column{{"order_id", after.ID}, {"place", i}, {"no", r.No}}})
		}
	}
	var changes []change
	if s.d == MySQL && len(updates) == 2 {
		// The refund first: of other tables than the first, MySQL keeps the values in a temporary one, on disk if
		// there is a TEXT among them.
		changes = append(changes, together(updates[1], updates[0]))
	} else {
		for _, u := range updates {
			changes = append(changes, together(u))
		}
	}
	return id, s.apply(ctx, c, append(changes, s.added(after, known)...))
}

// added are the refunds of o from this index on, and the transitions that it holds.
func (s *Store) added(o *order.Order, known int) []change {
	taken := fmt.Errorf("a refund number is taken: %w", refund.ErrConflict)
	return append(
		inserts(s.sql.insertRefunds, s.d.ifNew("no"), known, len(o.Refunds), taken, func(i int) []any {
			return append([]any{o.ID, i}, refundValues(o, &o.Refunds[i])...)
		}),
		inserts(s.sql.insertTransitions, "", 0, len(o.History), errOverwritten, func(i int) []any {
			t := &o.History[i]
			return []any{
				o.ID, t.Seq, string(t.Event), t.RefundNo, string(t.From), string(t.To), string(t.OrderFrom), string(t.OrderTo),
				string(t.Actor), t.Note, t.At.UnixMicro(),
			}
		})...)
}

// mostRows bounds the rows of one statement, and so its parameters: SQLite takes 32766.
const mostRows = 500

// inserts are the rows from up to to, to excluded.
func inserts(query, end string, from, to int, missed error, row func(i int) []any) []change {
	var changes []change
	for ; from < to; from += mostRows {
		n := min(to-from, mostRows)
		var args []any
		for i := range n {
			args = append(args, row(from+i)...)
		}
		marks := "(" + marks(len(args)/n) + ")"
		changes = append(changes, change{query + marks + strings.Repeat(", "+marks, n-1) + end, args, n, missed})
	}
	return changes
}

// apply runs changes, in as few round trips as the database allows.
func (s *Store) apply(ctx context.Context, c txn.Conn, changes []change) error {
	if s.d == PostgreSQL && 1 < len(changes) && len(changes) <= 4 {
		return s.applyTogether(ctx, c, changes)
	}
	for _, ch := range changes {
		n, err := c.Exec(ctx, s.d.bind(ch.query), ch.args...)
		if s.d.classify(err) == faultDuplicate || err == nil && n < int64(ch.rows) {
			return ch.missed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyTogether runs changes as one statement, which PostgreSQL can.
func (s *Store) applyTogether(ctx context.Context, c txn.Conn, changes []change) error {
	var with, counts []string
	var args []any
	written, dest := make([]int, len(changes)), make([]any, len(changes))
	for i, ch := range changes {
		with = append(with, fmt.Sprintf("w%d AS (%s RETURNING 1)", i, ch.query))
		counts = append(counts, fmt.Sprintf("(SELECT COUNT(*) FROM w%d)", i))
		args = append(args, ch.args...)
		dest[i] = &written[i]
	}
	query := s.d.bind("WITH " + strings.Join(with, ", ") + " SELECT " + strings.Join(counts, ", "))
	err := each(ctx, c, query, args, func(r txn.Rows) error { return r.Scan(dest...) })
	if s.d.classify(err) == faultDuplicate {
		return fmt.Errorf("%w: %w", errOverwritten, err)
	}
	if err != nil {
		return err
	}
	for i, ch := range changes {
		if written[i] != ch.rows {
			return ch.missed
		}
	}
	return nil
}

// column is a column and its value.
type column struct {
	name  string
	value any
}

// update is an UPDATE of one row: what it sets, and which row.
type update struct {
	table    string
	set, key []column
}

// together is one statement for updates of one row each; for those of several tables MySQL has it.
func together(updates ...update) change {
	var tables, set, where []string
	var values, keys []any
	for _, u := range updates {
		of := ""
		if len(updates) > 1 {
			of = u.table + "."
		}
		tables = append(tables, u.table)
		for _, c := range u.set {
			set, values = append(set, of+c.name+" = ?"), append(values, c.value)
		}
		for _, c := range u.key {
			where, keys = append(where, of+c.name+" = ?"), append(keys, c.value)
		}
	}
	query := "UPDATE " + strings.Join(tables, ", ") + " SET " + strings.Join(set, ", ") + " WHERE " + strings.Join(where, " AND ")
	return change{query, append(values, keys...), len(updates), errOverwritten}
}

// changed are the columns whose values differ. MySQL counts the rows that it changed, and not those that it found, so
// that an UPDATE must change something.
func changed(columns []string, before, after []any) (set []column) {
	for i, name := range columns {
		if before[i] != after[i] {
			set = append(set, column{name, after[i]})
		}
	}
	return set
}

// orderValues are those of orderColumns.
func orderValues(o *order.Order) []any {
	return []any{
		o.Gateway, o.PaymentID, o.Currency, o.Total, o.Refunded, o.Reserved, o.Excess(), string(o.State), o.Seq, o.Version,
		micros(o.PaidAt), micros(o.CreatedAt), micros(o.UpdatedAt),
	}
}

// refundValues are those of refundColumns.
func refundValues(o *order.Order, r *order.Refund) []any {
	outstanding := 0
	if r.Outstanding {
		outstanding = 1
	}
	return []any{
		r.No, r.Reason, string(r.State), string(r.RequestedBy), string(r.ReviewedBy), r.ReviewNote, r.ProviderRefundID, r.Code, r.Message,
		r.Amount, r.Attempts, r.Retries, outstanding, r.NextAttemptAt.UnixMicro(), micros(r.LeasedUntil), micros(r.SubmittedAt),
		micros(r.DeclinedAt), micros(r.AcceptedAt), micros(r.ConfirmedAt), r.RequestedAt.UnixMicro(), micros(r.ReviewedAt), micros(r.ApprovedAt), micros(r.EndedAt), micros(r.RefundedAt),
		o.Gateway,
	}
}

// check refuses text that a database would cut, change or refuse: it is stored exactly or not at all.
func check(o *order.Order) error {
	var err error
	text := func(field, value string, most int) { // most counts characters
		switch {
		case err != nil:
		case !utf8.ValidString(value), strings.ContainsRune(value, 0):
			err = &order.InvalidError{Field: field, Problem: "is not valid UTF-8 without NUL"}
		case utf8.RuneCountInString(value) > most:
			err = &order.InvalidError{Field: field, Problem: fmt.Sprintf("must have at most %d characters", most)}
		}
	}
	text("id", o.ID, order.MaxID)
	text("gateway", o.Gateway, order.MaxName)
	text("payment_id", o.PaymentID, order.MaxID)
	text("currency", o.Currency, 3)
	text("state", string(o.State), order.MaxName)
	const maxText = 65535 / utf8.UTFMax // what MySQL's TEXT always holds
	for i := range o.Refunds {
		r := &o.Refunds[i]
		text("no", r.No, order.MaxRefundNo)
		text("state", string(r.State), order.MaxName)
		text("requested_by", string(r.RequestedBy), order.MaxActor)
		text("reviewed_by", string(r.ReviewedBy), order.MaxActor)
		text("reason", r.Reason, maxText)
		text("review_note", r.ReviewNote, maxText)
		text("message", r.Message, order.MaxMessage)
		text("provider_refund_id", r.ProviderRefundID, order.MaxCode)
		text("code", r.Code, order.MaxCode)
	}
	for i := range o.History {
		t := &o.History[i]
		text("event", string(t.Event), order.MaxName)
		text("refund_no", t.RefundNo, order.MaxRefundNo)
		text("from", string(t.From), order.MaxName)
		text("to", string(t.To), order.MaxName)
		text("order_from", string(t.OrderFrom), order.MaxName)
		text("order_to", string(t.OrderTo), order.MaxName)
		text("actor", string(t.Actor), order.MaxActor)
		text("note", t.Note, maxText)
	}
	return err
}
