package wechatv2

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/refund"
)

// RefundAnswer is WeChat Pay's answer to a refund that it accepted (official document 4011935217). It says
// nothing of money returned.
//
// Amounts are in fen; one that the answer does not name, or that is no plain number, is 0.
type RefundAnswer struct {
	// OutTradeNo and TransactionID name the order, OutRefundNo and RefundID the refund.
	OutTradeNo    string
	TransactionID string
	OutRefundNo   string
	RefundID      string
	// SubAppID and SubMchID are the sub-merchant's, in service-provider mode.
	SubAppID string
	SubMchID string
	// RefundFee is the amount applied for, SettlementRefundFee that without coupons nobody paid for.
	RefundFee           int64
	SettlementRefundFee int64
	// TotalFee is the order's total, SettlementTotalFee that without coupons nobody paid for, FeeType
	// their currency (ISO 4217; empty is CNY).
	TotalFee           int64
	SettlementTotalFee int64
	FeeType            string
	// CashFee is the cash part of the payment, CashFeeType its currency.
	CashFee     int64
	CashFeeType string
	// CashRefundFee and CouponRefundFee are the two parts of the refund.
	CashRefundFee   int64
	CouponRefundFee int64
	// CouponRefundCount is the number of coupons, Coupons the coupons themselves.
	CouponRefundCount int64
	Coupons           []Coupon
	// Fields are all elements by their names on the wire, unknown ones included; sign and nonce_str are
	// left out.
	Fields map[string]string
}

// SendRefund makes one refund call and returns the whole answer; Refund is made of it. It is idempotent by
// req.RefundNo. Use it where the details matter: the outcome in the terms of package refund is Refund's.
//
// Errors: those of Refund. Also a refusal is an error here, an [*APIError] with the code: not even a
// ClassDeclined one is to be booked as failed without what Refund does more.
func (g *Gateway) SendRefund(ctx context.Context, req refund.Request) (*RefundAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, g.total)
	defer cancel()
	ans, err := g.sendRefund(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("refund %s of order %s: %w", clip(req.RefundNo, 64), clip(req.OrderID, 64), err)
	}
	return ans, nil
}

func (g *Gateway) sendRefund(ctx context.Context, req refund.Request) (*RefundAnswer, error) {
	if err := g.Check(req); err != nil {
		return nil, err
	}
	nonce, err := newNonce()
	if err != nil {
		return nil, err
	}
	f, once, err := g.call(ctx, pathRefund, g.refundMessage(req, nonce), maxRefundAnswer, req)
	if err != nil {
		return nil, err
	}
	if f["result_code"] != success {
		if err := matchRefusal(f, req); err != nil {
			return nil, err
		}
		err := g.codeError(apiError(f))
		if !once {
			err = &doubtError{err}
		}
		return nil, err
	}
	// err_code is not looked at: answers were seen with one beside result_code SUCCESS.
	if err := matchOrder(f, req); err != nil {
		return nil, err
	}
	if err := matchRow(f, req, ""); err != nil {
		return nil, err
	}
	return newRefundAnswer(f), nil
}

// refundMessage is written in the order that it is signed in. sign_type is always sent: without it WeChat Pay
// takes an HMAC signature for a wrong MD5 one.
func (g *Gateway) refundMessage(req refund.Request, nonce string) message {
	outTradeNo, transactionID := named(req.OrderID, req.PaymentID)
	return message{
		{"appid", g.appID},
		{"mch_id", g.mchID},
		{"nonce_str", nonce},
		{"notify_url", g.notifyURL},
		{"op_user_id", g.opUserID},
		{"out_refund_no", req.RefundNo},
		{"out_trade_no", outTradeNo},
		{"refund_account", string(g.refundAccount)},
		{"refund_desc", describe(req.Reason)},
		{"refund_fee", amount(req.Amount)},
		{"refund_fee_type", currency},
		{"sign", ""},
		{"sign_type", string(g.signer.kind)},
		{"sub_appid", g.subAppID},
		{"sub_mch_id", g.subMchID},
		{"total_fee", amount(req.Total)},
		{"transaction_id", transactionID},
	}
}

func newRefundAnswer(f fields) *RefundAnswer {
	return &RefundAnswer{
		OutTradeNo: f["out_trade_no"], TransactionID: f["transaction_id"],
		OutRefundNo: f["out_refund_no"], RefundID: f["refund_id"],
		SubAppID: f["sub_appid"], SubMchID: f["sub_mch_id"],
		RefundFee: f.fen("refund_fee"), SettlementRefundFee: f.fen("settlement_refund_fee"),
		TotalFee: f.fen("total_fee"), SettlementTotalFee: f.fen("settlement_total_fee"), FeeType: f["fee_type"],
		CashFee: f.fen("cash_fee"), CashFeeType: f["cash_fee_type"],
		CashRefundFee: f.fen("cash_refund_fee"), CouponRefundFee: f.fen("coupon_refund_fee"),
		CouponRefundCount: f.fen("coupon_refund_count"), Coupons: f.coupons("_"),
		Fields: f.public(),
	}
}
