package otelrefund

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderfsm/orderfsm/refund"
)

// A decorated gateway may have Checker, Lister and Limiter also if its gateway does not. The other
// two depend on its gateway.
var (
	_ refund.Checker            = (*gateway)(nil)
	_ refund.Lister             = (*gateway)(nil)
	_ refund.Limiter            = (*gateway)(nil)
	_ refund.NotificationReader = reading{}
	_ refund.Router             = routing{}
)

// Gateway returns g with a span and metrics for each call. It returns the results and errors of g
// unchanged. The returned gateway is a [refund.NotificationReader] or a [refund.Router] only if g
// is. If g is not a [refund.Lister], List returns [refund.ErrUnsupported]. Decorate either a
// gateway or the [refund.Gateways] that contains it: otherwise each call counts twice. If g is nil,
// Gateway returns nil.
func (t *Telemetry) Gateway(g refund.RefundGateway) refund.RefundGateway { return t.gateway(g, "") }

func (t *Telemetry) gateway(g refund.RefundGateway, name string) refund.RefundGateway {
	d := &gateway{t: t, inner: g, name: name}
	switch g := g.(type) {
	case nil:
		return nil
	case refund.Router: // the Service looks for the optional interfaces in its routes
		return routing{d, g}
	case refund.NotificationReader:
		return reading{d, g}
	}
	return d
}

// gateway decorates any gateway.
type gateway struct {
	t     *Telemetry
	inner refund.RefundGateway
	name  string // the name in a Router; may be empty
}

// Refund implements [refund.RefundGateway].
func (g *gateway) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, c := g.t.begin(ctx, "refund", req.Gateway, keyOrderID.String(req.OrderID),
		keyRefundNo.String(req.RefundNo))
	defer c.end()
	res, err := g.inner.Refund(ctx, req)
	c.answered(res, err)
	return res, err
}

// Query implements [refund.RefundGateway].
func (g *gateway) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	ctx, c := g.t.begin(ctx, "query", req.Gateway, keyOrderID.String(req.OrderID),
		keyRefundNo.String(req.RefundNo))
	defer c.end()
	res, err := g.inner.Query(ctx, req)
	c.answered(res, err)
	return res, err
}

// List implements [refund.Lister].
func (g *gateway) List(ctx context.Context, req refund.Request) ([]refund.Result, error) {
	l, ok := g.inner.(refund.Lister)
	if !ok {
		return nil, fmt.Errorf("list refunds through gateway %q: %w", req.Gateway,
			refund.ErrUnsupported)
	}
	ctx, c := g.t.begin(ctx, "list", req.Gateway, keyOrderID.String(req.OrderID))
	defer c.end()
	results, err := l.List(ctx, req)
	c.done(err)
	return results, err
}

// Check implements [refund.Checker].
func (g *gateway) Check(req refund.Request) error {
	if c, ok := g.inner.(refund.Checker); ok {
		return c.Check(req)
	}
	return nil
}

// Limits implements [refund.Limiter].
func (g *gateway) Limits(name string) refund.Limits {
	if l, ok := g.inner.(refund.Limiter); ok {
		return l.Limits(name)
	}
	return refund.Limits{}
}

// reading decorates a gateway that reads notifications.
type reading struct {
	*gateway
	refund.NotificationReader
}

// ReadNotification implements [refund.NotificationReader].
func (g reading) ReadNotification(r *http.Request) (refund.Notification, error) {
	ctx, c := g.t.begin(r.Context(), "read_notification", g.name)
	defer c.end()
	n, err := g.NotificationReader.ReadNotification(r.WithContext(ctx))
	c.done(err)
	return n, err
}

// routing decorates a gateway that routes to others.
type routing struct {
	*gateway
	to refund.Router
}

// Route implements [refund.Router].
func (g routing) Route(name string) (refund.RefundGateway, error) {
	to, err := g.to.Route(name)
	if err != nil {
		return nil, err
	}
	return g.t.gateway(to, name), nil
}

// call is one call to a provider.
type call struct {
	t                  *Telemetry
	ctx                context.Context
	span               trace.Span
	start              time.Time
	gateway, operation string

	outcome, code string
	problem       class // its name is empty if there is no error
}

// begin starts a call. It counts as a panic until it has an answer.
func (t *Telemetry) begin(
	ctx context.Context, operation, gateway string, attrs ...attribute.KeyValue,
) (context.Context, *call) {
	attrs = append(attrs, keyOperation.String(operation))
	if gateway != "" {
		attrs = append(attrs, keyGateway.String(gateway))
	}
	kind := trace.SpanKindClient
	if operation == "read_notification" {
		kind = trace.SpanKindInternal // nothing is sent
	}
	ctx, span := t.tracer.Start(ctx, "gateway."+operation, trace.WithSpanKind(kind),
		trace.WithAttributes(attrs...))
	return ctx, &call{
		t: t, ctx: ctx, span: span, start: t.now(), gateway: gateway, operation: operation,
		outcome: wordOf(refund.OutcomeUnknown), problem: class{name: typePanic},
	}
}

// answered records the answer to Refund or Query.
func (c *call) answered(res refund.Result, err error) {
	c.code, c.problem = codeOf(res, err), class{}
	if err != nil {
		c.problem = classify(err) // the outcome stays unknown
		return
	}
	if c.outcome = wordOf(res.Outcome); c.outcome != string(res.Outcome) {
		c.problem = class{name: typeNoOutcome}
	}
}

// wordOf returns the value of orderfsm.outcome. It is bounded, whatever the gateway returns.
func wordOf(o refund.Outcome) string {
	switch o {
	case refund.OutcomeAccepted, refund.OutcomeSucceeded, refund.OutcomeDeclined,
		refund.OutcomeClosed, refund.OutcomeAbnormal, refund.OutcomeNotFound:
		return string(o)
	case refund.OutcomeUnknown:
		return "unknown"
	}
	return "invalid"
}

// done records the end of a call that has no refund.Outcome.
func (c *call) done(err error) {
	c.code, c.problem, c.outcome = codeOf(refund.Result{}, err), class{}, "ok"
	switch {
	case errors.Is(err, refund.ErrUnsupported):
		c.outcome, c.problem = "unsupported", classify(err)
	case err != nil:
		c.outcome, c.problem = "error", classify(err)
	}
}

func (c *call) end() {
	took := c.t.now().Sub(c.start).Seconds()
	c.span.SetAttributes(keyOutcome.String(c.outcome))
	if c.code != "" {
		c.span.SetAttributes(keyCode.String(c.code))
	}
	c.problem.show(c.span)

	attrs := make([]attribute.KeyValue, 0, 5)
	attrs = append(attrs, keyOperation.String(c.operation), keyOutcome.String(c.outcome))
	if c.gateway != "" {
		attrs = append(attrs, keyGateway.String(c.gateway))
	}
	duration := attrs
	if c.problem.name != "" {
		duration = append(duration, keyErrorType.String(c.problem.name))
	}
	c.t.callDuration.Record(c.ctx, took, metric.WithAttributes(duration...))
	if code := c.t.codes.bounded(c.code); code != "" {
		attrs = append(attrs, keyCode.String(code))
	}
	c.t.calls.Add(c.ctx, 1, metric.WithAttributes(attrs...))
	c.span.End()
}

// show puts the error on a span. A refusal does not set the status Error.
func (c class) show(span trace.Span) {
	if c.name == "" {
		return
	}
	span.SetAttributes(keyErrorType.String(c.name))
	if !c.refusal {
		span.SetStatus(otelcodes.Error, c.name)
	}
}
