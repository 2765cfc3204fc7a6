package otelrefund_test

import (
	"context"
	"fmt"
	"log"
	"sort"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func Example() {
	ctx := context.Background()
	// a host has exporters here
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tel, err := otelrefund.New(otelrefund.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		log.Fatal(err)
	}
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		log.Fatal(err)
	}
	own := refund.Hooks{After: func(
		_ context.Context, _ *order.Order, t order.Transition,
	) {
		fmt.Println("tell the buyer:", t.To)
	}}
	gateway := tel.Gateway(refundtest.New()) // a host has its own here
	svc, err := refund.NewService(machine, memstore.New(), gateway, refund.Options{
		Hooks: []refund.Hooks{tel.Hooks(), own},
	})
	if err != nil {
		log.Fatal(err)
	}

	_, _ = svc.Register(ctx, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000,
	})
	_, _ = svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 4000, Reason: "too small", Actor: "buyer:1",
	})
	_, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 4000, Actor: "staff:1",
	})
	if err != nil {
		log.Fatal(err)
	}

	for _, s := range spans.GetSpans() {
		fmt.Println("span", s.Name)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &rm); err != nil {
		log.Fatal(err)
	}
	var names []string
	for _, m := range rm.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println("metric", name)
	}
	// Output:
	// tell the buyer: refund_requested
	// tell the buyer: approved
	// tell the buyer: refunded
	// span refund.register
	// span refund.request
	// span refund.approve
	// span gateway.refund
	// span refund.process
	// span refund.approve_and_send
	// metric orderfsm.command.duration
	// metric orderfsm.gateway.call.duration
	// metric orderfsm.gateway.calls
	// metric orderfsm.refunded.amount
	// metric orderfsm.transitions
}
