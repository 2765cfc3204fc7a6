package sqlstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/column"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Due implements [refund.Store]. It reads two ranges of an index, which also holds the gateways.
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

// due lists one range of the due refunds.
func (s *Store) due(
	ctx context.Context, query string, bound time.Time, q refund.DueQuery,
) (due []refund.DueRefund, err error) {
	args := []any{bound.UnixMicro()}
	if len(q.Except) > 0 {
		query += " AND gateway NOT IN (" + placeholders(len(q.Except)) + ")"
		for _, name := range q.Except {
			args = append(args, name)
		}
	}
	query, args = s.d.bind(query+s.sql.dueEnd), append(args, max(q.Limit, 0))
	var d refund.DueRefund
	dest := []any{&d.OrderID, &d.RefundNo, &d.Gateway, column.TimeDest(&d.At)}
	err = s.query(ctx, query, args, dest, func() { due = nil }, func() { due = append(due, d) })
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return due, nil
}

// ListRefunds implements [refund.Store]. It reads a range of an index for each state of the filter,
// and compares the gateway and the text of the order ID within it. It finds pages by key and does
// not count rows, so that a deep page costs what the first one does.
func (s *Store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	query, args := s.listQuery(f)
	n := f.PageSize()
	var page refund.Page
	var e refund.Entry
	dest := slices.Concat([]any{&e.OrderID, &e.Gateway, &e.Currency, &e.Total, &e.Refunded},
		refundColumns.Dest(&e.Refund))
	err := s.query(ctx, s.d.bind(query), args, dest, func() { page = refund.Page{} }, func() {
		page.Entries = append(page.Entries, e)
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

// listQuery asks for one row more than the page holds. It asks state by state, because only so an
// index returns the rows in order. The number of rows is part of the statement: PostgreSQL, if it
// keeps one plan for any arguments, would take a page for a tenth of the table.
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
		from := s.sql.list + s.d.useIndex(s.opts.Prefix+index) + s.sql.listJoin
		parts = append(parts, from+where+by+s.sql.listEnd+limit)
		args = append(args, values...)
	}
	if len(parts) == 1 {
		return parts[0], args
	}
	part := "("
	if s.d == SQLite { // which has no ORDER BY in a part of a union
		part = "SELECT * FROM ("
	}
	union := part + strings.Join(parts, ") UNION ALL "+part) + ")"
	return union + " ORDER BY requested_at, id, no" + limit, args
}

// conditions returns the WHERE clause of one state's list.
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
	add := func(condition string, values ...any) {
		if where != "" {
			where += " AND "
		}
		where += condition
		args = append(args, values...)
	}
	switch {
	case state == "":
		add("r.requested_at >= "+at+" AND r.requested_at < "+at, least, end)
	case s.d == PostgreSQL:
		// Only the index that begins with the state has these rows in order. For a common state
		// PostgreSQL may otherwise prefer the index by time, and read years of it for a first row.
		row := "(" + text + ", " + at + ")"
		add("(r.state, r.requested_at) >= "+row, string(state), least)
		add("(r.state, r.requested_at) < "+row, string(state), end)
	default: // SQLite and MySQL do not read a range for a comparison of rows
		add("r.state = "+text, string(state))
		add("r.requested_at >= "+at+" AND r.requested_at < "+at, least, end)
	}
	if p := f.After; p != nil {
		add("(r.requested_at > "+at+" OR r.order_id > "+text+" OR r.order_id = "+text+
			" AND r.no > "+text+")", p.RequestedAt.UnixMicro(), p.OrderID, p.OrderID, p.RefundNo)
	}
	if f.Gateway != "" {
		add("r.gateway = "+text, f.Gateway)
	}
	if f.OrderIDContains != "" {
		add(s.d.contains("r.order_id"), f.OrderIDContains)
	}
	return where, args
}

// ceilMicro returns the first microsecond that is not before t.
func ceilMicro(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

func placeholders(n int) string {
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}
