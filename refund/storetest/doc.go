// Package storetest is the conformance suite for [refund.Store]. Every adapter of this module runs it, and so
// should a host's own store, in its tests:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{New: func(t *testing.T) refund.Store { return newEmptyStore(t) }})
//	}
//
// # Implement Store in an afternoon
//
//   - Three tables do: orders, refunds (unique by number, over all orders), transitions (unique by order and
//     seq, only ever inserted into). Or the shop's own orders table in place of the first.
//   - Update: begin, read the order with a row lock (SELECT … FOR UPDATE) and its refunds (oldest first), call fn,
//     write what changed, insert the transitions that fn left in History, commit. Roll back on fn's error, on its panic
//     (and panic on), and when ctx has ended. Do not read the history: it grows for as long as the order lives.
//   - Before you insert transitions, let refund.CheckHistory say whether they continue what is stored.
//   - Put the transaction into the ctx that fn gets, so that hooks can use it, and refuse an Update of the
//     same order with that ctx.
//   - Count Version up with every committed change.
//   - Keep times in UTC with microseconds, and give them back so.
//   - Due and ListRefunds are one index range scan each: (state, next_attempt_at, order_id, no) and
//     (requested_at, order_id, no). With the order's gateway as a last column of both, lists of one gateway cost less.
//   - Due is two such scans, of what is due and of what lies too far ahead, which DueQuery.Join puts together.
//   - Texts may be as long as the Max constants of package order say, in bytes of UTF-8. Of what the provider says the
//     Service keeps no more, and a column that is shorter would keep an outcome from being booked.
//   - Map a missing order to ErrOrderNotFound, a taken order ID to ErrExists, a taken refund number to
//     ErrConflict.
//
// # What is checked
//
// The suite asserts what a caller can see, under real concurrency. Optional fields of [Harness] add what it needs
// to see more; a group that is skipped says what stays unproven. It cannot prove what happens when the machine
// loses power.
package storetest
