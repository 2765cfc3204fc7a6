// Package ownstore shows a [refund.Store] over a shop's own table of orders. The shop keeps its
// table. It adds columns for the refunds of an order as JSON and their version, a small table that
// indexes refunds, and a table for the history.
package ownstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Schema creates the shop's table with the new columns, and the new tables (SQLite).
const Schema = `
CREATE TABLE shop_orders (
    number TEXT PRIMARY KEY, customer TEXT, paid_fen INTEGER NOT NULL,
    refund_book TEXT NOT NULL, book_version INTEGER NOT NULL
);
CREATE TABLE shop_refunds (
    no TEXT PRIMARY KEY, order_number TEXT NOT NULL REFERENCES shop_orders (number),
    gateway TEXT NOT NULL, state TEXT NOT NULL, requested_at INTEGER NOT NULL, next_attempt_at INTEGER NOT NULL
);
CREATE TABLE shop_refund_history (order_number TEXT, seq INTEGER, step TEXT NOT NULL, PRIMARY KEY (order_number, seq));
CREATE INDEX shop_refunds_due ON shop_refunds (state, next_attempt_at, order_number, no);
CREATE INDEX shop_refunds_list ON shop_refunds (requested_at, order_number, no);`

// Store implements [refund.Store]. Open DB with _txlock=immediate, so that two Updates never
// interleave. Limit it to one connection, so that a waiting call returns when its context ends.
type Store struct{ DB *sql.DB }

type nested struct{} // the context key of the order that is being updated

type change = func(ctx context.Context, o *order.Order) error

type scan = func(dest ...any) error // reads a row

// Update implements [refund.Store].
func (s Store) Update(ctx context.Context, id string, fn change) error {
	if ctx.Value(nested{}) == id {
		return fmt.Errorf("update order %s: nested in an update of the same order", id)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		was, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		after := was.Clone()
		if err = fn(context.WithValue(ctx, nested{}, id), after); err != nil || was.Equal(after) {
			return err
		}
		return save(ctx, tx, was, after, `UPDATE shop_orders SET refund_book = ?3, book_version = ?4 WHERE number = ?1`)
	})
}

// Create implements [refund.Store]. A shop may call it in place of Service.Register when an order
// is paid.
func (s Store) Create(ctx context.Context, o *order.Order) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return save(ctx, tx, &order.Order{}, o, `INSERT INTO shop_orders (number, paid_fen, refund_book, book_version) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (number) DO NOTHING`)
	})
}

func (s Store) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// save writes an order, the index of its refunds, and its new transitions.
func save(ctx context.Context, tx *sql.Tx, before, after *order.Order, query string) error {
	if err := refund.CheckHistory(after, before.Seq); err != nil {
		return err
	}
	o := *after
	o.History, o.Version = nil, before.Version+1
	book, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := exec(ctx, tx, refund.ErrExists, query, o.ID, o.Total, book, o.Version); err != nil {
		return fmt.Errorf("order %s: %w", o.ID, err)
	}
	for _, t := range after.History {
		step, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO shop_refund_history VALUES (?, ?, ?)`, o.ID, t.Seq, step); err != nil {
			return err
		}
	}
	for _, r := range o.Refunds {
		err := exec(ctx, tx, order.ErrConflict, `INSERT INTO shop_refunds (no, order_number, gateway, state, requested_at,
			next_attempt_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (no) DO UPDATE SET gateway = excluded.gateway,
			state = excluded.state, next_attempt_at = excluded.next_attempt_at WHERE order_number = excluded.order_number`,
			r.No, o.ID, o.Gateway, r.State, r.RequestedAt.UnixMicro(), r.NextAttemptAt.UnixMicro())
		if err != nil {
			return fmt.Errorf("refund %s of order %s: %w", r.No, o.ID, err)
		}
	}
	return nil
}

// exec returns taken if nothing was written because another order has the number.
func exec(ctx context.Context, tx *sql.Tx, taken error, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, taken)
	}
	return nil
}

// Get implements [refund.Store].
func (s Store) Get(ctx context.Context, id string) (*order.Order, error) {
	return get(ctx, s.DB, id)
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func get(ctx context.Context, q querier, id string) (*order.Order, error) {
	var book []byte
	err := q.QueryRowContext(ctx, `SELECT refund_book FROM shop_orders WHERE number = ?`, id).Scan(&book)
	if errors.Is(err, sql.ErrNoRows) {
		err = refund.ErrOrderNotFound
	}
	o := &order.Order{}
	if err == nil {
		err = json.Unmarshal(book, o)
	}
	if err != nil {
		return nil, fmt.Errorf("get order %s: %w", id, err)
	}
	return o, nil
}

// History implements [refund.Store].
func (s Store) History(
	ctx context.Context, id string, after int64, limit int,
) (page []order.Transition, err error) {
	err = s.each(ctx, func(scan scan) error {
		var step []byte
		var t order.Transition
		err := errors.Join(scan(&step), json.Unmarshal(step, &t))
		page = append(page, t)
		return err
	}, `SELECT step FROM shop_refund_history WHERE order_number = ? AND seq > ? ORDER BY seq LIMIT ?`, id, after, limit)
	if err == nil && len(page) == 0 {
		_, err = s.Get(ctx, id) // reports an order that does not exist
	}
	return page, err
}

// Due implements [refund.Store].
func (s Store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	except, err := json.Marshal(q.Except) // null if there are none
	if err != nil {
		return nil, err
	}
	list := func(condition string, bound time.Time) (due []refund.DueRefund, err error) {
		err = s.each(ctx, func(scan scan) error {
			var d refund.DueRefund
			var at int64
			err := scan(&d.OrderID, &d.RefundNo, &d.Gateway, &at)
			d.At = time.UnixMicro(at).UTC()
			due = append(due, d)
			return err
		}, `SELECT order_number, no, gateway, next_attempt_at FROM shop_refunds WHERE state = ?
			AND next_attempt_at `+condition+` ? AND gateway NOT IN (SELECT value FROM json_each(?) WHERE value IS NOT NULL)
			ORDER BY next_attempt_at, order_number, no LIMIT ?`, order.StateApproved, bound.UnixMicro(), string(except), q.Limit)
		return due, err
	}
	past, err := list("<=", q.Now)
	if err != nil || q.Beyond.IsZero() {
		return past, err
	}
	ahead, err := list(">", q.Beyond)
	return q.Join(past, ahead), err
}

// each calls fn for every row of a query.
func (s Store) each(ctx context.Context, fn func(scan) error, query string, args ...any) error {
	rows, err := s.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ListRefunds implements [refund.Store].
func (s Store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	states, err := json.Marshal(f.States) // null if there are none
	if err != nil {
		return refund.Page{}, err
	}
	to, after, n := int64(math.MaxInt64), refund.Position{}, f.PageSize()
	if !f.To.IsZero() {
		to = f.To.UnixMicro()
	}
	if f.After != nil {
		after = *f.After
	}
	var refs []refund.Ref
	err = s.each(ctx, func(scan scan) error {
		var ref refund.Ref
		err := scan(&ref.OrderID, &ref.RefundNo)
		refs = append(refs, ref)
		return err
	}, `SELECT order_number, no FROM shop_refunds WHERE instr(order_number, ?1) > 0
		AND (?2 = '' OR gateway = ?2) AND (?3 = 'null' OR state IN (SELECT value FROM json_each(?3)))
		AND requested_at >= ?4 AND requested_at < ?5 AND (requested_at, order_number, no) > (?6, ?7, ?8)
		ORDER BY requested_at, order_number, no LIMIT ?9`, f.OrderIDContains, f.Gateway, string(states),
		f.From.UnixMicro(), to, after.RequestedAt.UnixMicro(), after.OrderID, after.RefundNo, n+1)
	if err != nil {
		return refund.Page{}, err
	}
	var page refund.Page
	o := &order.Order{}
	for _, ref := range refs[:min(len(refs), n)] {
		if o.ID != ref.OrderID {
			if o, err = s.Get(ctx, ref.OrderID); err != nil {
				return refund.Page{}, err
			}
		}
		page.Entries = append(page.Entries, refund.Entry{
			OrderID: o.ID, Gateway: o.Gateway, Currency: o.Currency, Total: o.Total,
			Refunded: o.Refunded, Refund: *o.Refund(ref.RefundNo),
		})
	}
	if len(refs) > n {
		next := page.Entries[n-1].Position()
		page.Next = &next
	}
	return page, nil
}
