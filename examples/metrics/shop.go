package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// shop is a refund service with its metrics.
type shop struct {
	sim     *wechattest.Server
	gateway *wechatv2.Gateway
	svc     *refund.Service
	poller  *poller.Poller
	metrics http.Handler
}

// newShop connects the service to a WeChat Pay simulator, and its telemetry to an exporter for
// Prometheus.
func newShop(sim *wechattest.Server, now func() time.Time) (*shop, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	tel, err := otelrefund.New(otelrefund.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), Now: now,
	})
	if err != nil {
		return nil, err
	}
	gateway, err := wechatv2.New(sim.Config())
	if err != nil {
		return nil, err
	}
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	store := memstore.New()
	svc, err := refund.NewService(machine, store, tel.Gateway(gateway), refund.Options{
		Now: now, Hooks: []refund.Hooks{tel.Hooks()},
	})
	if err != nil {
		return nil, err
	}
	worker, err := poller.New(svc, poller.Options{})
	if err != nil {
		return nil, err
	}
	_, err = tel.ObserveBacklog(func(ctx context.Context) (otelrefund.Backlog, error) {
		st, err := worker.Stats(ctx)
		return otelrefund.Backlog{
			Due: st.Due, Stuck: st.Stuck, InFlight: st.InFlight, OldestDue: st.OldestDue,
		}, err
	})
	return &shop{
		sim: sim, gateway: gateway, svc: svc, poller: worker,
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}, err
}

func (s *shop) close() { s.gateway.CloseIdleConnections() }

// pay adds a paid order to the simulator and registers it.
func (s *shop) pay(ctx context.Context, orderID string, fen int64) error {
	if err := s.sim.AddOrder(wechattest.Order{OutTradeNo: orderID, TotalFee: fen}); err != nil {
		return err
	}
	_, err := s.svc.Register(ctx, refund.RegisterParams{
		OrderID: orderID, Gateway: wechatv2.GatewayName, Currency: "CNY", Total: fen,
	})
	return err
}

// refund pays an order, requests a refund of it and approves it. The poller does the rest.
func (s *shop) refund(ctx context.Context, orderID string, fen int64) error {
	if err := s.pay(ctx, orderID, fen); err != nil {
		return err
	}
	r, err := s.svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: orderID, RefundNo: "R-" + orderID}, Amount: fen,
		Reason: "does not fit", Actor: "buyer:1",
	})
	if err != nil {
		return err
	}
	_, err = s.svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: orderID, RefundNo: r.No}, Amount: fen, Actor: "staff:1",
	})
	return err
}
