// Package otelrefund tells OpenTelemetry what refunds do: traces and metrics of every command of a refund.Service
// and of every call to a payment provider.
//
//	tel, err := otelrefund.New(otelrefund.Options{})
//	…
//	svc, err := refund.NewService(machine, store, tel.Gateway(gateway), refund.Options{
//		Hooks: []refund.Hooks{tel.Hooks(), own},
//	})
//	…
//	p, err := poller.New(svc, poller.Options{})
//	…
//	_, err = tel.ObserveBacklog(func(ctx context.Context) (otelrefund.Backlog, error) {
//		st, err := p.Stats(ctx)
//		return otelrefund.Backlog{Due: st.Due, Stuck: st.Stuck, InFlight: st.InFlight, OldestDue: st.OldestDue}, err
//	})
//
// It uses OpenTelemetry's API only; the SDK, the sampling and the exporters are the host's.
//
// # Spans
//
// A command is a span, and what it calls is within it: approve_and_send has approve and process, process has the calls to
// the provider, and those have what an instrumented http.Client adds (wechatv2.Config.WrapTransport). The ctx that
// stores, hooks and loggers are given carries the span.
//
//	refund.<command>           internal  orderfsm.command, orderfsm.order_id, orderfsm.refund_no
//	gateway.refund             client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.refund_no, orderfsm.outcome, orderfsm.code
//	gateway.query              client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.refund_no, orderfsm.outcome, orderfsm.code
//	gateway.list               client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.outcome, orderfsm.code
//	gateway.read_notification  internal  orderfsm.operation, orderfsm.gateway, orderfsm.outcome, orderfsm.code
//
// The commands are those of refund.Command. A command's span has an event refund.transition for each transition
// (orderfsm.event, orderfsm.from, orderfsm.to, orderfsm.refund_no) and refund.conflict for a disagreement with the
// provider (orderfsm.state, orderfsm.outcome, orderfsm.refund_no).
//
// A span whose call or command ended with an error has error.type. Its status is Error where something is broken or
// the outcome is unknown, and not where somebody was told no: a declined refund, an amount that is not left.
//
// # Metrics
//
//	orderfsm.gateway.call.duration   s               orderfsm.operation, orderfsm.gateway, orderfsm.outcome, error.type
//	orderfsm.gateway.calls           {call}          orderfsm.operation, orderfsm.gateway, orderfsm.outcome, orderfsm.code
//	orderfsm.gateway.setup_faults    {fault}         orderfsm.gateway
//	orderfsm.command.duration        s               orderfsm.command, error.type
//	orderfsm.transitions             {transition}    orderfsm.gateway, orderfsm.event, orderfsm.from, orderfsm.to
//	orderfsm.refunded.amount         {minor_unit}    orderfsm.gateway, orderfsm.currency
//	orderfsm.discrepancies               {discrepancy}      orderfsm.state, orderfsm.outcome
//	orderfsm.stuck.attempts          {attempt}       orderfsm.gateway
//	orderfsm.notifications.unknown   {notification}  orderfsm.gateway
//	orderfsm.refunds.due             {refund}
//	orderfsm.refunds.stuck           {refund}
//	orderfsm.refunds.in_flight       {refund}
//	orderfsm.refunds.oldest_due.age  s
//
// The durations are histograms, the last four are gauges of [Telemetry.ObserveBacklog], all others are counters.
// Of the gauges in_flight is one process's, to be summed; the others tell of the whole store, whoever tells it, so
// that the greatest counts. stuck and due are counted as far as poller.MaxCount.
//
// # Attributes
//
//   - orderfsm.operation: refund, query, list or read_notification.
//   - orderfsm.gateway: the order's; of read_notification, the name under which refund.Gateways has it.
//   - orderfsm.outcome: that of the refund.Result, where an error is unknown. For list and read_notification ok,
//     error, or unsupported.
//   - orderfsm.code: the provider's, of the result or of an error that has a method ErrorCode() string. One that
//     does not look like a code (64 letters, digits, and ._-) is "other", and so are, in metrics, those
//     behind the first hundred.
//   - error.type: vetoed, amount, limit, transition, conflict, invalid, exists, unsettled, unsupported,
//     order_not_found, refund_not_found: somebody was told no. setup, busy, mismatch, no_outcome, timeout,
//     connection, canceled, bad_notification, unknown_gateway, in_tx, hook_panic, panic, _OTHER: everything else.
//   - orderfsm.event, orderfsm.from, orderfsm.to, orderfsm.state: of the machine; state is that of the book.
//
// # What is never told
//
// Reasons, notes, actors, and the texts of errors and messages are in no span and no metric: they may hold what people
// wrote. Errors are in the log, which has the span's ctx. Order and refund numbers are on spans, and never on metrics,
// which would have a series for each.
//
// # Cost
//
// Per call to a provider, by BenchmarkRefund with SDK 1.26 on two busy cores: 22 allocations and about 10 µs with metrics
// and a recorded span, 20 and about 7 µs without an SDK. A gateway that does nothing takes 0.09 µs, so the ratio to
// it is about 110; a call over TLS to a server on the same machine takes 300 µs, one to a provider many times that.
//
// # Design
//
// The name follows otelhttp and otelsql: a host that imports OpenTelemetry's own package otel needs no alias.
//
// The commands are seen through refund.Hooks.Trace and not through a wrapper around the Service: an engine has the
// Service itself, and the commands that a command is made of would not be seen.
package otelrefund
