package otelrefund

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Hooks returns the hooks for [refund.Options]: a span for each command, and the counters. If these
// hooks come first in Options.Hooks, they measure the host's hooks too.
//
// Transitions are counted after the commit. If nobody reports the commit (a transaction of the host
// with sqlstore.WithTx), they are not counted, because After hooks do not run then.
func (t *Telemetry) Hooks() refund.Hooks {
	return refund.Hooks{
		Trace:       t.start,
		After:       t.after,
		Discrepancy: t.discrepancy,
		Stuck: func(ctx context.Context, s refund.Stuck) {
			count(ctx, t.stuck, keyGateway.String(s.Gateway))
		},
		Setup: func(ctx context.Context, e *refund.SetupError) {
			count(ctx, t.setupFaults, keyGateway.String(e.Gateway))
		},
		UnknownNotification: func(ctx context.Context, n refund.Notification) {
			count(ctx, t.unknown, keyGateway.String(n.Gateway))
		},
	}
}

func count(ctx context.Context, c metric.Int64Counter, attrs ...attribute.KeyValue) {
	c.Add(ctx, 1, metric.WithAttributes(attrs...))
}

func (t *Telemetry) start(ctx context.Context, c refund.Command) (context.Context, func(error)) {
	attrs := []attribute.KeyValue{keyCommand.String(c.Name), keyOrderID.String(clip(c.OrderID))}
	if c.RefundNo != "" {
		attrs = append(attrs, keyRefundNo.String(clip(c.RefundNo)))
	}
	ctx, span := t.tracer.Start(ctx, "refund."+c.Name, trace.WithAttributes(attrs...))
	start := t.now()
	return ctx, func(err error) {
		attrs := []attribute.KeyValue{keyCommand.String(c.Name)}
		if err != nil {
			problem := classify(err)
			problem.show(span)
			attrs = append(attrs, keyErrorType.String(problem.name))
		}
		t.commandDuration.Record(ctx, t.now().Sub(start).Seconds(), metric.WithAttributes(attrs...))
		span.End()
	}
}

// clip makes a number fit for an attribute: valid UTF-8, at most twice as long as a refund number.
// The number comes from a client, and the command has not checked it yet.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 2*order.MaxRefundNo)], "?")
}

func (t *Telemetry) after(ctx context.Context, o *order.Order, tr order.Transition) {
	move := []attribute.KeyValue{
		keyEvent.String(string(tr.Event)), keyFrom.String(string(tr.From)),
		keyTo.String(string(tr.To)),
	}
	trace.SpanFromContext(ctx).AddEvent("refund.transition",
		trace.WithAttributes(append(move, keyRefundNo.String(tr.RefundNo))...))
	count(ctx, t.transitions, append(move, keyGateway.String(o.Gateway))...)
	if r := o.Refund(tr.RefundNo); r != nil && tr.To == order.StateRefunded {
		t.refunded.Add(ctx, r.Amount, metric.WithAttributes(
			keyGateway.String(o.Gateway), keyCurrency.String(o.Currency)))
	}
}

func (t *Telemetry) discrepancy(ctx context.Context, c refund.Discrepancy) {
	attrs := []attribute.KeyValue{
		keyState.String(string(c.Book)), keyOutcome.String(wordOf(c.Result.Outcome)),
	}
	trace.SpanFromContext(ctx).AddEvent("refund.discrepancy",
		trace.WithAttributes(append(attrs, keyRefundNo.String(c.RefundNo))...))
	count(ctx, t.discrepancies, attrs...)
}
