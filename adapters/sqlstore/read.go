package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// micros is how a time is stored: microseconds since 1970, or NULL where it is not set.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func moment(n int64) time.Time { return time.UnixMicro(n).UTC() }

// Get implements [refund.Store]. With a context that carries a transaction it sees what that has written, and so does
// History.
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

// History implements [refund.Store]: one range of the table's key.
func (s *Store) History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error) {
	var page []order.Transition
	args := []any{orderID, after, max(limit, 0)}
	err := s.query(ctx, s.sql.history, args, func() { page = nil }, func(r txn.Rows) error {
		var id string
		var t order.Transition
		var at int64
		err := r.Scan(&id, &t.Seq, &t.Event, &t.RefundNo, &t.From, &t.To, &t.OrderFrom, &t.OrderTo, &t.Actor, &t.Note, &at)
		if t.At = moment(at); id == orderID { // MySQL's collation passes over spaces at the end
			page = append(page, t)
		}
		return err
	})
	if err == nil && len(page) == 0 {
		err = s.exists(ctx, orderID)
	}
	if err != nil {
		return nil, fmt.Errorf("get the history of order %s: %w", orderID, err)
	}
	return page, nil
}

// exists returns refund.ErrOrderNotFound if there is no such order.
func (s *Store) exists(ctx context.Context, orderID string) error {
	var id string
	err := s.query(ctx, s.sql.exists, []any{orderID}, func() { id = "" }, func(r txn.Rows) error { return r.Scan(&id) })
	if err == nil && id != orderID {
		return refund.ErrOrderNotFound
	}
	return err
}

// reading calls f with the transaction that ctx carries, or with the pool. On the pool it tries again if the
// database is busy, which SQLite can be for readers too.
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
	return s.retry(ctx, func() error { return f(txn.SQL(s.db, s.pool.Prepared)) })
}

// lock reads an order and keeps others from changing it until the transaction ends.
func (s *Store) lock(ctx context.Context, c txn.Conn, orderID string) (*order.Order, error) {
	if s.d == SQLite {
		// A write as the first statement, even of no row, takes SQLite's one write lock at once, as BEGIN IMMEDIATE does.
		if _, err := c.Exec(ctx, s.sql.touch); err != nil {
			return nil, err
		}
	}
	o, fresh, err := load(ctx, c, s.sql.lock, s.sql.lockArgs, orderID)
	if err != nil || fresh {
		return o, err
	}
	o, _, err = load(ctx, c, s.sql.reload, s.sql.loadArgs, orderID) // others had it while we waited
	return o, err
}

// load reads an order by one statement. fresh reports that it is as it was when its lock, if there is one, was got.
func load(ctx context.Context, c txn.Conn, query string, args int, orderID string) (o *order.Order, fresh bool, err error) {
	type placed struct {
		place  int64
		refund order.Refund
	}
	var refunds []placed
	var locked int64
	var r row
	dest := append([]any{&r.kind, &r.place}, r.dest()...)
	ids := make([]any, args)
	for i := range ids {
		ids[i] = orderID
	}
	err = each(ctx, c, query, ids, func(rows txn.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		switch r.kind {
		case rowOrder:
			o = r.order()
		case rowRefund:
			refunds = append(refunds, placed{r.place, r.refund()})
		case rowLock:
			locked = r.place
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	if o == nil && locked != 0 { // it was made while we waited for its lock
		return nil, false, nil
	}
	if o == nil || o.ID != orderID { // MySQL's collation passes over spaces at the end
		return nil, true, refund.ErrOrderNotFound
	}
	slices.SortFunc(refunds, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	for i := range refunds {
		o.Refunds = append(o.Refunds, refunds[i].refund)
	}
	return o, locked == 0 || locked == o.Version, nil
}

// row is one row of a load or of a list.
type row struct {
	kind, place int64
	texts       [9]string
	numbers     [15]sql.NullInt64
}

// dest is where the texts and numbers are scanned to.
func (r *row) dest() []any {
	d := make([]any, 0, len(r.texts)+len(r.numbers))
	for i := range r.texts {
		d = append(d, &r.texts[i])
	}
	for i := range r.numbers {
		d = append(d, &r.numbers[i])
	}
	return d
}

func (r *row) number(i int) int64 { return r.numbers[i].Int64 }

// time is a time that may not be set.
func (r *row) time(i int) time.Time {
	if !r.numbers[i].Valid {
		return time.Time{}
	}
	return moment(r.numbers[i].Int64)
}

func (r *row) order() *order.Order {
	t := &r.texts
	return &order.Order{
		ID: t[0], Gateway: t[1], PaymentID: t[2], Currency: t[3], State: order.State(t[4]), Version: r.place,
		Total: r.number(0), Refunded: r.number(1), Reserved: r.number(2), Seq: r.number(3),
		PaidAt: r.time(4), CreatedAt: r.time(5), UpdatedAt: r.time(6),
	}
}

func (r *row) refund() order.Refund {
	t := &r.texts
	return order.Refund{
		No: t[0], Reason: t[1], State: order.State(t[2]), RequestedBy: order.Actor(t[3]), ReviewedBy: order.Actor(t[4]),
		ReviewNote: t[5], ProviderRefundID: t[6], Code: t[7], Message: t[8],
		Amount: r.number(0), Attempts: int(r.number(1)), Retries: int(r.number(2)), Outstanding: r.number(3) != 0,
		NextAttemptAt: r.time(4), LeasedUntil: r.time(5), SubmittedAt: r.time(6), DeclinedAt: r.time(7), AcceptedAt: r.time(8),
		ConfirmedAt: r.time(9), RequestedAt: r.time(10), ReviewedAt: r.time(11), ApprovedAt: r.time(12), EndedAt: r.time(13),
		RefundedAt: r.time(14),
	}
}

// each runs a query and calls fn for every row.
func each(ctx context.Context, c txn.Conn, query string, args []any, fn func(txn.Rows) error) error {
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

// Due implements [refund.Store]: two ranges of an index, which tells the gateways too, whatever else the table holds.
func (s *Store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	past, err := s.due(ctx, s.sql.due, q.Now, q)
	if err != nil || q.Beyond.IsZero() {
		return past, err
	}
	ahead, err := s.due(ctx, s.sql.ahead, q.Beyond, q)
	if err != nil {
		return nil, err
	}
	return q.Join(past, ahead), nil
}

// due lists one range of what is due.
func (s *Store) due(ctx context.Context, query string, bound time.Time, q refund.DueQuery) ([]refund.DueRefund, error) {
	args := []any{bound.UnixMicro()}
	if len(q.Except) > 0 {
		query += " AND gateway NOT IN (" + marks(len(q.Except)) + ")"
		for _, name := range q.Except {
			args = append(args, name)
		}
	}
	args = append(args, max(q.Limit, 0))
	var due []refund.DueRefund
	err := s.query(ctx, s.d.bind(query+s.sql.dueEnd), args, func() { due = nil }, func(r txn.Rows) error {
		var d refund.DueRefund
		var at int64
		err := r.Scan(&d.OrderID, &d.RefundNo, &d.Gateway, &at)
		d.At = moment(at)
		due = append(due, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return due, nil
}

// query runs one statement, and calls fn for every row; begin is called before it, and before it is run again.
func (s *Store) query(ctx context.Context, query string, args []any, begin func(), fn func(txn.Rows) error) error {
	return s.reading(ctx, func(c txn.Conn) error {
		begin()
		return each(ctx, c, query, args, fn)
	})
}

// ListRefunds implements [refund.Store]: a range of an index for each state of the filter, whose gateway and text of
// order ID are compared within it. Pages are found by key, not by counting rows: a deep page costs what the first
// one does.
func (s *Store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	query, args := s.listQuery(f)
	n := f.PageSize()
	var page refund.Page
	var r row
	var e refund.Entry
	dest := append([]any{&e.OrderID, &e.Gateway, &e.Currency, &e.Total, &e.Refunded}, r.dest()...)
	err := s.query(ctx, s.d.bind(query), args, func() { page = refund.Page{} }, func(rows txn.Rows) error {
		err := rows.Scan(dest...)
		e.Refund = r.refund()
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

// listQuery asks for one row more than the page holds. It asks state by state, because only so an index brings
// the rows in order. The number of rows is part of the statement: PostgreSQL, where it keeps one plan for any
// arguments, would take a page for a tenth of the table.
func (s *Store) listQuery(f refund.Filter) (query string, args []any) {
	states := slices.Clone(f.States)
	slices.Sort(states)
	states = slices.Compact(states)
	if len(states) == 0 {
		states = []order.State{""} // any
	}
	limit := fmt.Sprintf(" LIMIT %d", f.PageSize()+1)
	var parts []string
	for _, state := range states {
		where, values := s.conditions(f, state)
		index, by := "refunds_list", " ORDER BY "
		if state != "" {
			index = "refunds_queue"
			if s.d == PostgreSQL {
				by += "r.state, " // see conditions
			}
		}
		parts = append(parts, s.sql.list+s.d.by(s.prefix+index)+s.sql.listJoin+where+by+s.sql.listEnd+limit)
		args = append(args, values...)
	}
	if len(parts) == 1 {
		return parts[0], args
	}
	part := "("
	if s.d == SQLite { // which has no ORDER BY in a part of a union
		part = "SELECT * FROM ("
	}
	return part + strings.Join(parts, ") UNION ALL "+part) + ") ORDER BY requested_at, id, no" + limit, args
}

// conditions is the WHERE clause of one state's list.
func (s *Store) conditions(f refund.Filter, state order.State) (where string, args []any) {
	least, end := int64(math.MinInt64), int64(math.MaxInt64)
	if !f.From.IsZero() {
		least = ceilMicro(f.From)
	}
	if !f.To.IsZero() {
		end = ceilMicro(f.To)
	}
	if f.After != nil {
		least = max(least, f.After.RequestedAt.UnixMicro())
	}
	at, text := s.d.value("BIGINT"), s.d.value("TEXT")
	switch {
	case state == "":
		where, args = "r.requested_at >= "+at+" AND r.requested_at < "+at, []any{least, end}
	case s.d == PostgreSQL:
		// Said so, only the index that begins with the state has the rows in order. Of one by time alone, which it
		// likes for a common state, it might read years to find the first.
		row := "(" + text + ", " + at + ")"
		where, args = "(r.state, r.requested_at) >= "+row+" AND (r.state, r.requested_at) < "+row,
			[]any{string(state), least, string(state), end}
	default: // which do not see a range in a comparison of rows
		where, args = "r.state = "+text+" AND r.requested_at >= "+at+" AND r.requested_at < "+at, []any{string(state), least, end}
	}
	add := func(condition string, values ...any) {
		where += " AND " + condition
		args = append(args, values...)
	}
	if p := f.After; p != nil {
		add("(r.requested_at > "+at+" OR r.order_id > "+text+" OR r.order_id = "+text+" AND r.no > "+text+")",
			p.RequestedAt.UnixMicro(), p.OrderID, p.OrderID, p.RefundNo)
	}
	if f.Gateway != "" {
		add("r.gateway = "+text, f.Gateway)
	}
	if f.OrderIDContains != "" {
		add(s.d.contains("r.order_id"), f.OrderIDContains)
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
