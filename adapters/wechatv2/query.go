package wechatv2

import (
	"context"
	"errors"

	"github.com/orderfsm/orderfsm/refund"
)

// Query asks what became of a refund (/pay/refundquery, official document 4011935218). It asks by refund
// number, which reaches refunds of any age. A number that WeChat Pay does not know is
// [refund.OutcomeNotFound]. RefundedAt is UTC and exact to the second.
//
// Errors: [*order.InvalidError] for numbers that could not exist, else as with [Gateway.Refund]. All leave
// the outcome unknown: no error of a query says anything about the money.
func (g *Gateway) Query(ctx context.Context, q refund.Query) (refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	res, err := g.query(ctx, q)
	if err != nil {
		return refund.Result{}, queryError(q, err)
	}
	return res, nil
}

func (g *Gateway) query(ctx context.Context, q refund.Query) (refund.Result, error) {
	ans, n, err := g.queryRefund(ctx, q)
	if err != nil {
		return notFound(err)
	}
	res := ans.Rows[n].result(q)
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
func (g *Gateway) List(ctx context.Context, q refund.Query) ([]refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	all, err := g.list(ctx, q)
	if err != nil { // part of a list is none
		return nil, listError(q, err)
	}
	return all, nil
}

func (g *Gateway) list(ctx context.Context, q refund.Query) ([]refund.Result, error) {
	var all []refund.Result
	at := map[string]int{} // pages may overlap: a refund counts once, as it was seen last
	total := int64(0)
	for offset := 0; offset < maxList; offset += pageSize {
		ans, err := g.queryRefunds(ctx, q, offset)
		if err != nil {
			return all, pastEnd(err, offset, total)
		}
		for i := range ans.Rows {
			res := ans.Rows[i].result(q)
			if res.Amount <= 0 {
				return nil, unusable("row of a refund without its amount")
			}
			n, seen := at[res.RefundNo]
			if !seen {
				n = len(all)
				at[res.RefundNo], all = n, append(all, res)
			}
			all[n] = res
		}
		total = max(total, ans.TotalRefundCount)
		switch have := int64(len(all)); {
		case total > 0 && have >= total, total == 0 && len(ans.Rows) < pageSize:
			return all, nil
		case len(ans.Rows) < pageSize:
			return nil, unusable("%d of %d refunds listed", have, total)
		}
	}
	return nil, unusable("more than %d refunds, or pages without an end", maxList)
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
