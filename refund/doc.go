// Package refund is the workflow around package order: commands, storage, the payment provider, retries.
//
// A host builds one [Service] from a machine, a [Store], a [RefundGateway] and [Options], and calls one
// method per intent: [Service.Request] when the buyer asks, [Service.Approve] or [Service.Reject] when the
// merchant has looked, [Service.Process] to move an approved refund on until its outcome is known.
//
// # What is promised
//
//   - The provider pays each refund number at most once, and a refund keeps its number through every retry.
//   - An approved refund is asked about until the provider gives a definite answer; nothing is decided by age.
//   - A refund is refunded only when the provider confirmed it, and failed only on the provider's explicit
//     no; or, where it must not be sent, when the provider twice does not know it. Every error, time-out and
//     unknown code means unknown.
//   - A command that fails changes nothing. The same command again gives the same answer, with no second
//     transition ([Service.Fire] with an event of the host's own is [ErrTransition] then); the same refund number with
//     other terms is [ErrConflict].
//
// # Process: one durable step
//
// [Service.Process] may be called any number of times, from any machine:
//
//  1. lease, in one Update: the refund is approved and due, and no call for another refund of the order is
//     under way. The attempt is counted before it is made.
//  2. ask, outside any transaction: the first time Refund; later Query, and Refund again under the same
//     number if the provider has never seen it. A refund that the book took over from the provider, and any
//     refund of an order whose refunds exceed its total, is only asked about: it fails if the provider does
//     not know it, and still does not after [Options].Quiet.
//  3. record, in one Update: the answer passes the one reducer that notifications and operators pass too.
//
// A process that dies between any two lines leaves a refund that is due again when its lease ends, and the
// next Process asks by the same number. Safety rests on that number, never on leases or clocks.
//
// # Joining the host's transaction
//
// Where the [Store] is a [Joiner], a command works in a transaction that its ctx carries, and is undone with it.
// What asks the provider refuses with [ErrInTx] before it asks: a rollback cannot take a payment back.
//
// # Design
//
// Confirm by query: WeChat Pay's answer to a refund says that it was taken, not that it was paid, and its notifications
// are not signed. The query's answer is signed, names the amounts, and can be had as often as need be. So there is
// one source of truth, one reducer that takes it in, and everything else is a reason to ask: a forged notification can
// at most cause a query.
//
// Reserve when asked: the amount is set aside in the Update that checks it, by the request and not by the approval.
// Two requests of 60 on an order of 100 cannot both stand, whoever sends them, and a reviewer never approves what is
// not there. The price is that a request in review holds its amount until it is decided or cancelled.
//
// The table is the queue: what is due is a column of the refund, written in the Update that makes it due. A queue
// beside it could lose a job that the table has, or have one that the table does not. Where one is wanted all the
// same (package riverqueue), [Scheduler] inserts the job in that Update, in the same database.
//
// A definite no that follows a submission whose outcome nobody knows may be the echo of our own success:
// the first attempt may have taken the very money that the second now lacks. It is therefore booked only
// when a query after [Options].Quiet still does not find the number.
//
// A failed refund is not asked about any more. So an answer that was overtaken by a new submission, and one
// that says closed while a retry may still be on its way, does not make it failed: Process asks again.
//
// Several refunds of one order may be in review, but they are sent one at a time, as WeChat advises.
//
// # Logs
//
// [Options].Logger gets these records; messages and keys are stable. The reason and the notes of a refund are never
// logged, and error is what the provider, the store or a hook said, without secrets.
//
//	INFO   refund transition                            order_id, refund_no, event, from, to, actor, amount, currency
//	INFO   refund has no outcome yet                    order_id, refund_no, outcome, attempts, next_attempt_at, [error]
//	WARN   refund stuck                                 order_id, refund_no, gateway, approved_at, attempts, [error]
//	ERROR  refund conflict                              order_id, refund_no, state, outcome, error
//	ERROR  refund answer not recorded, will be asked for again   order_id, refund_no, outcome, error
//	ERROR  gateway set-up fault                         gateway, error
//	WARN   notification for an unknown refund           gateway, order_id, refund_no
//	WARN   notification refused                         gateway, order_id, refund_no, error
//	WARN   notification not readable                    gateway, error
//	ERROR  hook panicked                                hook, panic
//	ERROR  backoff panicked                             gateway, panic
//	DEBUG  after hooks do not run: nobody tells of the host's commit   order_id
package refund
