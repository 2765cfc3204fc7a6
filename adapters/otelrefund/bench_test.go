package otelrefund_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/refund"
)

// quick pays at once. It is not refundtest, whose ledger takes longer than what is measured.
type quick struct{ refund.RefundGateway }

func (quick) Refund(_ context.Context, req refund.Request) (refund.Result, error) {
	return refund.Result{
		Outcome: refund.OutcomeSucceeded, RefundNo: req.RefundNo, Amount: req.Amount,
	}, nil
}

// BenchmarkRefund compares a bare gateway with decorated ones: with every span recorded, with none
// recorded, and without an SDK.
func BenchmarkRefund(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	traced := func(s sdktrace.Sampler) otelrefund.Options {
		return otelrefund.Options{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(s)),
			MeterProvider:  meters,
		}
	}
	for _, c := range []struct {
		name string
		opt  *otelrefund.Options
	}{
		{"bare", nil},
		{"without_sdk", &otelrefund.Options{}},
		{"metrics", ptr(traced(sdktrace.NeverSample()))},
		{"metrics_and_spans", ptr(traced(sdktrace.AlwaysSample()))},
	} {
		b.Run(c.name, func(b *testing.B) {
			var g refund.RefundGateway = quick{}
			if c.opt != nil {
				tel, err := otelrefund.New(*c.opt)
				require.NoError(b, err)
				g = tel.Gateway(g)
			}
			req := refund.Request{Gateway: "bank", OrderID: "O1", RefundNo: "R1", Amount: 1}
			b.ReportAllocs()
			for range b.N {
				if _, err := g.Refund(bg, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
