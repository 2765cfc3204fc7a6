package wechatv2

import (
	"context"
	"errors"

	"github.com/orderfsm/orderfsm/refund"
)

// Query asks what became of a refund (/pay/refundquery, official document 4011935218). It asks by refund
// number, which needs no paging. A number that WeChat Pay does not know is
// [refund.OutcomeNotFound]. RefundedAt is UTC and exact to the second.
//
// Errors: [*order.InvalidError] for numbers that could not exist, else as with [Gateway.Refund]. All leave
// the outcome unknown: no error of a query says anything about the money.
func (g *Gateway) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	res, err := g.query(ctx, req)
	if err != nil {
		return refund.Result{}, queryError(req, err)
	}
	return res, nil
}

func (g *Gateway) query(ctx context.Context, req refund.Request) (refund.Result, error) {
	ans, n, err := g.queryRefund(ctx, req)
	if err != nil {
		return notFound(err)
	}
	res := ans.Rows[n].result(req)
	if res.Outcome == refund.OutcomeUnknown {
		return refund.Result{}, unusable("unknown refund_status %q", clip(string(ans.Rows[n].Status), 32))
	}
	return res, nil
}

// notFound tells the answer that there is no such refund from an error, which is returned as it is.
func notFound(err error) (refund.Result, error) {
	var apiErr *APIError
	if !errors.As(err, &apiErr) || apiErr.Code != CodeRefundNotExist {
		return refund.Result{}, err
	}
	return refund.Result{Outcome: refund.OutcomeNotFound, Code: string(apiErr.Code), Message: apiErr.Msg}, nil
}

// The most that List reads: WeChat Pay takes 50 refunds of one order, and lists ten in one answer.
const (
	pageSize = 10
	maxList  = 2 * MaxRefunds
)

// List implements [refund.Lister]: every refund that WeChat Pay knows for the order of q, those made in the
// merchant platform included, in WeChat Pay's order. An order without refunds has an empty list. A status
// that no document names is [refund.OutcomeUnknown].
//
// It returns all of them or an error: those of Query, and [ErrAnswer] where the answers do not add up,
// which may be because a refund was made meanwhile. Orders paid more than a year and a half ago are listed
// by their payment's number only.
func (g *Gateway) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	all, err := g.list(ctx, req)
	if err != nil { // part of a list is none
		return nil, listError(req, err)
	}
	return all, nil
}

func (g *Gateway) list(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	var l listing
	for offset := 0; offset < maxList; offset += pageSize {
		ans, err := g.queryRefunds(ctx, req, offset)
		if err != nil {
			return l.all, pastEnd(err, offset, l.total)
		}
		if err := l.add(ans, offset, req); err != nil {
			return nil, err
		}
		last := len(ans.Rows) < pageSize
		switch have := int64(len(l.all)); {
		case l.total > 0 && have >= l.total, l.total == 0 && last:
			return l.all, nil
		case last:
			return nil, unusable("%d of %d refunds listed", have, l.total)
		}
	}
	return nil, unusable("more than %d refunds, or pages without an end", maxList)
}

// listing is a list of refunds in the making.
type listing struct {
	all   []refund.Result
	at    map[string]place // pages may overlap: a refund counts once, as it was seen last
	total int64            // as the answers say; 0 where they do not
}

type place struct{ index, page int }

// add takes a page, from offset on, that contradicts neither itself nor the ones before it.
func (l *listing) add(ans *QueryAnswer, offset int, req refund.Request) error {
	if said := ans.Fields["total_refund_count"]; said != "" {
		total, ok := parseNumber(said)
		if !ok || total < int64(offset+len(ans.Rows)) {
			return unusable("total_refund_count %q for %d refunds", clip(said, 32), offset+len(ans.Rows))
		}
		l.total = max(l.total, total)
	}
	if l.at == nil {
		l.at = map[string]place{}
	}
	for i := range ans.Rows {
		res := ans.Rows[i].result(req)
		if res.Amount <= 0 || res.Amount > req.Total {
			return unusable("row of a refund of %d", res.Amount)
		}
		seen, twice := l.at[res.RefundNo]
		switch {
		case !twice:
			l.at[res.RefundNo] = place{len(l.all), offset}
			l.all = append(l.all, res)
		case seen.page == offset, l.all[seen.index].Amount != res.Amount:
			return unusable("two rows of one refund number")
		default:
			l.at[res.RefundNo] = place{seen.index, offset}
			l.all[seen.index] = res
		}
	}
	return nil
}

// pastEnd returns nil where a page was refused because there are no refunds from offset on: none at all, or,
// where no answer told how many there are, no more. Else it returns err.
func pastEnd(err error, offset int, total int64) error {
	var apiErr *APIError
	if total > 0 || !errors.As(err, &apiErr) {
		return err
	}
	if apiErr.Code == CodeRefundNotExist || offset > 0 && apiErr.Code == CodeParamError {
		return nil
	}
	return err
}
