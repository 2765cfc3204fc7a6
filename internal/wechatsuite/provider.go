// Package wechatsuite lets the suite of gatewaytest run on the simulator of WeChat Pay v2.
package wechatsuite

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

var _ gatewaytest.Provider = (*Provider)(nil)

// Provider adapts a simulator to the suite. Its Options must leave the end of a refund to the first
// query.
type Provider struct {
	*wechattest.Server
	T *testing.T
	// ByPayment names orders by the payment's number.
	ByPayment bool

	orders atomic.Int64
}

// AddOrder implements [gatewaytest.Provider].
func (p *Provider) AddOrder(total int64) refund.Request {
	n := p.orders.Add(1)
	req := refund.Request{
		OrderID:  fmt.Sprintf("ORDER-%d", n),
		RefundNo: fmt.Sprintf("ORDER-%d-", n), Total: total, Currency: "CNY",
	}
	o := wechattest.Order{
		OutTradeNo: req.OrderID, TransactionID: fmt.Sprintf("4200%d", n),
		TotalFee: total,
	}
	if p.ByPayment {
		req.PaymentID = o.TransactionID
	}
	require.NoError(p.T, p.Server.AddOrder(o))
	return req
}

// Paid returns the money that has arrived, not the money on its way. So the suite notices a success
// that is reported too early.
func (p *Provider) Paid(refundNo string) int64 {
	return p.sum(func(e wechattest.Entry) bool { return e.OutRefundNo == refundNo })
}

// PaidTotal implements [gatewaytest.Provider], as Paid does.
func (p *Provider) PaidTotal(orderID string) int64 {
	return p.sum(func(e wechattest.Entry) bool { return e.OutTradeNo == orderID })
}

func (p *Provider) sum(counts func(wechattest.Entry) bool) (fen int64) {
	for _, e := range p.Ledger() {
		if e.Status == wechattest.StatusSuccess && counts(e) {
			fen += e.Amount * int64(e.Payments)
		}
	}
	return fen
}

// Settle does nothing: the first query ends a refund.
func (p *Provider) Settle(string) {}

// Next implements [gatewaytest.Provider].
func (p *Provider) Next(f gatewaytest.Fault) bool {
	var fault wechattest.Fault
	switch f {
	case gatewaytest.FaultDecline:
		fault = wechattest.ErrCode("NOTENOUGH", "基本账户余额不足", false)
	case gatewaytest.FaultLoseAnswer:
		fault = wechattest.LoseAnswer()
	case gatewaytest.FaultFailBefore:
		fault = wechattest.LoseAnswer().NotExecuted()
	case gatewaytest.FaultGarbage:
		fault = wechattest.Truncate()
	case gatewaytest.FaultOtherRefund:
		fault = wechattest.Fault{}.Field("out_refund_no", "ANOTHER").
			Field("out_refund_no_0", "ANOTHER") // the refund in a query's answer
	case gatewaytest.FaultOtherAmount:
		fault = wechattest.Fault{}.Field("refund_fee", "7").Field("refund_fee_0", "7")
	case gatewaytest.FaultHang:
		fault = wechattest.LoseAnswer().After(func(ctx context.Context) { <-ctx.Done() })
	case gatewaytest.FaultAbnormal:
		fault = wechattest.EndsAs(wechattest.StatusChange)
	case gatewaytest.FaultClose:
		fault = wechattest.EndsAs(wechattest.StatusClosed)
	default:
		return false
	}
	p.Inject(fault)
	return true
}
