package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Get implements [refund.Store]. If ctx carries a transaction, Get and History see what it has
// written.
func (s *Store) Get(ctx context.Context, orderID string) (*order.Order, error) {
	var o *order.Order
	err := s.reading(ctx, func(c txn.Conn) (err error) {
		o, _, err = load(ctx, c, s.sql.load, s.sql.loadArgs, orderID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get order %s: %w", orderID, err)
	}
	return o, nil
}

// History implements [refund.Store]. It reads one range of the table's key.
func (s *Store) History(
	ctx context.Context, orderID string, after int64, limit int,
) ([]order.Transition, error) {
	var page []order.Transition
	var id string
	var t order.Transition
	dest := append([]any{&id}, transitionColumns.Dest(&t)...)
	args := []any{orderID, after, max(limit, 0)}
	err := s.query(ctx, s.sql.history, args, dest, func() { page = nil }, func() {
		if id == orderID { // MySQL's collation ignores spaces at the end
			page = append(page, t)
		}
	})
	if err == nil && len(page) == 0 { // does the order exist?
		reset := func() { id = "" }
		err = s.query(ctx, s.sql.exists, []any{orderID}, []any{&id}, reset, func() {})
		if err == nil && id != orderID {
			err = refund.ErrOrderNotFound
		}
	}
	if err != nil {
		return nil, fmt.Errorf("get the history of order %s: %w", orderID, err)
	}
	return page, nil
}

// query runs one statement that reads, and calls row for every row that it has scanned into dest.
// It calls reset before the statement, which it runs again if the database is busy.
func (s *Store) query(
	ctx context.Context, query string, args, dest []any, reset, row func(),
) error {
	return s.reading(ctx, func(c txn.Conn) error {
		reset()
		return scan(ctx, c, query, args, dest, row)
	})
}

// reading calls f with the transaction that ctx carries, or with the pool. On the pool it calls f
// again if the database is busy, which SQLite can be for readers too.
func (s *Store) reading(ctx context.Context, f func(c txn.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := s.pool.Joined(ctx)
	switch {
	case err == nil && t != nil:
		return f(t)
	case err != nil && !errors.Is(err, txn.ErrEnded):
		return err
	}
	defer s.pool.Prepared.CatchUp(ctx)
	return s.pool.Retry(ctx, func() error { return f(txn.SQL(s.db, s.pool.Prepared)) })
}

// scan runs a query and calls row for every row that it has scanned into dest.
func scan(ctx context.Context, c txn.Conn, query string, args, dest []any, row func()) error {
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return errors.Join(err, rows.Close())
		}
		row()
	}
	return errors.Join(rows.Err(), rows.Close())
}

// lock reads an order and keeps others from changing it until the transaction ends.
func (s *Store) lock(ctx context.Context, c txn.Conn, orderID string) (*order.Order, error) {
	if s.d == SQLite {
		// A write as the first statement, even of no row, takes SQLite's one write lock at once, as
		// BEGIN IMMEDIATE does.
		if _, err := c.Exec(ctx, s.sql.touch); err != nil {
			return nil, err
		}
	}
	o, fresh, err := load(ctx, c, s.sql.lock, s.sql.lockArgs, orderID)
	if err != nil || fresh {
		return o, err
	}
	// Others have changed it while we waited.
	o, _, err = load(ctx, c, s.sql.reload, s.sql.loadArgs, orderID)
	return o, err
}

// load reads an order by one statement. It reports whether the order is as it was when its lock, if
// the statement takes one, was granted.
func load(
	ctx context.Context, c txn.Conn, query string, args int, orderID string,
) (o *order.Order, fresh bool, err error) {
	refunds := map[int64]order.Refund{} // by place
	var kind, place, locked int64
	var head order.Order
	var r order.Refund
	dest := slices.Concat([]any{&kind, &place}, orderColumns.Dest(&head), refundColumns.Dest(&r))
	err = scan(ctx, c, query, slices.Repeat([]any{orderID}, args), dest, func() {
		switch kind {
		case rowOrder:
			found := head
			o = &found
		case rowRefund:
			refunds[place] = r
		case rowLock:
			locked = place
		}
	})
	if err != nil {
		return nil, false, err
	}
	if o == nil && locked != 0 { // it was created while we waited for its lock
		return nil, false, nil
	}
	if o == nil || o.ID != orderID { // MySQL's collation ignores spaces at the end
		return nil, true, refund.ErrOrderNotFound
	}
	for _, place := range slices.Sorted(maps.Keys(refunds)) {
		o.Refunds = append(o.Refunds, refunds[place])
	}
	return o, locked == 0 || locked == o.Version, nil
}
