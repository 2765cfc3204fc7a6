package wechatv2

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/orderfsm/orderfsm/refund"
)

// Bounds of List. WeChat Pay accepts 50 refunds of one order and lists ten in one answer.
const (
	pageSize = 10
	maxList  = 2 * maxRefunds
)

// List implements [refund.Lister]. It returns every refund of the order that WeChat Pay knows, in
// WeChat Pay's order, with the same details as Query. Refunds that were made in the merchant
// platform are included. An order without refunds has an empty list. A status that no document
// names is [refund.OutcomeUnknown].
//
// List returns all refunds or an error: those of Query, and [ErrAnswer] if the pages contradict
// each other, for example because a refund was made meanwhile. WeChat Pay lists orders that were
// paid more than a year and a half ago by PaymentID only.
func (g *Gateway) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	req.RefundNo, req.Amount = "", 0 // not compared with the answers
	all, err := g.list(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("list refunds of order %s: %w", clip(req.OrderID, 64), err)
	}
	return all, nil
}

func (g *Gateway) list(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	l := listing{at: map[string]place{}}
	for offset := 0; offset < maxList; offset += pageSize {
		// Offset 0 is sent too: with an offset the answer says how many refunds there are.
		f, err := g.ask(ctx, req, strconv.Itoa(offset))
		if err != nil {
			return l.all, l.pastEnd(err, offset)
		}
		if err := matchOrder(f, req); err != nil {
			return nil, err
		}
		rows, err := f.rows(orderAsked(req))
		if err != nil {
			return nil, err
		}
		if err := l.add(rows, offset, f["total_refund_count"], req.Total); err != nil {
			return nil, err
		}
		last := len(rows) < pageSize
		switch have := int64(len(l.all)); {
		case l.total > 0 && have >= l.total, l.total == 0 && last:
			return l.all, nil
		case last:
			return nil, unusable("%d of %d refunds listed", have, l.total)
		}
	}
	return nil, unusable("more than %d refunds, or pages without an end", maxList)
}

// listing is a list of refunds, read page by page.
type listing struct {
	all   []refund.Result
	at    map[string]place // by refund number: pages may overlap
	total int64            // by the answers; 0 if none has said
}

type place struct{ index, page int }

// add adds the page from offset on. It returns an error if the page contradicts itself or an
// earlier one. A refund that was listed before is replaced. count is the answer's number of
// refunds.
func (l *listing) add(page []refund.Result, offset int, count string, orderTotal int64) error {
	if end := offset + len(page); count != "" {
		total, ok := parseNumber(count)
		if !ok || total < int64(end) {
			return unusable("total_refund_count %q for %d refunds", clip(count, 32), end)
		}
		l.total = max(l.total, total)
	}
	for _, res := range page {
		if res.Amount <= 0 || res.Amount > orderTotal {
			return unusable("row of a refund of %d", res.Amount)
		}
		seen, twice := l.at[res.RefundNo]
		switch {
		case !twice:
			seen.index = len(l.all)
			l.all = append(l.all, res)
		case seen.page == offset, l.all[seen.index].Amount != res.Amount:
			return unusable("two rows of one refund number")
		default:
			l.all[seen.index] = res
		}
		l.at[res.RefundNo] = place{seen.index, offset}
	}
	return nil
}

// pastEnd returns nil if err refuses a page because the list has ended before offset, else err. It
// can only be so if no answer has said how many refunds there are.
func (l *listing) pastEnd(err error, offset int) error {
	var apiErr *APIError
	if l.total > 0 || !errors.As(err, &apiErr) {
		return err
	}
	if apiErr.Code == codeRefundNotExist || offset > 0 && apiErr.Code == codeParamError {
		return nil
	}
	return err
}
