// Package refund is the workflow around package order: commands, storage, the provider, retries.
//
// A host builds one [Service] from a machine, a [Store], a [RefundGateway] and [Options]. It calls
// one method for each intent: [Service.Request] when the buyer asks, [Service.Approve] or
// [Service.Reject] when the merchant has decided, [Service.Process] until the outcome of an
// approved refund is known.
//
// # Promises
//
//   - The provider pays each refund number at most once. A refund keeps its number in every retry.
//   - The Service asks about an approved refund until the provider gives a definite answer. It
//     decides nothing because of a refund's age.
//   - A refund becomes refunded only if the provider confirms the payment. It becomes failed only
//     if the provider refuses it, or, for a refund that must not be sent, if the provider does not
//     know it and still does not after [Options].QuietPeriod. An error, a time-out and an unknown
//     code mean that the outcome is unknown.
//   - A command that fails changes nothing. A repeated command returns the same result and makes no
//     second transition. [Service.Fire] is the exception: repeated, it may return
//     [order.ErrTransition]. The same refund number with other terms is [order.ErrConflict].
//
// # Process: one durable step
//
// [Service.Process] may be called any number of times, on any machine. It does three things:
//
//  1. Lease, in one Update. The refund must be approved and due, and no call for another refund of
//     the order may be under way. The attempt is counted before it is made.
//  2. Ask, outside any transaction. The first attempt calls Refund. Later ones call Query, and then
//     Refund under the same number if the provider does not know it.
//  3. Record, in one Update. Sync, Abandon and notifications record their answers in the same way.
//
// If a process dies between two of these, the refund is due again when its lease ends. The next
// Process asks under the same number. Safety depends on that number alone, not on leases or clocks.
//
// Two kinds of refund are queried and not sent:
//
//   - One that the provider has accepted, here or in its own console. If the provider then denies
//     it, also after QuietPeriod, the Discrepancy hook is called and a person must Resolve it.
//   - One of an order whose refunds exceed its total. It fails if the provider does not know it,
//     and still does not after QuietPeriod.
//
// A process with a wrong clock wastes calls, but neither money nor refunds. A stored time is
// ignored if it is further in the future than a right clock can have written it: a next attempt by
// more than MaxWait (or QuietPeriod, if that is longer), a lease by more than two Leases. Such a
// refund is due. A refund whose approval is more than a Lease in the future is reported as stuck.
//
// # What an answer means
//
// The meaning of an answer depends on the refund in the book, and on what changed after the
// question was asked. "note" records that the provider has the refund. "wait" records a refusal
// that needs proof. "ask again" means that the answer may be older than the book. "!" reports a
// discrepancy. "·" changes nothing: Process asks about an approved refund again later.
//
//	the book says                                          succeeded        accepted   abnormal       closed     declined   not_found
//	approved: sent for the first time                      settle           note       hold           fail       fail       ·
//	approved: sent again after an unknown outcome          settle           note       hold           wait       wait       ·
//	approved: queried after an unknown outcome             settle           note       hold           fail       fail       ·
//	approved: queried after an unknown outcome of a retry  settle           note       hold           wait       wait       ·
//	approved: a refusal waits for proof                    settle           note       hold           ·          ·          ·
//	approved: a refusal has waited long enough             settle           note       hold           fail       fail       fail
//	approved: a refusal is dated in the future             settle           note       hold           wait       wait       wait
//	approved: not sent, the order has an excess            settle           note       hold           fail       fail       wait
//	approved: accepted before                              settle           note       hold           fail       wait       wait
//	approved: accepted before, after a retry               settle           note       hold           wait       wait       wait
//	approved: accepted before, denied a moment ago         settle           note       hold           ·          ·          ·
//	approved: accepted before, denied long enough          settle           note       hold           fail       !          !
//	approved: accepted after the question                  settle           note       hold           ·          ·          ·
//	approved: a newer attempt is under way                 settle           note       ·              ·          ·          ·
//	approved: Sync asks                                    settle           note       hold           fail       ·          ·
//	approved: Sync asks, accepted before                   settle           note       hold           fail       ·          ·
//	approved: Sync asks during an attempt                  settle           note       ·              ·          ·          ·
//	approved: Sync asks after a retry                      settle           note       ·              ·          ·          ·
//	approved: retried after Sync asked                     settle           ask again  ·              ·          ·          ·
//	abnormal                                               settle           ·          ·              fail       ·          ·
//	abnormal, changed after the question                   settle           ·          ·              ask again  ·          ·
//	failed                                                 settle           adopt !    adopt, hold !  ·          ·          ·
//	failed, changed after the question                     settle           ask again  ask again      ·          ·          ·
//	refunded, confirmed by the provider                    ·                ·          !              !          !          ·
//	refunded, changed after the question                   ·                ·          ask again      ask again  ask again  ·
//	refunded, resolved by a person                         !                !          !              !          !          ·
//	in review, rejected, cancelled, abandoned              adopt, settle !  adopt !    adopt, hold !  ·          ·          ·
//	the same, changed after the question                   adopt, settle !  ask again  ask again      ·          ·          ·
//
// # Joining the host's transaction
//
// If the [Store] is a [Joiner] and ctx carries a transaction of it, a command works in that
// transaction and is rolled back with it. Commands that call the provider return [ErrInTx] instead:
// a rollback cannot undo a payment.
//
// # Design
//
// Confirm by query. WeChat Pay's answer to a refund says that it was accepted, not that it was
// paid, and its notifications are not signed. The answer to a query is signed and names the
// amounts, and a query can be repeated. So a query is the proof of a payment, and a notification is
// only a reason to make one: a forged notification can at most cause a query.
//
// Reserve on request. The Update that checks an amount also reserves it: when the refund is
// requested, not when it is approved. Two requests of 60 on an order of 100 cannot both succeed,
// and a reviewer never approves an amount that is not available. The price is that a request in
// review holds its amount until it is decided or cancelled.
//
// The table is the queue. The time when a refund is due is a column of the refund, written in the
// Update that makes it due. A separate queue could lose a job or have one too many. If the host
// wants one all the same (package riverqueue), [Scheduler] inserts its job in that Update.
//
// A refusal may need proof. If an earlier submission has no known outcome, it may have taken the
// money that the next submission lacks. The refusal is booked only if a query after QuietPeriod
// does not find the number. If the store is a [Clock], all processes measure that period on its
// clock.
//
// A failed refund is not asked about any more. So an answer that is older than a new submission, or
// that says closed while a retry may be under way, does not fail a refund. Process asks again.
//
// Several refunds of one order may be in review. They are sent one at a time, as WeChat advises.
//
// # Logs
//
// [Options].Logger gets these records. Messages and keys are stable. No record holds the reason or
// the notes of a refund. "error" is that of the provider, the store or a hook, without secrets.
//
//	INFO   refund transition                            order_id, refund_no, event, from, to, actor, amount, currency
//	INFO   refund has no outcome yet                    order_id, refund_no, outcome, attempts, next_attempt_at, [error]
//	WARN   refund stuck                                 order_id, refund_no, gateway, approved_at, attempts, [error]
//	ERROR  refund discrepancy                           order_id, refund_no, state, outcome, error
//	ERROR  refund discrepancy not noted, will be reported again  order_id, refund_no, error
//	ERROR  refund answer not recorded, will be asked for again   order_id, refund_no, outcome, error
//	ERROR  refund approved, its outcome is not known    order_id, refund_no, error
//	ERROR  gateway set-up fault                         gateway, error
//	WARN   notification for an unknown refund           gateway, order_id, refund_no
//	WARN   notification refused                         gateway, order_id, refund_no, error
//	WARN   notification not readable                    gateway, error
//	ERROR  hook panicked                                hook, panic
//	ERROR  backoff panicked                             gateway, panic
//	DEBUG  after hooks do not run: nobody reports the host's commit   order_id
package refund
