package wechatv2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// Query asks for the state of a refund (/pay/refundquery, official document 4011935218), by refund
// number. The result is [refund.OutcomeNotFound] if WeChat Pay does not know the number. Of a
// refund that has succeeded it has RefundedAt, UTC and exact to the second, Recipient
// (refund_recv_accout) and Settled (settlement_refund_fee), each empty or zero if WeChat Pay sends
// none that can be read.
//
// Errors: [*order.InvalidError] for numbers that cannot exist, else those of [Gateway.Refund]. All
// leave the outcome unknown: no error of a query says anything about the money.
func (g *Gateway) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	res, err := g.query(ctx, req)
	if err != nil {
		return refund.Result{}, fmt.Errorf("query refund %s: %w", about(req), err)
	}
	return res, nil
}

func (g *Gateway) query(ctx context.Context, req refund.Request) (refund.Result, error) {
	f, err := g.ask(ctx, req, "")
	var apiErr *APIError
	if errors.As(err, &apiErr) && apiErr.Code == codeRefundNotExist {
		return coded(refund.OutcomeNotFound, apiErr), nil
	}
	if err != nil {
		return refund.Result{}, err
	}
	rows, err := f.rows(orderAsked(req))
	if err != nil {
		return refund.Result{}, err
	}
	n, err := find(rows, req.RefundNo)
	if err != nil {
		return refund.Result{}, err
	}
	suffix := rowSuffix(n)
	if err := errors.Join(matchOrder(f, req), matchRefund(f, req, suffix)); err != nil {
		return refund.Result{}, err
	}
	if rows[n].Outcome == refund.OutcomeUnknown {
		status := clip(f["refund_status"+suffix], 32)
		return refund.Result{}, unusable("unknown refund_status %q", status)
	}
	return rows[n], nil
}

// find returns the index of the only row with a refund number.
func find(rows []refund.Result, number string) (int, error) {
	found := -1
	for n := range rows {
		if rows[n].RefundNo != number {
			continue
		}
		if found >= 0 {
			return 0, unusable("two rows of one refund number")
		}
		found = n
	}
	if found < 0 {
		return 0, unusable("no row of the refund number")
	}
	return found, nil
}

// ask makes one query call: about req.RefundNo if offset is empty, else about ten refunds of the
// order, from offset on.
func (g *Gateway) ask(ctx context.Context, req refund.Request, offset string) (fields, error) {
	checkNumbers := checkSubject
	if offset != "" {
		checkNumbers = checkOrder
	}
	if err := errors.Join(checkNumbers(req), checkCurrency(req.Currency)); err != nil {
		return nil, err
	}
	f, _, err := g.call(ctx, &g.queries, g.queryMessage(req, offset), req)
	if err != nil {
		return nil, err
	}
	return f, g.refusal(f, req)
}

// queryMessage lists the elements in the order in which they are signed.
func (g *Gateway) queryMessage(req refund.Request, offset string) message {
	number, orderID, paymentID := req.RefundNo, "", ""
	if offset != "" {
		number, orderID, paymentID = "", orderAsked(req), req.PaymentID
	}
	return message{
		{"appid", g.appID},
		{"mch_id", g.mchID},
		{"nonce_str", rand.Text()},
		{"offset", offset},
		{"out_refund_no", number},
		{"out_trade_no", orderID},
		{"sign", ""},
		{"sign_type", string(g.signer.kind)},
		{"sub_appid", g.subAppID},
		{"sub_mch_id", g.subMchID},
		{"transaction_id", paymentID},
	}
}

// rows returns the refunds in the answer to a query, with the given OrderID.
func (f fields) rows(orderID string) ([]refund.Result, error) {
	count, ok := parseNumber(f["refund_count"])
	if !ok {
		return nil, unusable("no refund_count")
	}
	if f["out_refund_no"+rowSuffix(count)] != "" {
		return nil, unusable("more rows than refund_count says")
	}
	var all []refund.Result
	for n := range count {
		suffix := rowSuffix(n)
		if f["out_refund_no"+suffix] == "" {
			return nil, unusable("row %d of %d is missing", n, count)
		}
		res := f.result(suffix, "refund_success_time")
		res.OrderID = orderID
		all = append(all, res)
	}
	return all, nil
}

// rowSuffix ends the names of the elements of row n.
func rowSuffix[N int | int64](n N) string { return "_" + strconv.FormatInt(int64(n), 10) }

// outcomes are the documented refund statuses (4011935218). Any other is OutcomeUnknown.
var outcomes = map[string]refund.Outcome{
	"PROCESSING":  refund.OutcomeAccepted,
	"SUCCESS":     refund.OutcomeSucceeded,
	"REFUNDCLOSE": refund.OutcomeClosed,
	"CHANGE":      refund.OutcomeAbnormal,
}

// result reads one refund from a notification or from the row of a query's answer that suffix
// selects. An amount that is missing or not a number is 0.
func (f fields) result(suffix, timeName string) refund.Result {
	res := refund.Result{
		Outcome: outcomes[f["refund_status"+suffix]], RefundNo: f["out_refund_no"+suffix],
		ProviderRefundID: clip(f["refund_id"+suffix], 64),
	}
	res.Amount, _ = parseNumber(f["refund_fee"+suffix])
	if res.Outcome != refund.OutcomeSucceeded {
		return res // the rest would describe money that has not arrived
	}
	res.RefundedAt = beijing(f[timeName+suffix])
	res.Recipient = clip(f["refund_recv_accout"+suffix], 256) // WeChat Pay's spelling
	if settled, ok := parseNumber(f["settlement_refund_fee"+suffix]); ok && settled <= res.Amount {
		res.Settled = settled
	}
	return res
}

// parseNumber reads an amount or a count: decimal digits only, at most the largest int64.
func parseNumber(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63) // no sign, unlike ParseInt
	if err != nil {
		return 0, false
	}
	return int64(n), true
}

// beijing reads a time of WeChat Pay: UTC+8 all year. It returns the zero time if s cannot be read,
// because the result is worth more than its time.
func beijing(s string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, s, time.FixedZone("UTC+8", 8*60*60))
	// Package time also accepts 1:02:03 and fractions.
	if err != nil || t.Format(time.DateTime) != s {
		return time.Time{}
	}
	return t.UTC()
}
