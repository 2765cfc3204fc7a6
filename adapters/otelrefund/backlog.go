package otelrefund

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/orderfsm/orderfsm/order"
)

// Backlog is the amount of work to do. It comes from poller.Stats or from a query of the host.
type Backlog struct {
	// Due is how many refunds in the store are due now. Stuck is how many have had no outcome for a
	// long time.
	Due, Stuck int
	// InFlight is how many refunds this process is processing.
	InFlight int
	// OldestDue is since when the oldest due refund is due, or zero.
	OldestDue time.Time
}

// ObserveBacklog calls read each time the metrics are collected and records its figures as gauges.
// If read fails or panics, the gauges are absent, and OpenTelemetry's error handler receives the
// error. Alert on absent gauges. Unregister the returned registration when read must not be called
// any more.
func (t *Telemetry) ObserveBacklog(
	read func(ctx context.Context) (Backlog, error),
) (metric.Registration, error) {
	if read == nil {
		return nil, fmt.Errorf("observe backlog: %w", &order.InvalidError{
			Field: "read", Problem: "is nil",
		})
	}
	gauge := func(name, description string) (metric.Int64ObservableGauge, error) {
		return t.meter.Int64ObservableGauge(name, metric.WithUnit("{refund}"),
			metric.WithDescription(description))
	}
	due, err := gauge("orderfsm.refunds.due", "Refunds that are due now, in the store.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	stuck, err := gauge("orderfsm.refunds.stuck",
		"Refunds without an outcome for a long time, in the store.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	inFlight, err := gauge("orderfsm.refunds.in_flight", "Refunds that this process is processing.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	age, err := t.meter.Float64ObservableGauge("orderfsm.refunds.oldest_due.age",
		metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest due refund, or 0."))
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	registration, err := t.meter.RegisterCallback(func(
		ctx context.Context, o metric.Observer,
	) error {
		b, err := contain(ctx, read)
		if err != nil {
			return fmt.Errorf("observe refund backlog: %w", err)
		}
		o.ObserveInt64(due, int64(b.Due))
		o.ObserveInt64(stuck, int64(b.Stuck))
		o.ObserveInt64(inFlight, int64(b.InFlight))
		o.ObserveFloat64(age, t.age(b.OldestDue))
		return nil
	}, due, stuck, inFlight, age)
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	return registration, nil
}

func (t *Telemetry) age(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, t.now().Sub(since).Seconds())
}

// contain returns a panic of read as an error. The panic would end the process, because it happens
// in a goroutine of the exporter.
func contain(
	ctx context.Context, read func(context.Context) (Backlog, error),
) (b Backlog, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	return read(ctx)
}
