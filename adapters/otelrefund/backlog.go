package otelrefund

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/orderfsm/orderfsm/order"
)

// Backlog is how much there is to do: what poller.Stats tells, or a query of the host's own.
type Backlog struct {
	// Due is how many refunds are due now, Stuck how many have had no outcome for long, in the store.
	Due, Stuck int
	// InFlight is how many this process is asking about.
	InFlight int
	// OldestDue is since when the oldest of those that are due is; zero where there is none.
	OldestDue time.Time
}

// ObserveBacklog has read asked whenever the metrics are collected, and its figures shown as gauges. While read
// fails or panics they are not there, which is worth an alert, and the error goes to OpenTelemetry's handler.
// Unregister what it returns when read cannot be asked any more.
func (t *Telemetry) ObserveBacklog(read func(ctx context.Context) (Backlog, error)) (metric.Registration, error) {
	if read == nil {
		return nil, fmt.Errorf("observe backlog: %w", &order.InvalidError{Field: "read", Problem: "is nil"})
	}
	gauge := func(name, description string) (metric.Int64ObservableGauge, error) {
		return t.meter.Int64ObservableGauge(name, metric.WithUnit("{refund}"), metric.WithDescription(description))
	}
	due, err := gauge("orderfsm.refunds.due", "Refunds that are due now, in the store.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	stuck, err := gauge("orderfsm.refunds.stuck", "Refunds that have had no outcome for long, in the store.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	inFlight, err := gauge("orderfsm.refunds.in_flight", "Refunds that this process is asking about.")
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	age, err := t.meter.Float64ObservableGauge("orderfsm.refunds.oldest_due.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest of the refunds that are due has been so; 0 where there is none."))
	if err != nil {
		return nil, fmt.Errorf("observe backlog: %w", err)
	}
	registration, err := t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
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

// contain makes an error of a panic, which would end the process: the exporter has a goroutine of its own.
func contain(ctx context.Context, read func(context.Context) (Backlog, error)) (b Backlog, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	return read(ctx)
}
