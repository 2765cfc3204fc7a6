// Package storetest is the conformance suite for [refund.Store]. Every adapter of this module runs
// it. A host with its own store should run it in its tests:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New: func(t *testing.T) refund.Store { return newEmptyStore(t) },
//		})
//	}
//
// # Implement Store in an afternoon
//
//   - Use three tables: orders, refunds (the number is unique over all orders), and transitions
//     (order and seq are unique, and rows are only inserted). The shop's own orders table may take
//     the place of the first.
//   - Update begins a transaction, reads the order with a row lock (SELECT … FOR UPDATE) and its
//     refunds, oldest first. It calls fn, writes what changed, inserts the transitions that fn
//     left in History, and commits. It rolls back if fn returns an error, if fn panics (and panics
//     again), and if ctx has ended. It does not read the history, which grows as long as the order
//     lives.
//   - Before you insert transitions, call refund.CheckHistory. It reports whether they continue the
//     stored ones.
//   - Put the transaction into the ctx of fn, so that hooks can use it. An Update of the same order
//     with that ctx returns an error.
//   - Increase Version with every committed change.
//   - Store times in UTC with microseconds, and return them so.
//   - Due and ListRefunds are one index range scan each: (state, next_attempt_at, order_id, no) and
//     (requested_at, order_id, no). Lists of one gateway cost less if the gateway of the order is
//     the last column of both.
//   - Due is two such scans: the refunds that are due, and those that are too far ahead.
//     DueQuery.Join joins them.
//   - Texts may be as long as the Max constants of package order, in bytes of UTF-8. The Service
//     cuts the provider's words to these lengths. If a column is shorter, an outcome cannot be
//     recorded.
//   - Return ErrOrderNotFound for a missing order, ErrExists for an order ID that exists, and
//     ErrConflict for a refund number that exists.
//
// # What is checked
//
// The suite checks what a caller can see, with real concurrency. The optional fields of [Harness]
// allow it to check more. The message of a skipped check says what stays unproven. The suite cannot
// prove what happens if the machine loses power.
package storetest
