// Package poller processes approved refunds in the host's own process. It needs only the store that
// holds the refunds: [Poller.Run] lists the refunds that are due and calls
// [refund.Service.Process] for each of them.
//
//	svc, err := refund.NewService(machine, store, gateway, refund.Options{})
//	…
//	p, err := poller.New(svc, poller.Options{})
//	…
//	err = p.Run(ctx) // until ctx ends, or Shutdown is called
//
// # Several replicas
//
// Any number of processes may run a Poller on one database. There is no leader. The lease that
// Process writes keeps two of them from asking about the same refund at the same time. Each Poller
// works through its list in random order, so that two of them seldom meet. If a process dies, the
// refunds that it had in flight are due again when their leases end.
//
// The clock of a replica may be wrong. If it is wrong by more than refund.Options.MaxWait, each
// side lists refunds as due that the other side has scheduled for later. Each side then asks about
// such a refund at most once a minute, in addition to the attempts that its own Backoff asks for.
//
// # Waking up
//
// When a refund is approved or retried in this process, the Service wakes the Poller (see
// [refund.Service.OnDue]), and the Poller lists the due refunds at once. It does so after the
// commit. If the store cannot report the commit of the host's transaction, the Poller lists too
// early and lists again after 100 ms, 200 ms, 400 ms and so on. It finds a refund that another
// process has approved at its next list, at most [Options].IdleMax later.
//
// # Fairness
//
// If a provider limits the account ([refund.BusyError] with Account), the Poller sends nothing to
// that gateway for the time that the provider asks for, at most one minute. After a fault of a
// gateway's set-up it sends nothing to that gateway for one second. A provider that is busy with
// one refund delays that refund only.
//
// One gateway uses at most three quarters of the places at a time, unless it is configured
// otherwise, so a provider that does not answer delays only its own refunds. The list leaves out
// gateways that have no free place, so their backlog does not hide refunds of other gateways.
//
// # Stopping
//
// [Poller.Shutdown] starts nothing new and waits for the refunds in flight. When its context ends,
// or when the context of Run ends, the Poller cancels the calls to the providers, which releases
// their leases. The outcome of such a call is unknown, and the next Process asks for it. No payment
// is lost or repeated.
//
// If code of the host panics, or ends its goroutine with runtime.Goexit, the Poller counts the
// refund as one that could not be processed and tries again. No payment is lost or repeated then
// either.
//
// # Logs
//
// [Options].Logger receives these records. Messages and keys are stable.
//
//	ERROR  due refunds could not be listed, trying again    error
//	INFO   due refunds are listed again
//	ERROR  refund could not be processed, trying again      order_id, refund_no, error
//	ERROR  processing a refund panicked                     order_id, refund_no, panic, stack
package poller
