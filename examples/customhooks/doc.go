// Package customhooks shows how a shop adds its rules to refunds without a change to orderfsm:
//
//   - goods_returning is a state that the shop adds (machine.go). No transition leads from it to
//     approved, so a refund cannot be approved before the goods arrive.
//   - After [Rules].ReturnBy a refund is approved only if the goods are back (rules.go, a guard).
//   - Above [Rules].Limit two people must agree (machine.go adds the state, rules.go the guard).
//   - Every transition writes a row to the shop's own table in the same transaction (audit.go, the
//     InTx hook). The buyer gets a message after the commit (shop.go, the After hook).
//
// The rules run inside the atomic update of the order and see the order as it is at that time. If
// two people click at the same time, the second click is checked after the first is committed.
//
// # The review, extended
//
//	                   propose ┌───────────────┐ approve (by somebody else)
//	                 ┌────────▶│ second_review │──────────┐
//	refund_requested ┤         └───────────────┘          ├▶ approved …
//	   ▲             ├─────────────── approve ────────────┘
//	   │   ask_return│         ┌─────────────────┐
//	   │             └────────▶│ goods_returning │
//	   └───────────────────────└─────────────────┘
//	         goods_arrived
//
// A refund in one of the two new states can be rejected or cancelled. Its amount stays reserved.
//
// # What a guard cannot do
//
// Guards check decisions, not facts. If the provider paid, the payment is booked even if the rules
// would refuse it, for example a refund that was made in the provider's console.
// [order.Machine.Available] does not call guards: it returns what the table allows, not what a
// certain person may do.
package customhooks
