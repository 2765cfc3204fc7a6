package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

func (b *broken) entries() []refund.Entry {
	b.data.mu.Lock()
	defer b.data.mu.Unlock()
	var all []refund.Entry
	for _, o := range b.data.orders {
		for i := range o.Refunds {
			all = append(all, refund.Entry{
				OrderID: o.ID, Gateway: o.Gateway, Currency: o.Currency, Total: o.Total,
				Refunded: o.Refunded, Refund: o.Refunds[i],
			})
		}
	}
	slices.SortFunc(all, func(x, y refund.Entry) int { return x.Position().Compare(y.Position()) })
	return all
}

func (b *broken) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if err := b.ctxErr(ctx); err != nil {
		return nil, err
	}
	all := b.entries()
	slices.SortStableFunc(all, func(x, y refund.Entry) int {
		p, q := x.Position(), y.Position()
		p.RequestedAt, q.RequestedAt = x.Refund.NextAttemptAt, y.Refund.NextAttemptAt
		switch b.bug {
		case "due by order":
			p.RequestedAt, q.RequestedAt = time.Time{}, time.Time{}
		case "due without ties":
			p.RefundNo, q.RefundNo = q.RefundNo, p.RefundNo
		}
		return p.Compare(q)
	})
	var past, ahead []refund.DueRefund
	for i, e := range all {
		if b.is("leaves gateways out after the limit") && i >= q.Limit {
			break
		}
		d := refund.DueRefund{
			Ref: refund.Ref{OrderID: e.OrderID, RefundNo: e.Refund.No}, Gateway: e.Gateway,
			At: e.Refund.NextAttemptAt,
		}
		if b.is("due forgets since when") {
			d.At = time.Time{}
		}
		isDue, isAhead := b.due(q, e)
		switch {
		case isDue:
			past = append(past, d)
		case isAhead:
			ahead = append(ahead, d)
		}
	}
	list := slices.Concat(past, ahead)
	switch b.bug {
	case "due without limit":
		return list, nil
	case "what is due hides the rest":
		return list[:min(len(list), q.Limit)], nil
	case "the rest hides what is due":
		list = slices.Concat(ahead, past)
		return list[:min(len(list), q.Limit)], nil
	}
	return q.Join(past, ahead), nil
}

// due reports whether a refund is due, or too far ahead.
func (b *broken) due(q refund.DueQuery, e refund.Entry) (due, ahead bool) {
	at := e.Refund.NextAttemptAt
	due = !at.After(q.Now)
	ahead = !q.Beyond.IsZero() && at.After(q.Beyond)
	switch b.bug {
	case "due is exclusive":
		due = at.Before(q.Now)
	case "due before its time":
		due = true
	case "too far ahead is never due":
		ahead = false
	case "too far ahead is inclusive":
		ahead = !q.Beyond.IsZero() && !at.Before(q.Beyond)
	case "all is too far ahead":
		ahead = at.After(q.Beyond)
	}
	state := e.Refund.State == order.StateApproved || b.is("due in any state") ||
		ahead && b.is("too far ahead in any state")
	left := slices.Contains(q.Except, e.Gateway) && !b.is("due of every gateway") &&
		(!ahead || !b.is("too far ahead of every gateway"))
	return due && state && !left, ahead && state && !left
}

func (b *broken) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if err := b.ctxErr(ctx); err != nil {
		return refund.Page{}, err
	}
	var page refund.Page
	size := f.PageSize()
	if b.is("list without limit") {
		size = max(f.Limit, 1000)
	}
	all := b.entries()
	if b.is("limits before it filters") {
		all = slices.DeleteFunc(all, func(e refund.Entry) bool {
			return f.After != nil && e.Position().Compare(*f.After) <= 0
		})
		all = all[:min(len(all), size+1)]
	}
	for _, e := range all {
		if !b.matches(f, e) {
			continue
		}
		if len(page.Entries) == size {
			next := page.Entries[size-1].Position()
			page.Next = &next
			break
		}
		if b.is("list forgets the order") {
			e.Gateway = ""
		}
		if b.is("list forgets the refunded sum") {
			e.Refunded = 0
		}
		page.Entries = append(page.Entries, e)
	}
	if n := len(page.Entries); n > 0 && b.is("next on the last page") {
		next := page.Entries[n-1].Position()
		page.Next = &next
	}
	return page, nil
}

func (b *broken) matches(f refund.Filter, e refund.Entry) bool {
	at := e.Refund.RequestedAt
	text := strings.Contains(e.OrderID, f.OrderIDContains)
	if b.is("list takes text as a pattern") {
		text = text || strings.ContainsAny(f.OrderIDContains, "%_")
	}
	after := f.After == nil || e.Position().Compare(*f.After) > 0
	switch {
	case f.After != nil && b.is("pages repeat"):
		after = e.Position().Compare(*f.After) >= 0
	case f.After != nil && b.is("pages skip ties"):
		after = at.After(f.After.RequestedAt)
	}
	to := f.To.IsZero() || at.Before(f.To) || at.Equal(f.To) && b.is("list's to is inclusive")
	return text && after && to &&
		(len(f.States) == 0 || b.is("list ignores states") ||
			slices.Contains(f.States, e.Refund.State)) &&
		(f.Gateway == "" || f.Gateway == e.Gateway || b.is("list ignores gateway")) &&
		(f.From.IsZero() || !at.Before(f.From) || b.is("list ignores from"))
}
