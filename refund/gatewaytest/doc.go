// Package gatewaytest is the conformance suite for [refund.RefundGateway]. Every adapter of this module runs
// it, and so should a host's own gateway, in its tests:
//
//	func TestGateway(t *testing.T) {
//		gatewaytest.Run(t, gatewaytest.Harness{
//			New: func(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
//				bank := newFakeBank(t) // for example on httptest.Server
//				return newGateway(bank.URL()), bank
//			},
//		})
//	}
//
// # What to write
//
// The gateway is yours already. [Provider] is the other side of it: a double of the payment provider that
// keeps a ledger and breaks on command. Five methods do:
//
//   - AddOrder makes a paid order.
//   - Paid and PaidTotal read the ledger: what the provider really paid, whatever the gateway was told.
//   - Settle ends a refund that the provider pays in the background.
//   - Next breaks the next call. It may refuse any [Fault]: the checks that need it are skipped, and the
//     skip says what stays unproven.
//
// The faults matter more than the rest. Sooner or later each of them happens in production, and what a
// gateway makes of it decides whether a buyer is paid twice or not at all.
//
// A double on net/http reads the whole body before it hangs, or it does not notice that the caller has hung up. And
// where the gateway sends an Idempotency-Key, net/http by itself repeats a call whose kept connection breaks before
// the first byte of the answer: break it after the header.
//
// # What is checked
//
// One number pays once, however often and by however many callers it is asked for. Nothing is claimed that
// the ledger does not show. A lost, late, garbled or wrong answer is an error, never a no, and asking again
// finds what happened. A no comes with its code and pays nothing. A number that was never seen is
// OutcomeNotFound, and nothing else is. The context is obeyed.
//
// The suite cannot prove that the double behaves as the provider does: take its behaviour from the
// provider's documents and from captured answers. Nor does it read notifications, whose form is the
// provider's own.
package gatewaytest
