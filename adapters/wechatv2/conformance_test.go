package wechatv2_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestConformance runs the gateway suite over TLS, with both signatures and both ways to name an
// order.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, signType := range []wechatv2.SignType{wechatv2.SignMD5, wechatv2.SignHMACSHA256} {
		for _, byPayment := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/by_payment=%v", signType, byPayment), func(t *testing.T) {
				t.Parallel()
				start := func(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
					srv := newServer(t, wechattest.Options{})
					cfg := config(srv)
					cfg.SignType = signType
					return newGateway(t, cfg), &provider{Server: srv, t: t, byPayment: byPayment}
				}
				gatewaytest.Run(t, gatewaytest.Harness{New: start})
			})
		}
	}
}

// provider adapts the simulator to the suite.
type provider struct {
	*wechattest.Server
	t         *testing.T
	byPayment bool
	orders    atomic.Int64
}

func (p *provider) AddOrder(total int64) refund.Request {
	n := p.orders.Add(1)
	req := refund.Request{
		OrderID:  fmt.Sprintf("ORDER-%d", n),
		RefundNo: fmt.Sprintf("ORDER-%d-", n), Total: total, Currency: "CNY",
	}
	o := wechattest.Order{
		OutTradeNo: req.OrderID, TransactionID: fmt.Sprintf("4200%d", n),
		TotalFee: total,
	}
	if p.byPayment {
		req.PaymentID = o.TransactionID
	}
	require.NoError(p.t, p.Server.AddOrder(o))
	return req
}

// Paid returns the money that has arrived, not the money on its way. So the suite notices a success
// that is reported too early.
func (p *provider) Paid(refundNo string) int64 {
	return p.sum(func(e wechattest.Entry) bool { return e.OutRefundNo == refundNo })
}

func (p *provider) PaidTotal(orderID string) int64 {
	return p.sum(func(e wechattest.Entry) bool { return e.OutTradeNo == orderID })
}

func (p *provider) sum(counts func(wechattest.Entry) bool) (fen int64) {
	for _, e := range p.Ledger() {
		if e.Status == wechattest.StatusSuccess && counts(e) {
			fen += e.Amount * int64(e.Payments)
		}
	}
	return fen
}

// Settle does nothing: with the Options above, the first query ends a refund.
func (p *provider) Settle(string) {}

func (p *provider) Next(f gatewaytest.Fault) bool {
	var fault wechattest.Fault
	switch f {
	case gatewaytest.FaultDecline:
		fault = wechattest.ErrCode("NOTENOUGH", "基本账户余额不足", false)
	case gatewaytest.FaultLoseAnswer:
		fault = wechattest.LoseAnswer()
	case gatewaytest.FaultFailBefore:
		fault = wechattest.FailBefore()
	case gatewaytest.FaultGarbage:
		fault = wechattest.Truncate()
	case gatewaytest.FaultOtherRefund:
		fault = wechattest.WrongRefundNo("ANOTHER")
	case gatewaytest.FaultOtherAmount:
		fault = wechattest.WrongAmount(7)
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
