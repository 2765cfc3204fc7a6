// Package order says what is true of a paid order and its refunds, and what may follow.
//
// An [Order] is one paid order with every refund ever asked for on it. A [Machine] holds the table of
// allowed transitions; [Machine.Fire] is the only way a refund changes its state. The package is pure: no
// I/O, no clock, no goroutine. Package refund adds time, storage and the payment provider.
//
// # Amounts and times
//
// Amounts are int64 in the currency's minor unit (fen for CNY). Times are UTC.
//
// # The machine
//
// Each refund walks this table from [StatePaid]. The order shows the most pressing of its refunds, so an
// order with one full refund reads exactly paid, refund_requested, approved, then refunded or failed.
//
//	event           from → to                                        when                                                reserved
//	request_refund  paid → refund_requested                          0 < amount ≤ Total − Refunded − Reserved            +
//	approve         refund_requested → approved                      the merchant agrees, no excess; the money may move  held
//	reject          refund_requested → rejected                      the merchant refuses; a note is required            −
//	cancel          refund_requested → cancelled                     withdrawn                                           −
//	cancel          approved → cancelled                             only while it was never submitted                   −
//	settle          approved, abnormal, failed → refunded            the provider confirmed it                           − (Refunded +)
//	fail            approved, abnormal → failed                      the provider's definite no                          held
//	hold            approved → abnormal                              the money left and could not arrive                 held
//	retry           failed → approved                                the same number again, no excess                    held
//	abandon         failed → abandoned                               given up on                                         −
//	adopt           paid, refund_requested, failed → approved        the provider holds a refund that the book does not  +, held
//	adopt           rejected, cancelled, abandoned → approved        the same                                            +
//
// adopt is how money that really moved gets back into the book: a refund made in the provider's own console,
// a success that arrives for a refund which had been rejected, cancelled or abandoned, a book restored from
// an old backup. It is an event of its own, and not a settle from those states, so that such a refund is
// polled, settled and shown like any other. It alone may break Refunded + Reserved ≤ Total (see
// [Order.Excess]), because a fact is never dropped for being unwelcome. While there is an excess, nothing
// can be approved or retried: first another refund must end. States that a host adds can be adopted from too.
//
// # Facts and decisions
//
// adopt, settle, fail and hold record what the provider did ([Event.IsFact]); no guard is asked about them.
// The other events are decisions that a guard may veto.
//
// # Extending
//
// [Options].Rows adds states and events between refund_requested and approved: a second reviewer, a
// check that the goods are back, a question to the buyer. From approved on the table is closed.
//
// # Design
//
// looplab/fsm decides each move. It is known to many readers and small, and a table that a library of its own
// walks is not one that a later if in a handler gets around. No type or error of it leaves the package, so that it
// could be replaced. Its traps are real (a cancelled context or a panic in a callback leaves an FSM in mid-transition
// for ever, an enter callback's error comes after the state has moved, one FSM holds one state): fsm.go, the only
// file that imports it, says how they are avoided. The machine is built once and shared: its FSMs are pooled and
// carry no callbacks, guards are this package's own and run first, and the order is written to only after nothing
// can fail any more.
//
// A refund walks the machine, and the order shows the most pressing of them. One state per order could not say that
// one refund is paid, another in review and a third refused; a machine for each and nothing above could not say what
// the order's page should show.
//
// An amount is reserved when it is asked for, not when it is approved or sent: the check and the
// reservation are one step, so that two requests of 60 on an order of 100 cannot both stand.
package order
