// Package otelrefund instruments refunds with OpenTelemetry. It records traces and metrics of every
// command of a refund.Service and of every call to a payment provider.
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
//		return otelrefund.Backlog{
//			Due: st.Due, Stuck: st.Stuck, InFlight: st.InFlight, OldestDue: st.OldestDue,
//		}, err
//	})
//
// It uses only the API of OpenTelemetry. The host chooses the SDK, the sampling and the exporters.
//
// # Spans
//
// Each command is a span, and what the command calls is within it. approve_and_send contains
// approve and process, process contains the calls to the provider, and these contain the spans of
// an instrumented http.Client (wechatv2.Config.WrapTransport). The ctx of stores, hooks and loggers
// carries the span.
//
//	refund.<command>           internal  orderfsm.command, orderfsm.order_id, orderfsm.refund_no
//	gateway.refund             client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.refund_no, orderfsm.outcome, orderfsm.code
//	gateway.query              client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.refund_no, orderfsm.outcome, orderfsm.code
//	gateway.list               client    orderfsm.operation, orderfsm.gateway, orderfsm.order_id, orderfsm.outcome, orderfsm.code
//	gateway.read_notification  internal  orderfsm.operation, orderfsm.gateway, orderfsm.outcome, orderfsm.code
//
// The commands are those of refund.Command. The span of a command has an event refund.transition
// for each transition (orderfsm.event, orderfsm.from, orderfsm.to, orderfsm.refund_no) and an event
// refund.discrepancy for each discrepancy with the provider (orderfsm.state, orderfsm.outcome,
// orderfsm.refund_no).
//
// If a call or a command returns an error, its span has error.type. The status of the span is Error
// if something is broken or the outcome is unknown. It is not Error for a refusal, for example a
// declined refund or an amount that exceeds the rest of the order.
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
// The durations are histograms, the last four are gauges of [Telemetry.ObserveBacklog], and all
// others are counters. in_flight is the value of one process: take the sum over all processes. The
// other gauges are values of the whole store, whichever process reports them: take the maximum.
// stuck and due are counted up to 1000 if they come from poller.Stats.
//
// # Attributes
//
//   - orderfsm.operation: refund, query, list or read_notification.
//   - orderfsm.gateway: the gateway of the order. For read_notification, the name in
//     refund.Gateways.
//   - orderfsm.outcome: the outcome of the refund.Result. It is unknown after an error. For list
//     and read_notification it is ok, error or unsupported.
//   - orderfsm.code: the provider's code, from the result or from an error with a method
//     ErrorCode() string. It is "other" if it does not look like a code (at most 64 letters,
//     digits, and ._-). In metrics, it is also "other" after the first hundred different codes.
//   - error.type: for refusals vetoed, amount, limit, transition, conflict, invalid, exists,
//     unsettled, unsupported, order_not_found, refund_not_found. For all other errors setup, busy,
//     mismatch, no_outcome, timeout, connection, canceled, bad_notification, unknown_gateway,
//     in_tx, hook_panic, panic, _OTHER.
//   - orderfsm.event, orderfsm.from, orderfsm.to, orderfsm.state: events and states of the machine.
//     state is the state in the book.
//
// # Omitted on purpose
//
// Spans and metrics contain no reasons, notes, actors, messages or texts of errors, because people
// may have written into them. The log contains the errors, with the ctx of the span. Order and
// refund numbers are on spans. They are not on metrics, which would have a series for each number.
//
// # Cost
//
// Per call to a provider, by BenchmarkRefund with SDK 1.26 on two busy cores: 22 allocations and
// about 10 µs with metrics and a recorded span, 20 allocations and about 7 µs without an SDK. A
// gateway that does nothing takes 0.09 µs, so the ratio is about 110. A call over TLS to a server
// on the same machine takes 300 µs, and a call to a provider takes many times that.
//
// # Design
//
// The name follows otelhttp and otelsql. A host that imports OpenTelemetry's package otel needs no
// alias.
//
// The package observes commands by refund.Hooks.Trace, and does not wrap the Service. An engine has
// the Service itself, and a wrapper would not see the commands that a command is made of.
package otelrefund
