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
//     refusal; or, if it must not be sent, when the provider twice does not know it. Every error, time-out and
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
//     number if the provider has never seen it. What the provider has accepted, here or in its own console, is only
//     asked about: if it is denied later, and still after [Options].QuietPeriod, the Discrepancy hook is called and a
//     person must Resolve it. A refund of an order whose refunds exceed its total is only asked about too: it
//     fails if the provider does not know it, and still does not after Quiet.
//  3. record, in one Update: the answer passes the one reducer that notifications and operators pass too.
//
// A process that dies between any two lines leaves a refund that is due again when its lease ends, and the
// next Process asks by the same number. Safety rests on that number, never on leases or clocks.
//
// A process whose clock is wrong wastes calls, and neither money nor refunds. What a row says of the future is believed
// only as far as a right clock could have written it: a next attempt beyond MaxWait (and Quiet), a lease beyond
// two Leases and an approval in the future were written by a wrong clock. Such a refund is due, free and stuck.
//
// # What an answer means
//
// One function judges what the provider says of a refund, by what the book says of it and by what has happened since
// the question. "note" notes that the provider has it, "wait" is a refusal that waits for proof, "ask again" is an
// answer that may be older than the book, "!" is reported to a person, and "·" changes nothing: an approved refund is
// asked about again.
//
//	the book says                                         succeeded        accepted   abnormal       closed     declined   not_found
//	approved: sent for the first time                     settle           note       hold           fail       fail       ·
//	approved: sent again after an unknown outcome         settle           note       hold           wait       wait       ·
//	approved: asked after an unknown outcome              settle           note       hold           fail       fail       ·
//	approved: asked after an unknown outcome of a retry   settle           note       hold           wait       wait       ·
//	approved: a refusal waits                             settle           note       hold           ·          ·          ·
//	approved: a refusal has waited                        settle           note       hold           fail       fail       fail
//	approved: a refusal waits, of a clock that was ahead  settle           note       hold           wait       wait       wait
//	approved: must not be sent, the order has an excess   settle           note       hold           fail       fail       wait
//	approved: accepted before                             settle           note       hold           fail       wait       wait
//	approved: accepted before, after a retry              settle           note       hold           wait       wait       wait
//	approved: accepted before, denied since shortly       settle           note       hold           ·          ·          ·
//	approved: accepted before, denied for long            settle           note       hold           fail       !          !
//	approved: accepted while it was asked                 settle           note       hold           ·          ·          ·
//	approved: a newer attempt is under way                settle           note       ·              ·          ·          ·
//	approved: Sync asked                                  settle           note       hold           fail       ·          ·
//	approved: Sync asked, accepted before                 settle           note       hold           fail       ·          ·
//	approved: Sync asked during an attempt                settle           note       ·              ·          ·          ·
//	approved: Sync asked after a retry                    settle           note       ·              ·          ·          ·
//	approved: retried since Sync asked                    settle           ask again  ·              ·          ·          ·
//	abnormal                                              settle           ·          ·              fail       ·          ·
//	abnormal since it was asked                           settle           ·          ·              ask again  ·          ·
//	failed                                                settle           adopt !    adopt, hold !  ·          ·          ·
//	failed since it was asked                             settle           ask again  ask again      ·          ·          ·
//	refunded, the provider confirmed it                   ·                ·          !              !          !          ·
//	refunded since it was asked                           ·                ·          ask again      ask again  ask again  ·
//	refunded, a person resolved it                        !                !          !              !          !          ·
//	in review, rejected, cancelled, abandoned             adopt, settle !  adopt !    adopt, hold !  ·          ·          ·
//	the same since it was asked                           adopt, settle !  ask again  ask again      ·          ·          ·
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
// A refusal that follows a submission whose outcome nobody knows may be the echo of our own success: the first attempt
// may have taken the very money that the second now lacks. It is therefore booked only when a query after
// [Options].QuietPeriod still does not find the number. A store that is a [Clock] times that for all processes.
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
