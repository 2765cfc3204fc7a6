package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// micros is how a time is stored: microseconds since 1970, or NULL where it is not set.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

func moment(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.UnixMicro(*n).UTC()
}

// Get implements [refund.Store]. With a context that carries a transaction it sees what that has written.
func (s *Store) Get(ctx context.Context, orderID string) (*order.Order, error) {
	var o *order.Order
	err := s.read(ctx, func(ctx context.Context, c Conn) error {
		var err error
		o, err = s.load(ctx, c, orderID, "", "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get order %s: %w", orderID, err)
	}
	return o, nil
}

// read runs fn on one state of the database.
func (s *Store) read(ctx context.Context, fn func(ctx context.Context, c Conn) error) error {
	if j := jointFrom(ctx); j != nil && !j.ended.Load() {
		return fn(ctx, j.conn)
	}
	opts := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if s.d == SQLite {
		opts = nil // its transactions read one state anyway
	}
	tx, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	return fn(ctx, sqlConn{tx})
}

// lock reads an order and keeps others from changing it until the transaction ends.
func (s *Store) lock(ctx context.Context, j *joint, orderID string) (*order.Order, error) {
	c := j.conn
	if s.d == SQLite {
		// A write as the first statement takes SQLite's one write lock at once, as BEGIN IMMEDIATE does.
		if _, err := c.Exec(ctx, s.sql.touch, orderID); err != nil {
			return nil, err
		}
	}
	if j.own {
		return s.load(ctx, c, orderID, s.d.lockRow(), "") // behind the lock everything is present: see txOptions
	}
	return s.load(ctx, c, orderID, s.d.lockRow(), s.d.present())
}

// load reads an order; lock and present end its queries.
func (s *Store) load(ctx context.Context, c Conn, orderID, lock, present string) (*order.Order, error) {
	var o *order.Order
	err := each(ctx, c, s.sql.selectOrder+lock, []any{orderID}, func(r Rows) error {
		o = &order.Order{}
		var paid, created, updated *int64
		err := r.Scan(&o.ID, &o.Gateway, &o.PaymentID, &o.Currency, &o.Total, &o.Refunded, &o.Reserved, (*string)(&o.State),
			&o.Seq, &o.Version, &paid, &created, &updated)
		o.PaidAt, o.CreatedAt, o.UpdatedAt = moment(paid), moment(created), moment(updated)
		return err
	})
	if err != nil {
		return nil, err
	}
	if o == nil || o.ID != orderID {
		return nil, refund.ErrOrderNotFound
	}
	err = each(ctx, c, s.sql.selectRefunds+present, []any{orderID}, func(r Rows) error {
		var f refundRow
		err := r.Scan(f.dest()...)
		o.Refunds = append(o.Refunds, f.refund())
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, each(ctx, c, s.sql.selectTransitions+present, []any{orderID}, func(r Rows) error {
		var t order.Transition
		var at int64
		err := r.Scan(&t.Seq, (*string)(&t.Event), &t.RefundNo, (*string)(&t.From), (*string)(&t.To),
			(*string)(&t.OrderFrom), (*string)(&t.OrderTo), (*string)(&t.Actor), &t.Note, &at)
		t.At = moment(&at)
		o.History = append(o.History, t)
		return err
	})
}

// each runs a query and calls fn for every row.
func each(ctx context.Context, c Conn, query string, args []any, fn func(Rows) error) error {
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := fn(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// refundRow is a refund as its row has it.
type refundRow struct {
	r           order.Refund
	outstanding int64
	next        int64
	times       [8]*int64
}

// dest is where to scan refundColumns to.
func (f *refundRow) dest() []any {
	r := &f.r
	d := []any{
		&r.No, &r.Amount, &r.Reason, (*string)(&r.State), (*string)(&r.RequestedBy), (*string)(&r.ReviewedBy), &r.ReviewNote,
		&r.RefundID, &r.Code, &r.Message, &r.Attempts, &r.Retries, &f.outstanding, &f.next,
	}
	for i := range f.times {
		d = append(d, &f.times[i])
	}
	return d
}

func (f *refundRow) refund() order.Refund {
	r := f.r
	r.Outstanding, r.NextAttemptAt = f.outstanding != 0, moment(&f.next)
	for i, t := range refundTimes(&r) {
		*t = moment(f.times[i])
	}
	return r
}

// refundTimes are the times of a refund in the order of their columns.
func refundTimes(r *order.Refund) [8]*time.Time {
	return [8]*time.Time{
		&r.LeasedUntil, &r.SubmittedAt, &r.DeclinedAt, &r.RequestedAt, &r.ReviewedAt, &r.ApprovedAt, &r.EndedAt, &r.RefundedAt,
	}
}

// Due implements [refund.Store]: one range of an index, whatever else the table holds.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]refund.Ref, error) {
	refs := []refund.Ref{}
	err := s.query(ctx, s.sql.due, []any{string(order.StateApproved), now.UnixMicro(), max(limit, 0)}, func(r Rows) error {
		var ref refund.Ref
		err := r.Scan(&ref.OrderID, &ref.RefundNo)
		refs = append(refs, ref)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return refs, nil
}

// DueExcept implements [refund.GatewayDuer].
func (s *Store) DueExcept(ctx context.Context, now time.Time, limit int, except []string) ([]refund.DueRefund, error) {
	query, args := s.sql.dueExcept, []any{string(order.StateApproved), now.UnixMicro()}
	if len(except) > 0 {
		query += " AND o.gateway NOT IN (" + marks(len(except)) + ")"
		for _, name := range except {
			args = append(args, name)
		}
	}
	query += s.sql.dueExceptEnd
	var due []refund.DueRefund
	err := s.query(ctx, s.d.bind(query), append(args, max(limit, 0)), func(r Rows) error {
		var d refund.DueRefund
		var at int64
		err := r.Scan(&d.OrderID, &d.RefundNo, &d.Gateway, &at)
		d.At = moment(&at)
		due = append(due, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return due, nil
}

// query runs one statement, outside of a transaction where ctx carries none.
func (s *Store) query(ctx context.Context, query string, args []any, fn func(Rows) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j := jointFrom(ctx); j != nil && !j.ended.Load() {
		return each(ctx, j.conn, query, args, fn)
	}
	return each(ctx, sqlConn{s.db}, query, args, fn)
}

// List implements [refund.Store]. Pages are found by key, not by counting rows: a deep page costs what the
// first one does.
func (s *Store) List(ctx context.Context, f refund.Filter) (refund.Page, error) {
	where, args := s.conditions(f)
	n := f.PageSize()
	query := s.sql.list + where + s.sql.listEnd
	var page refund.Page
	err := s.query(ctx, s.d.bind(query), append(args, n+1), func(r Rows) error {
		var e refund.Entry
		var row refundRow
		err := r.Scan(append([]any{&e.OrderID, &e.Gateway, &e.Currency, &e.Total, &e.Refunded}, row.dest()...)...)
		e.Refund = row.refund()
		page.Entries = append(page.Entries, e)
		return err
	})
	if err != nil {
		return refund.Page{}, fmt.Errorf("list refunds: %w", err)
	}
	if len(page.Entries) > n {
		page.Entries = page.Entries[:n:n]
		next := page.Entries[n-1].Position()
		page.Next = &next
	}
	return page, nil
}

// conditions is the WHERE clause of a list.
func (s *Store) conditions(f refund.Filter) (where string, args []any) {
	add := func(condition string, values ...any) {
		where += " AND " + condition
		args = append(args, values...)
	}
	if len(f.States) > 0 {
		var states []any
		for _, state := range f.States {
			states = append(states, string(state))
		}
		add("r.state IN ("+marks(len(states))+")", states...)
	}
	if f.Gateway != "" {
		add("o.gateway = ?", f.Gateway)
	}
	if f.OrderID != "" {
		add(s.d.contains("r.order_id"), f.OrderID)
	}
	if !f.From.IsZero() {
		add("r.requested_at >= ?", ceilMicro(f.From))
	}
	if !f.To.IsZero() {
		add("r.requested_at < ?", ceilMicro(f.To))
	}
	if p := f.After; p != nil {
		add("(r.requested_at, r.order_id, r.no) > (?, ?, ?)", p.RequestedAt.UnixMicro(), p.OrderID, p.RefundNo)
	}
	return where, args
}

// ceilMicro is the first microsecond that is not before t.
func ceilMicro(t time.Time) int64 {
	n := t.UnixMicro()
	if time.UnixMicro(n).Before(t) {
		n++
	}
	return n
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
