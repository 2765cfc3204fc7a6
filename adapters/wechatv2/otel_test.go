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

// TestConformanceTraced: with otelrefund around it the gateway keeps every promise, its list among them.
func TestConformanceTraced(t *testing.T) {
	t.Parallel()
	gatewaytest.Run(t, gatewaytest.Harness{New: func(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
		tel, err := otelrefund.New(otelrefund.Options{
			TracerProvider: sdktrace.NewTracerProvider(),
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		})
		require.NoError(t, err)
		srv := newServer(t, wechattest.Options{})
		g := tel.Gateway(newGateway(t, config(srv)))
		require.Implements(t, (*refund.NotificationReader)(nil), g)
		return g, &provider{Server: srv, t: t}
	}})
}
