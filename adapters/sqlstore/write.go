package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/column"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// change is one statement that writes.
type change struct {
	query  string // with question marks
	args   []any
	rows   int   // that it must write
	missed error // the meaning of fewer rows
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
	args := append([]any{int64(id)}, orderColumns.Values(&first)...)
	row := change{s.sql.insertOrder, args, 1, refund.ErrExists}
	// The order is inserted first and alone, so that a taken key means that the order exists.
	if err := s.apply(ctx, c, []change{row}); err != nil {
		return 0, err
	}
	return id, s.apply(ctx, c, s.added(o, 0))
}

// write stores what has changed between before and after: the order's row, the refunds that differ,
// and in one statement each the new refunds and the transitions of after.
func (s *Store) write(
	ctx context.Context, c txn.Conn, before, after *order.Order,
) (updateID, error) {
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
		return 0, fmt.Errorf("a refund was removed: %w", order.ErrInvalid)
	}
	row := *after
	row.Version = before.Version + 1
	id := newUpdateID()
	set := append(orderColumns.Changed(before, &row), column.Assign("update_id", int64(id)))
	key := []column.Assignment{column.Assign("id", after.ID), column.Assign("version", before.Version)}
	updates := []update{{s.sql.orders, set, key}}
	for i := range known {
		r, was := &after.Refunds[i], &before.Refunds[i]
		if r.No != was.No {
			return 0, fmt.Errorf("the number of a refund was changed: %w", order.ErrInvalid)
		}
		set := refundColumns.Changed(was, r)
		if after.Gateway != before.Gateway {
			set = append(set, column.Assign("gateway", after.Gateway))
		}
		if len(set) > 0 {
			key := []column.Assignment{
				column.Assign("order_id", after.ID), column.Assign("place", i), column.Assign("no", r.No),
			}
			updates = append(updates, update{s.sql.refunds, set, key})
		}
	}
	var changes []change
	if s.d == MySQL && len(updates) == 2 {
		// The refund first: MySQL keeps the values of other tables than the first in a temporary
		// table, on disk if there is a TEXT among them.
		changes = append(changes, updateRows(updates[1], updates[0]))
	} else {
		for _, u := range updates {
			changes = append(changes, updateRows(u))
		}
	}
	return id, s.apply(ctx, c, append(changes, s.added(after, known)...))
}

// added inserts the refunds of o from the index known on, and the transitions that o holds.
func (s *Store) added(o *order.Order, known int) []change {
	taken := fmt.Errorf("a refund number is taken: %w", order.ErrConflict)
	refunds := insertRows(s.sql.insertRefunds, s.d.skipTaken("no"), len(o.Refunds)-known, taken,
		func(i int) []any {
			key := []any{o.ID, known + i, o.Gateway}
			return append(key, refundColumns.Values(&o.Refunds[known+i])...)
		})
	transitions := insertRows(s.sql.insertTransitions, "", len(o.History), errOverwritten,
		func(i int) []any {
			return append([]any{o.ID}, transitionColumns.Values(&o.History[i])...)
		})
	return append(refunds, transitions...)
}

// mostRows bounds the rows of one statement, and so its parameters: SQLite takes 32766.
const mostRows = 500

// insertRows inserts n rows.
func insertRows(query, end string, n int, missed error, row func(i int) []any) []change {
	var changes []change
	for from := 0; from < n; from += mostRows {
		rows := min(n-from, mostRows)
		var args []any
		for i := range rows {
			args = append(args, row(from+i)...)
		}
		marks := "(" + placeholders(len(args)/rows) + ")"
		values := marks + strings.Repeat(", "+marks, rows-1)
		changes = append(changes, change{query + values + end, args, rows, missed})
	}
	return changes
}

// apply runs changes, in as few round trips as the database allows.
func (s *Store) apply(ctx context.Context, c txn.Conn, changes []change) error {
	if s.d == PostgreSQL && 1 < len(changes) && len(changes) <= 4 {
		return s.applyAsOne(ctx, c, changes)
	}
	for _, ch := range changes {
		n, err := c.Exec(ctx, s.d.bind(ch.query), ch.args...)
		if s.d.IsDuplicate(err) || err == nil && n < int64(ch.rows) {
			return ch.missed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyAsOne runs changes as one statement of PostgreSQL.
func (s *Store) applyAsOne(ctx context.Context, c txn.Conn, changes []change) error {
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
	err := scan(ctx, c, query, args, dest, func() {})
	if s.d.IsDuplicate(err) {
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

// update is an UPDATE of one row: what it sets, and the key of the row.
type update struct {
	table    string
	set, key []column.Assignment
}

// updateRows returns one statement for updates of one row each. Only MySQL takes several tables.
func updateRows(updates ...update) change {
	var tables, set, where []string
	var values, keys []any
	for _, u := range updates {
		prefix := ""
		if len(updates) > 1 {
			prefix = u.table + "."
		}
		tables = append(tables, u.table)
		for _, a := range u.set {
			set, values = append(set, prefix+a.Column+" = ?"), append(values, a.Value)
		}
		for _, a := range u.key {
			where, keys = append(where, prefix+a.Column+" = ?"), append(keys, a.Value)
		}
	}
	query := "UPDATE " + strings.Join(tables, ", ") + " SET " + strings.Join(set, ", ") +
		" WHERE " + strings.Join(where, " AND ")
	return change{query, append(values, keys...), len(updates), errOverwritten}
}

// check refuses text that the database cannot store exactly.
func check(o *order.Order) error {
	err := orderColumns.Check(o)
	for i := range o.Refunds {
		err = cmp.Or(err, refundColumns.Check(&o.Refunds[i]))
	}
	for i := range o.History {
		err = cmp.Or(err, transitionColumns.Check(&o.History[i]))
	}
	return err
}
