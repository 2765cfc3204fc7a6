package otelrefund_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/internal/wechatsuite"
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
		cfg := srv.Config()
		cfg.RefundRate, cfg.QueryRate = -1, -1
		cfg.Timeout = 3 * time.Minute // no call of a busy machine ends early
		gateway, err := wechatv2.New(cfg)
		require.NoError(t, err)
		t.Cleanup(gateway.CloseIdleConnections)
		traced := tel.Gateway(gateway)
		require.Implements(t, (*refund.NotificationReader)(nil), traced)
		return traced, &wechatsuite.Provider{Server: srv, T: t}
	}})
}
