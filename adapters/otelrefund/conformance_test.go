package otelrefund_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestConformanceTraced checks that wechatv2's gateway keeps every promise of a gateway, its list
// of refunds included, if otelrefund traces it.
func TestConformanceTraced(t *testing.T) {
	t.Parallel()
	gatewaytest.Run(t, gatewaytest.Harness{New: func(
		t *testing.T,
	) (refund.RefundGateway, gatewaytest.Provider) {
		tel, err := otelrefund.New(otelrefund.Options{
			TracerProvider: sdktrace.NewTracerProvider(),
			MeterProvider: sdkmetric.NewMeterProvider(
				sdkmetric.WithReader(sdkmetric.NewManualReader()),
			),
		})
		require.NoError(t, err)
		srv, err := wechattest.NewServer(wechattest.Options{})
		require.NoError(t, err)
		t.Cleanup(srv.Close)
		gateway, err := wechatv2.New(wechatv2.Config{
			AppID: srv.AppID(), MchID: srv.MchID(), APIKey: srv.APIKey(),
			CertPEM: srv.ClientCertPEM(), KeyPEM: srv.ClientKeyPEM(),
			BaseURL: srv.URL(), RootCAs: srv.RootCAs(), RefundRate: -1, QueryRate: -1,
			Timeout: 3 * time.Minute, // no call of a busy machine ends early
		})
		require.NoError(t, err)
		t.Cleanup(gateway.CloseIdleConnections)
		traced := tel.Gateway(gateway)
		require.Implements(t, (*refund.NotificationReader)(nil), traced)
		return traced, &provider{Server: srv, t: t}
	}})
}

// provider is the simulator of WeChat Pay, in the form that the suite needs.
type provider struct {
	*wechattest.Server
	t      *testing.T
	orders atomic.Int64
}

func (p *provider) AddOrder(total int64) refund.Request {
	id := fmt.Sprintf("ORDER-%d", p.orders.Add(1))
	require.NoError(p.t, p.Server.AddOrder(wechattest.Order{OutTradeNo: id, TotalFee: total}))
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "CNY"}
}

// Paid counts the money that has arrived, not the money that is on its way: a success that is
// reported too early is found.
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

// Settle does nothing: the simulator ends a refund at the first query.
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
