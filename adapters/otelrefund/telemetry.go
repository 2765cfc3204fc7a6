package otelrefund

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.25.0"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instrumentation: the import path of this package.
const scope = "github.com/orderfsm/orderfsm/adapters/otelrefund"

// The attributes. See the package documentation.
const (
	keyCode      = attribute.Key("orderfsm.code")
	keyCommand   = attribute.Key("orderfsm.command")
	keyCurrency  = attribute.Key("orderfsm.currency")
	keyEvent     = attribute.Key("orderfsm.event")
	keyFrom      = attribute.Key("orderfsm.from")
	keyGateway   = attribute.Key("orderfsm.gateway")
	keyOperation = attribute.Key("orderfsm.operation")
	keyOrderID   = attribute.Key("orderfsm.order_id")
	keyOutcome   = attribute.Key("orderfsm.outcome")
	keyRefundNo  = attribute.Key("orderfsm.refund_no")
	keyState     = attribute.Key("orderfsm.state")
	keyTo        = attribute.Key("orderfsm.to")
	keyErrorType = semconv.ErrorTypeKey
)

// seconds are the bounds of the histograms, from an answer from memory to the CallTimeout of a
// Service.
var seconds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// Options are the optional parts of a [Telemetry]. The zero value is ready for use.
type Options struct {
	// TracerProvider and MeterProvider receive the spans and the metrics. If nil,
	// otel.GetTracerProvider() and otel.GetMeterProvider().
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Now is the clock for durations and ages. If nil, time.Now.
	Now func() time.Time
}

// Telemetry records what a refund.Service does. Make it with [New]; it is safe for concurrent use.
type Telemetry struct {
	tracer trace.Tracer
	meter  metric.Meter
	now    func() time.Time
	codes  codes

	callDuration, commandDuration                               metric.Float64Histogram
	calls, transitions, refunded, discrepancies, stuck, unknown metric.Int64Counter
	setupFaults                                                 metric.Int64Counter
}

// New returns a Telemetry. The error is the error of the MeterProvider.
func New(opt Options) (*Telemetry, error) {
	if opt.TracerProvider == nil {
		opt.TracerProvider = otel.GetTracerProvider()
	}
	if opt.MeterProvider == nil {
		opt.MeterProvider = otel.GetMeterProvider()
	}
	if opt.Now == nil {
		opt.Now = time.Now //nolint:forbidigo // the one place where the wall clock is the default
	}
	t := &Telemetry{
		tracer: opt.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		meter:  opt.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)),
		now:    opt.Now,
	}
	if err := t.instruments(); err != nil {
		return nil, fmt.Errorf("new refund telemetry: %w", err)
	}
	return t, nil
}

func (t *Telemetry) instruments() error {
	var errs []error
	for _, h := range []struct {
		to                *metric.Float64Histogram
		name, description string
	}{
		{&t.callDuration, "orderfsm.gateway.call.duration", "Duration of calls to payment providers."},
		{&t.commandDuration, "orderfsm.command.duration", "Duration of the refund service's commands."},
	} {
		var err error
		*h.to, err = t.meter.Float64Histogram(h.name,
			metric.WithUnit("s"), metric.WithDescription(h.description),
			metric.WithExplicitBucketBoundaries(seconds...))
		errs = append(errs, err)
	}
	for _, c := range []struct {
		to                      *metric.Int64Counter
		name, unit, description string
	}{
		{&t.calls, "orderfsm.gateway.calls", "{call}", "Calls to payment providers, by their outcome."},
		{&t.transitions, "orderfsm.transitions", "{transition}", "Refunds that moved from one state to another."},
		{&t.refunded, "orderfsm.refunded.amount", "{minor_unit}", "Money that providers confirmed as returned, in minor units."},
		{&t.discrepancies, "orderfsm.discrepancies", "{discrepancy}", "Discrepancies between a provider and the book."},
		{&t.stuck, "orderfsm.stuck.attempts", "{attempt}", "Attempts without an outcome for refunds that are stuck."},
		{&t.setupFaults, "orderfsm.gateway.setup_faults", "{fault}", "Gateways that began to fail because of their set-up."},
		{&t.unknown, "orderfsm.notifications.unknown", "{notification}", "Notifications about refunds that the book does not have."},
	} {
		var err error
		*c.to, err = t.meter.Int64Counter(c.name, metric.WithUnit(c.unit),
			metric.WithDescription(c.description))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
