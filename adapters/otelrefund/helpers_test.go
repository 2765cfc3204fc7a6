package otelrefund_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var (
	bg    = context.Background()
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// recording is a Telemetry, and the spans and metrics that it has recorded.
type recording struct {
	*otelrefund.Telemetry
	t      testing.TB
	clock  *refundtest.Clock
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
}

func newRecording(t testing.TB) *recording {
	t.Helper()
	r := &recording{
		t: t, clock: refundtest.NewClock(start), spans: tracetest.NewSpanRecorder(),
		reader: sdkmetric.NewManualReader(),
	}
	tel, err := otelrefund.New(otelrefund.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader)),
		Now:            r.clock.Now,
	})
	require.NoError(t, err)
	r.Telemetry = tel
	return r
}

// ended returns the ended spans as lines, in the order of their ends.
func (r *recording) ended() (lines []string) {
	for _, s := range r.spans.Ended() {
		line := fmt.Sprintf("%s %s {%s}", s.Name(), s.SpanKind(), text(s.Attributes()))
		if s.Status().Description != "" || s.Status().Code != 0 {
			line += fmt.Sprintf(" %s: %s", s.Status().Code, s.Status().Description)
		}
		lines = append(lines, line)
	}
	return lines
}

// tree returns the names of the ended spans, each under its parent.
func (r *recording) tree() string {
	var out strings.Builder
	var walk func(parent string, depth int)
	all := r.spans.Ended()
	slices.SortStableFunc(all,
		func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	walk = func(parent string, depth int) {
		for _, s := range all {
			if s.Parent().SpanID().String() != parent {
				continue
			}
			fmt.Fprintf(&out, "%s%s\n", strings.Repeat("  ", depth), s.Name())
			for _, e := range s.Events() {
				fmt.Fprintf(&out, "%s- %s {%s}\n", strings.Repeat("  ", depth), e.Name,
					text(e.Attributes))
			}
			walk(s.SpanContext().SpanID().String(), depth+1)
		}
	}
	walk("0000000000000000", 0)
	return out.String()
}

func text(attrs []attribute.KeyValue) string {
	set := attribute.NewSet(attrs...)
	var parts []string
	for _, a := range set.ToSlice() {
		parts = append(parts, strings.TrimPrefix(string(a.Key), "orderfsm.")+"="+a.Value.Emit())
	}
	return strings.Join(parts, " ")
}

// series is one line of metrics.
type series struct {
	name, unit string
	attrs      attribute.Set
	value      string
}

func (s series) String() string {
	return fmt.Sprintf("%s{%s} %s", strings.TrimPrefix(s.name, "orderfsm."),
		text(s.attrs.ToSlice()), s.value)
}

// collect returns all metrics. Of a histogram it returns the count and the sum.
func (r *recording) collect() (all []series, err error) {
	var rm metricdata.ResourceMetrics
	err = r.reader.Collect(bg, &rm)
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			add := func(attrs attribute.Set, value any) {
				all = append(all, series{m.Name, m.Unit, attrs, fmt.Sprint(value)})
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, fmt.Sprintf("%d of %vs", p.Count, p.Sum))
				}
			default:
				require.Fail(r.t, "unexpected data", "%T", d)
			}
		}
	}
	return all, err
}

// metrics returns the metrics as sorted lines.
func (r *recording) metrics() (lines []string) {
	all, err := r.collect()
	require.NoError(r.t, err)
	for _, s := range all {
		lines = append(lines, s.String())
	}
	slices.Sort(lines)
	return lines
}

// bank is a gateway that answers from its script. Without a script, refunds have succeeded.
type bank struct {
	mu      sync.Mutex
	script  []answer
	during  func() // called in each call; may be nil
	listing []refund.Result
}

type answer struct {
	res    refund.Result
	err    error
	panics bool
}

func (b *bank) next(a ...answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script = append(b.script, a...)
}

func (b *bank) answer(ctx context.Context, number string, amount int64) (refund.Result, error) {
	if b.during != nil {
		b.during()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := answer{res: refund.Result{Outcome: refund.OutcomeSucceeded}}
	if len(b.script) > 0 {
		a, b.script = b.script[0], b.script[1:]
	}
	if a.panics {
		panic("bank")
	}
	if a.err == nil && a.res.RefundNo == "" {
		a.res.RefundNo, a.res.Amount = number, amount
	}
	if err := ctx.Err(); err != nil && a.err == nil {
		return refund.Result{}, fmt.Errorf("ask the bank: %w", err)
	}
	return a.res, a.err
}

func (b *bank) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return b.answer(ctx, req.RefundNo, req.Amount)
}

func (b *bank) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	return b.answer(ctx, req.RefundNo, req.Amount)
}

func newPost() *http.Request { return httptest.NewRequest(http.MethodPost, "/", http.NoBody) }

// fullBank has every optional interface.
type fullBank struct{ bank }

func (b *fullBank) List(context.Context, refund.Request) ([]refund.Result, error) {
	a, err := b.answer(bg, "R1", 1)
	return append(b.listing, a), err
}
func (*fullBank) Check(refund.Request) error { return order.ErrInvalid }
func (*fullBank) Limits(name string) refund.Limits {
	return refund.Limits{MaxRefunds: len(name)}
}

func (b *fullBank) ReadNotification(r *http.Request) (refund.Notification, error) {
	_, err := b.answer(r.Context(), "R1", 1)
	return refund.Notification{Result: refund.Result{
		OrderID: r.Header.Get("Order"), RefundNo: "R1", Amount: 1,
	}}, err
}

func (*fullBank) Acknowledge(w http.ResponseWriter, err error) {
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
	}
}
