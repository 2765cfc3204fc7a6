package otelrefund_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/otelrefund"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// private is part of every text that a person, a provider or a hook can write.
const private = "PRIVATE"

// shop is a service with a recording.
type shop struct {
	*recording
	bank *refundtest.Gateway
	svc  *refund.Service
}

func newShop(t *testing.T, own refund.Hooks) *shop {
	t.Helper()
	s := &shop{recording: newRecording(t), bank: refundtest.New()}
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	s.svc, err = refund.NewService(m, memstore.New(), s.Gateway(s.bank), refund.Options{
		Now: s.clock.Now, Hooks: []refund.Hooks{s.Hooks(), own},
		Backoff: func(string, int) time.Duration { return time.Minute },
	})
	require.NoError(t, err)
	_, err = s.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000,
	})
	require.NoError(t, err)
	return s
}

func (s *shop) request(number string, amount int64) {
	s.t.Helper()
	_, err := s.svc.Request(bg, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: number}, Amount: amount, Reason: "reason " + private,
		Actor: "buyer:" + private,
	})
	require.NoError(s.t, err)
}

func (s *shop) approveAndSend(number string, amount int64) order.Refund {
	s.t.Helper()
	r, err := s.svc.ApproveAndSend(bg, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: number}, Amount: amount, Actor: "staff:" + private,
		Note: "note " + private,
	})
	require.NoError(s.t, err)
	return r
}

// TestSpansNest: the span of a command contains the commands and calls that the command is made of.
func TestSpansNest(t *testing.T) {
	s := newShop(t, refund.Hooks{})
	s.request("R1", 4000)
	require.Equal(t, order.StateRefunded, s.approveAndSend("R1", 4000).State)
	require.Equal(t, `refund.register
refund.request
- refund.transition {event=request_refund from=paid refund_no=R1 to=refund_requested}
refund.approve_and_send
  refund.approve
  - refund.transition {event=approve from=refund_requested refund_no=R1 to=approved}
  refund.process
  - refund.transition {event=settle from=approved refund_no=R1 to=refunded}
    gateway.refund
`, s.tree())
	lines := s.metrics()
	for _, want := range []string{
		"transitions{event=request_refund from=paid gateway=bank to=refund_requested} 1",
		"transitions{event=settle from=approved gateway=bank to=refunded} 1",
		"refunded.amount{currency=CNY gateway=bank} 4000",
		"command.duration{command=approve_and_send} 1 of 0s",
	} {
		require.Contains(t, lines, want)
	}
}

// TestRefusalIsNotAnError: a refused command has an error.type. Only a broken one has status Error.
func TestRefusalIsNotAnError(t *testing.T) {
	fail := errors.New("the host's table is full")
	s := newShop(t, refund.Hooks{
		InTx: func(_ context.Context, _ *order.Order, tr order.Transition) error {
			switch tr.RefundNo {
			case "R-full":
				return fail
			case "R-panic":
				panic("hook")
			}
			return nil
		},
	})
	for _, c := range []struct {
		number, orderID string
		amount          int64
		want            string
	}{
		{"R1", "O1", 99999, "{error.type=amount command=request order_id=O1 refund_no=R1}"},
		{"R1", "O2", 1, "{error.type=order_not_found command=request order_id=O2 refund_no=R1}"},
		{"R 1", "O1", 1, "{error.type=invalid command=request order_id=O1 refund_no=R 1}"},
		{"R-full", "O1", 1, "{error.type=_OTHER command=request order_id=O1 refund_no=R-full} Error: _OTHER"},
		{"R-panic", "O1", 1, "{error.type=hook_panic command=request order_id=O1 refund_no=R-panic} Error: hook_panic"},
	} {
		_, err := s.svc.Request(bg, refund.RequestParams{
			Ref:    refund.Ref{OrderID: c.orderID, RefundNo: c.number},
			Amount: c.amount, Reason: "r", Actor: "buyer:1",
		})
		require.Error(t, err)
		ended := s.ended()
		require.Equal(t, "refund.request internal "+c.want, ended[len(ended)-1])
	}
	require.Contains(t, s.metrics(), "command.duration{error.type=amount command=request} 1 of 0s")
}

// TestNumbersOfClientsAreClipped: a number is recorded before the command checks it. If one
// attribute is not UTF-8, an exporter loses everything that it has to send.
func TestNumbersOfClientsAreClipped(t *testing.T) {
	s := newShop(t, refund.Hooks{})
	_, err := s.svc.Request(bg, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O\xff", RefundNo: strings.Repeat("R",
			1<<20)}, Amount: 1, Reason: "r", Actor: "buyer:1",
	})
	require.Error(t, err)
	ended := s.ended()
	require.Contains(t, ended[len(ended)-1], "order_id=O? refund_no="+strings.Repeat("R", 128)+"}")
}

// everything makes a shop record every span and metric.
func everything(t *testing.T) *shop {
	t.Helper()
	veto := fmt.Errorf("not for %s", private)
	s := newShop(t, refund.Hooks{Guard: func(
		_ context.Context, _ *order.Order, tr order.Transition,
	) error {
		if tr.RefundNo == "R-veto" {
			return veto
		}
		return nil
	}})
	s.request("R1", 4000)
	s.bank.Next(refundtest.Fail(
		&refund.SetupError{Gateway: "bank", Err: errors.New("expired " + private)},
	))
	s.approveAndSend("R1", 4000) // a set-up fault
	s.clock.Advance(25 * time.Hour)
	s.bank.Next(refundtest.Fail(errors.New("reset " + private)))
	ref := refund.Ref{OrderID: "O1", RefundNo: "R1"}
	_, err := s.svc.Process(bg, ref) // stuck
	require.NoError(t, err)
	s.clock.Advance(time.Hour)
	_, err = s.svc.Process(bg, ref) // refunded
	require.NoError(t, err)
	s.request("R2", 100)
	s.bank.Next(refundtest.Answer(refund.Result{
		Outcome: refund.OutcomeDeclined, Code: "CODE " + private, Message: "message " + private,
		ProviderRefundID: "id " + private,
	}))
	require.Equal(t, order.StateFailed, s.approveAndSend("R2", 100).State)
	s.bank.NextList(refundtest.AsUsual().Rewrite(func(r *refund.Result) { r.Message = private }))
	s.bank.NextQuery(refundtest.Answer(refund.Result{
		Outcome: refund.OutcomeAbnormal, Message: private,
	}).For("R1"))
	_, err = s.svc.Sync(bg, "O1") // a discrepancy: abnormal, and the book says refunded
	require.NoError(t, err)
	_, err = s.svc.Request(bg, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R-veto"}, Amount: 1, Reason: private, Actor: "buyer:1",
	})
	require.ErrorIs(t, err, order.ErrVetoed)
	n := refund.Notification{
		Gateway: "bank", Result: refund.Result{OrderID: "O9", RefundNo: "R9", Message: private},
	}
	require.NoError(t, s.svc.HandleNotification(bg, n))
	_, err = s.ObserveBacklog(func(context.Context) (otelrefund.Backlog, error) {
		return otelrefund.Backlog{
			Due: 3, Stuck: 2, InFlight: 1, OldestDue: s.clock.Now().Add(-90 * time.Second),
		}, nil
	})
	require.NoError(t, err)
	reader, _ := s.Gateway(s.bank).(refund.NotificationReader)
	_, err = reader.ReadNotification(newPost(`{"Result": {"RefundedAt": "` + private + `"}}`))
	require.ErrorContains(t, err, private)
	return s
}

// TestEverythingIsRecorded: and no text that a person wrote.
func TestEverythingIsRecorded(t *testing.T) {
	s := everything(t)
	lines := s.metrics()
	for _, want := range []string{
		"stuck.attempts{gateway=bank} 1",
		"gateway.setup_faults{gateway=bank} 1",
		"notifications.unknown{gateway=bank} 1",
		"refunds.due{} 3", "refunds.stuck{} 2", "refunds.in_flight{} 1", "refunds.oldest_due.age{} 90",
	} {
		require.Contains(t, lines, want)
	}
	require.Contains(t, strings.Join(lines, "\n"), "discrepancies{outcome=")
	require.Contains(t, s.tree(), "- refund.discrepancy {")
	require.NotContains(t, strings.Join(lines, "\n"), private)
	for _, id := range []string{"O1", "R1", "order_id", "refund_no"} {
		require.NotContains(t, strings.Join(lines, "\n"), id, "a series for each")
	}
	for _, span := range s.spans.Ended() {
		require.NotContains(t, fmt.Sprint(span.Name(), span.Attributes(), span.Events(),
			span.Status(), span.Links()), private)
	}
}

// TestDocumentationIsComplete: the tables in the package documentation are what is recorded.
func TestDocumentationIsComplete(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	spans, metrics := map[string][]string{}, map[string][]string{}
	row := regexp.MustCompile(`(?m)^//\t(\S+) +(internal|client|s|\{\w+\})(?: +(\S.*))?$`)
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		table := metrics
		if m[2] == "internal" || m[2] == "client" {
			table = spans
		}
		table[m[1]+" "+m[2]] = slices.DeleteFunc(strings.Split(m[3], ", "),
			func(k string) bool { return k == "" })
	}
	s := everything(t)
	seen := map[string]map[string]bool{}
	note := func(name, key string) {
		if seen[name] == nil {
			seen[name] = map[string]bool{}
		}
		if key != "" {
			seen[name][key] = true
		}
	}
	all, err := s.collect()
	require.NoError(t, err)
	for _, series := range all {
		name := series.name + " " + series.unit
		note(name, "")
		for _, a := range series.attrs.ToSlice() {
			require.Contains(t, metrics[name], string(a.Key), name)
			note(name, string(a.Key))
		}
	}
	for name, keys := range metrics {
		require.Len(t, seen[name], len(keys), "%s: %v", name, seen[name])
		require.Contains(t, seen, name)
	}
	for _, span := range s.spans.Ended() {
		name := span.Name() + " " + span.SpanKind().String()
		if strings.HasPrefix(name, "refund.") {
			name = "refund.<command> internal"
		}
		require.Contains(t, spans, name)
		for _, a := range span.Attributes() {
			if a.Key != "error.type" { // on any of them
				require.Contains(t, spans[name], string(a.Key), name)
			}
			note(name, string(a.Key))
		}
	}
	for name := range spans {
		require.Contains(t, seen, name)
	}
}

// TestBacklogFailsWithoutFigures: the gauges are absent, and the process does not end.
func TestBacklogFailsWithoutFigures(t *testing.T) {
	s := newRecording(t)
	_, err := s.ObserveBacklog(nil)
	require.ErrorIs(t, err, order.ErrInvalid)
	read := func() (otelrefund.Backlog, error) { return otelrefund.Backlog{}, nil }
	reg, err := s.ObserveBacklog(func(context.Context) (otelrefund.Backlog, error) {
		return read()
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"refunds.due{} 0", "refunds.in_flight{} 0", "refunds.oldest_due.age{} 0", "refunds.stuck{} 0",
	}, s.metrics())
	away := errors.New("the database is away")
	read = func() (otelrefund.Backlog, error) { return otelrefund.Backlog{Due: 5}, away }
	all, err := s.collect()
	require.ErrorContains(t, err, away.Error())
	require.Empty(t, all)
	read = func() (otelrefund.Backlog, error) { panic("store") }
	all, err = s.collect()
	require.ErrorContains(t, err, "panicked: store")
	require.Empty(t, all)
	require.NoError(t, reg.Unregister())
	require.Empty(t, s.metrics())
}

// TestProvidersDefaultToOtel: without providers it uses those of package otel.
func TestProvidersDefaultToOtel(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	tel, err := otelrefund.New(otelrefund.Options{})
	require.NoError(t, err)
	_, err = tel.Gateway(refundtest.New()).Query(bg, refund.Request{Gateway: "bank"})
	require.NoError(t, err)
	r := &recording{t: t, reader: reader}
	require.Contains(t, r.metrics(),
		"gateway.calls{gateway=bank operation=query outcome=not_found} 1")
}
