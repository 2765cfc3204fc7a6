// Package poller carries approved refunds to their end in the host's own process. It needs nothing beside the
// store that the refunds are in: what is due is in the table, and [Poller.Run] keeps asking for it and runs
// [refund.Service.Process] on it.
//
//	svc, err := refund.NewService(machine, store, gateway, refund.Options{})
//	…
//	p, err := poller.New(svc, poller.Options{})
//	…
//	err = p.Run(ctx) // until ctx ends, or Shutdown is called
//
// # Several replicas
//
// Any number of processes may run a Poller on one database, without a leader. The lease that Process takes
// keeps a second one from asking about the same refund at the same time; each Poller takes what is due in an
// order of its own, so that they seldom meet. Where a process dies, what it had in flight is due again when
// its lease ends.
//
// A replica's clock may be wrong. If it is wrong by more than refund.Options.MaxWait, each side
// finds due what the other has put off. Each then asks about such a refund once a minute at most,
// beside what its own Backoff asks for.
//
// # Waking up
//
// When a refund is approved or retried in this process, the Service wakes the Poller (see
// [refund.Service.OnDue]), and the Poller lists what is due at once. It does so after the commit. If
// the store cannot report the commit of the host's transaction, the list comes too early and is
// repeated after 100 ms, 200 ms, 400 ms and so on. What other processes approve is found by the
// next list, at most [Options].IdleMax later.
//
// # Fairness
//
// A gateway rests, for a minute at most, if its provider limits the account ([refund.BusyError]
// with Account), and for a second after a fault of its set-up. A provider that is busy with one
// refund delays that refund only.
//
// Of one gateway at most three quarters of the places are in use at a time, unless configured otherwise, so a
// provider that hangs holds up its own refunds only. The store's list leaves busy gateways out, so that their
// backlog hides nothing that is due for the others.
//
// # Stopping
//
// [Poller.Shutdown] takes nothing new and lets what is in flight finish. When its context ends, and when the
// context of Run ends, the calls to the providers are cancelled, which releases their leases: the outcome is
// unknown, and the next Process asks for it. Neither loses or repeats a payment.
//
// Neither does code of the host that panics, or that ends its goroutine with runtime.Goexit: the
// refund counts as one that could not be processed, and is tried again.
//
// # Logs
//
// [Options].Logger gets these records; messages and keys are stable.
//
//	ERROR  due refunds could not be listed, trying again    error
//	INFO   due refunds are listed again
//	ERROR  refund could not be processed, trying again      order_id, refund_no, error
//	ERROR  processing a refund panicked                     order_id, refund_no, panic, stack
package poller
