// Package order defines paid orders, their refunds, and the transitions that refunds may make.
//
// An [Order] is one paid order with all its refunds. A [Machine] holds the table of allowed
// transitions; only [Machine.Fire] changes the state of a refund. The package is pure: no I/O, no
// clock, no goroutine. Package refund adds time, storage and the payment provider.
//
// # Amounts and times
//
// Amounts are int64 in the currency's minor unit (fen for CNY). Times are UTC.
//
// # The machine
//
// Each refund walks this table from [StatePaid]. The order shows the most pressing of its refunds,
// so an order with one full refund is paid, refund_requested, approved, then refunded or failed.
//
//	event           from → to                                        when                                                reserved
//	request_refund  paid → refund_requested                          0 < amount ≤ Total − Refunded − Reserved            +
//	approve         refund_requested → approved                      the merchant agrees; no excess; the money may move  held
//	reject          refund_requested → rejected                      the merchant refuses; a note is required            −
//	cancel          refund_requested → cancelled                     withdrawn                                           −
//	cancel          approved → cancelled                             only while it was never submitted                   −
//	settle          approved, abnormal, failed → refunded            the provider confirmed it                           − (Refunded +)
//	fail            approved, abnormal → failed                      the provider's definite refusal                     held
//	hold            approved → abnormal                              the money left and could not arrive                 held
//	retry           failed → approved                                the same number again; no excess                    held
//	abandon         failed → abandoned                               the merchant gives up                               −
//	adopt           paid, refund_requested, failed → approved        the provider holds a refund that the book does not  +, held
//	adopt           rejected, cancelled, abandoned → approved        the same                                            +
//
// adopt records money that the provider moved without the book: a refund made in the provider's own
// console, a late success of a refund that was rejected, cancelled or abandoned, or a refund that
// is missing because the book was restored from an old backup. The refund goes to approved and not
// straight to refunded, so that it is polled, settled and shown like any other. Only adopt may
// break Refunded + Reserved ≤ Total (see [Order.Excess]): a fact is recorded even if it breaks a
// rule. While there is an excess, no refund can be approved or retried; another refund must end
// first. Refunds in added states can be adopted too.
//
// # Facts and decisions
//
// adopt, settle, fail and hold record what the provider did ([Event.IsFact]); guards are not called
// for them. All other events are decisions, which a guard may veto.
//
// # Extending
//
// [Options].Rows adds states and events between refund_requested and approved: a second reviewer, a
// check that the goods are back, a question to the buyer. The direct transition from
// refund_requested to approved stays open unless a guard refuses it. From approved on the table is
// fixed.
//
// # Design
//
// looplab/fsm decides each move. It is small and well known, and code elsewhere cannot bypass a
// table that a library walks. None of its types and errors leave the package, so that it can be
// replaced. It has traps: a cancelled context or a panic in a callback leaves an FSM in
// mid-transition for good, the error of an enter callback comes after the state has changed, and
// one FSM holds one state. Only fsm.go imports it and describes how these traps are avoided. The
// machine is built once and shared. Its FSMs are pooled and have no callbacks. Guards belong to
// this package and run first, and the order is changed last, after every step that can fail.
//
// The refunds walk the machine, not the order. One state per order could not represent one refund
// that is paid, one in review and one refused. A machine per refund alone would give the order no
// state to show.
//
// An amount is reserved at the request, not at the approval or the submission. The check and the
// reservation are one step, so two requests of 60 on an order of 100 cannot both succeed.
package order
