package wechatv2_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestConformanceTraced checks that the gateway keeps all promises inside otelrefund, also those of
// its list.
func TestConformanceTraced(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
		reader := sdkmetric.WithReader(sdkmetric.NewManualReader())
		tel, err := otelrefund.New(otelrefund.Options{
			TracerProvider: sdktrace.NewTracerProvider(),
			MeterProvider:  sdkmetric.NewMeterProvider(reader),
		})
		require.NoError(t, err)
		srv := newServer(t, wechattest.Options{})
		g := tel.Gateway(newGateway(t, config(srv)))
		require.Implements(t, (*refund.NotificationReader)(nil), g)
		return g, &provider{Server: srv, t: t}
	}
	gatewaytest.Run(t, gatewaytest.Harness{New: start})
}
