// Package customhooks shows how a shop adds its rules to refunds, without a change to
// orderfsm:
//
//   - goods_returning is a state that the shop added (machine.go): while the goods are out there is
//     no way from there to approved.
//   - After [Rules].ReturnBy a refund is approved only once the goods are back (rules.go, a guard).
//   - Above [Rules].Limit two people have to agree (machine.go adds the state, rules.go the guard).
//   - Every transition leaves a row in the shop's own table, in the same transaction (audit.go, the
//     InTx hook), and the buyer gets a message after the commit (shop.go, the After hook).
//
// The rules work inside the atomic update of the order, on the order as it is then: two clicks at
// the same time are asked one after the other.
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
// From both new states a refund can be rejected and cancelled, and its amount stays reserved there.
//
// # What a guard cannot do
//
// Guards are asked about decisions. That the provider paid is a fact, which is booked whatever the
// rules say: a refund made in the provider's console comes in without them. And
// [order.Machine.Available] does not ask them: it says what the table allows, not whether this
// person may.
package customhooks
