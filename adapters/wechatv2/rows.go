package wechatv2

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// QueryAnswer is WeChat Pay's answer to a query (official document 4011935218).
//
// Amounts are in fen; one that the answer does not name, or that is no plain number, is 0.
type QueryAnswer struct {
	// OutTradeNo and TransactionID name the order.
	OutTradeNo    string
	TransactionID string
	// SubAppID and SubMchID are the sub-merchant's, in service-provider mode.
	SubAppID string
	SubMchID string
	// TotalFee is the order's total, SettlementTotalFee that without coupons nobody paid for, FeeType
	// their currency (ISO 4217; empty is CNY).
	TotalFee           int64
	SettlementTotalFee int64
	FeeType            string
	// CashFee is the cash part of the payment, CashFeeType its currency.
	CashFee     int64
	CashFeeType string
	// RefundFee, CashRefundFee and CouponRefundFee are sums over refunds. WeChat Pay often leaves them out.
	RefundFee       int64
	CashRefundFee   int64
	CouponRefundFee int64
	// TotalRefundCount is the number of the order's refunds; 0 where it is not named, as with a query by
	// refund number.
	TotalRefundCount int64
	// Rows are the refunds in this answer, at most ten.
	Rows []RefundRow
	// Fields are all elements by their names on the wire, unknown ones included; sign and nonce_str are
	// left out.
	Fields map[string]string
}

// RefundRow is one refund in the answer to a query. Its amounts are as those of [QueryAnswer].
type RefundRow struct {
	// OutRefundNo and RefundID name the refund; Status is how it stands, Channel the way that the money takes.
	OutRefundNo string
	RefundID    string
	Status      Status
	Channel     Channel
	// RefundFee is the amount applied for, SettlementRefundFee that without coupons nobody paid for.
	RefundFee           int64
	SettlementRefundFee int64
	// CouponRefundFee is what went back to coupons, CouponRefundCount their number, Coupons the coupons
	// themselves.
	CouponRefundFee   int64
	CouponRefundCount int64
	Coupons           []Coupon
	// Account is the funds that the refund was paid from.
	Account RefundAccount
	// RecvAccount is where the money went, as text for people (refund_recv_accout).
	RecvAccount string
	// SuccessTime is when the money was returned, UTC, to the second; zero where it was not, or the time
	// cannot be read.
	SuccessTime time.Time
}

// QueryRefund makes one query by refund number and returns the whole answer; Query is made of it.
//
// Errors: those of Query. A number that WeChat Pay does not know is an [*APIError] with CodeRefundNotExist.
func (g *Gateway) QueryRefund(ctx context.Context, req refund.Request) (*QueryAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	ans, _, err := g.queryRefund(ctx, req)
	if err != nil {
		return nil, queryError(req, err)
	}
	return ans, nil
}

// QueryRefunds makes one query by order and returns the whole answer: at most ten refunds of the order, from
// offset on (0 or more). List is made of it. q.RefundNo and q.Amount are not used.
//
// Errors: those of Query. An order without refunds is an [*APIError] with CodeRefundNotExist, an offset
// beyond their number one with CodeParamError.
func (g *Gateway) QueryRefunds(ctx context.Context, req refund.Request, offset int) (*QueryAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	ans, err := g.queryRefunds(ctx, req, offset)
	if err != nil {
		return nil, listError(req, err)
	}
	return ans, nil
}

// queryRefund also returns the index of the row that is about q.RefundNo, compared with q.
func (g *Gateway) queryRefund(ctx context.Context, req refund.Request) (*QueryAnswer, int, error) {
	if err := errors.Join(checkSubject(req.RefundNo, req.OrderID, req.PaymentID), checkCurrency(req.Currency)); err != nil {
		return nil, 0, err
	}
	f, err := g.askRefunds(ctx, subject{outRefundNo: req.RefundNo}, req)
	if err != nil {
		return nil, 0, err
	}
	ans, err := newQueryAnswer(f)
	if err != nil {
		return nil, 0, err
	}
	n, err := ans.find(req.RefundNo)
	if err != nil {
		return nil, 0, err
	}
	if err := matchOrder(f, req); err != nil {
		return nil, 0, err
	}
	return ans, n, matchRow(f, req, "_"+strconv.Itoa(n))
}

func (g *Gateway) queryRefunds(ctx context.Context, req refund.Request, offset int) (*QueryAnswer, error) {
	if offset < 0 {
		return nil, invalid("offset", "must not be negative")
	}
	if err := errors.Join(checkOrder(req.OrderID, req.PaymentID), checkCurrency(req.Currency)); err != nil {
		return nil, err
	}
	// Sent even where it is 0: then the answer tells how many refunds there are.
	about := subject{offset: strconv.Itoa(offset)}
	about.outTradeNo, about.transactionID = named(req.OrderID, req.PaymentID)
	req.RefundNo, req.Amount = "", 0
	f, err := g.askRefunds(ctx, about, req)
	if err != nil {
		return nil, err
	}
	if err := matchOrder(f, req); err != nil {
		return nil, err
	}
	return newQueryAnswer(f)
}

// subject is what a query asks about: a refund, or the refunds of an order from an offset on.
type subject struct{ outRefundNo, outTradeNo, transactionID, offset string }

// queryMessage is written in the order that it is signed in.
func (g *Gateway) queryMessage(about subject, nonce string) message {
	return message{
		{"appid", g.appID},
		{"mch_id", g.mchID},
		{"nonce_str", nonce},
		{"offset", about.offset},
		{"out_refund_no", about.outRefundNo},
		{"out_trade_no", about.outTradeNo},
		{"sign", ""},
		{"sign_type", string(g.signer.kind)},
		{"sub_appid", g.subAppID},
		{"sub_mch_id", g.subMchID},
		{"transaction_id", about.transactionID},
	}
}

func (g *Gateway) askRefunds(ctx context.Context, about subject, req refund.Request) (fields, error) {
	nonce, err := newNonce()
	if err != nil {
		return nil, err
	}
	f, _, err := g.call(ctx, pathQuery, g.queryMessage(about, nonce), maxQueryAnswer, req)
	if err != nil {
		return nil, err
	}
	if f["result_code"] != success {
		if err := matchRefusal(f, req); err != nil {
			return nil, err
		}
		return nil, g.codeError(apiError(f))
	}
	return f, nil
}

func newQueryAnswer(f fields) (*QueryAnswer, error) {
	count, ok := parseNumber(f["refund_count"])
	if !ok {
		return nil, unusable("no refund_count")
	}
	ans := &QueryAnswer{
		OutTradeNo: f["out_trade_no"], TransactionID: f["transaction_id"],
		SubAppID: f["sub_appid"], SubMchID: f["sub_mch_id"],
		TotalFee: f.fen("total_fee"), SettlementTotalFee: f.fen("settlement_total_fee"), FeeType: f["fee_type"],
		CashFee: f.fen("cash_fee"), CashFeeType: f["cash_fee_type"],
		RefundFee: f.fen("refund_fee"), CashRefundFee: f.fen("cash_refund_fee"),
		CouponRefundFee: f.fen("coupon_refund_fee"), TotalRefundCount: f.fen("total_refund_count"),
		Fields: f.public(),
	}
	if f["out_refund_no_"+strconv.FormatInt(count, 10)] != "" {
		return nil, unusable("more rows than refund_count says")
	}
	for n := range count {
		suffix := "_" + strconv.FormatInt(n, 10)
		if f["out_refund_no"+suffix] == "" {
			return nil, unusable("row %d of %d is missing", n, count)
		}
		ans.Rows = append(ans.Rows, newRefundRow(f, suffix))
	}
	return ans, nil
}

func newRefundRow(f fields, suffix string) RefundRow {
	r := RefundRow{
		OutRefundNo: f["out_refund_no"+suffix], RefundID: f["refund_id"+suffix],
		Status: Status(f["refund_status"+suffix]), Channel: Channel(f["refund_channel"+suffix]),
		RefundFee: f.fen("refund_fee" + suffix), SettlementRefundFee: f.fen("settlement_refund_fee" + suffix),
		CouponRefundFee: f.fen("coupon_refund_fee" + suffix), CouponRefundCount: f.fen("coupon_refund_count" + suffix),
		Coupons: f.coupons(suffix + "_"),
		Account: RefundAccount(f["refund_account"+suffix]), RecvAccount: f["refund_recv_accout"+suffix],
	}
	if r.Status == StatusSuccess {
		r.SuccessTime = beijing(f["refund_success_time"+suffix])
	}
	return r
}

// find returns the index of the one row that is about refundNo.
func (a *QueryAnswer) find(refundNo string) (int, error) {
	found := -1
	for n := range a.Rows {
		if a.Rows[n].OutRefundNo != refundNo {
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

// outcome is the status in the terms of package refund; unknown for one that no document names.
func (s Status) outcome() refund.Outcome {
	switch s {
	case StatusSuccess:
		return refund.OutcomeSucceeded
	case StatusProcessing:
		return refund.OutcomeAccepted
	case StatusClosed:
		return refund.OutcomeClosed
	case StatusChange:
		return refund.OutcomeAbnormal
	}
	return refund.OutcomeUnknown
}

func (r *RefundRow) result(req refund.Request) refund.Result {
	req.RefundNo, req.Amount = r.OutRefundNo, r.RefundFee
	res := result(r.Status.outcome(), req, r.RefundID)
	res.RefundedAt = r.SuccessTime
	return res
}

func queryError(req refund.Request, err error) error {
	return fmt.Errorf("query refund %s of order %s: %w", clip(req.RefundNo, 64), clip(req.OrderID, 64), err)
}

func listError(req refund.Request, err error) error {
	return fmt.Errorf("list refunds of order %s: %w", clip(req.OrderID, 64), err)
}
