// Package gatewaytest is the conformance suite for [refund.RefundGateway]. Every adapter of this
// module runs it. A host with its own gateway should run it in its tests:
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
// You have the gateway. [Provider] is the other side: a test double of the payment provider that
// keeps a ledger and fails on command. It has five methods:
//
//   - AddOrder makes a paid order.
//   - Paid and PaidTotal read the ledger: what the provider has paid, whatever it answered.
//   - Settle ends a refund that the provider pays in the background.
//   - Next breaks the next call. It may refuse any [Fault]. The checks that need the fault are then
//     skipped, and the message says what stays unproven.
//
// The faults are the most important part. Each of them happens in production sooner or later, and
// the gateway's reaction decides whether a buyer is paid twice or not at all.
//
// A double on net/http must read the whole body before it hangs. Otherwise it does not notice that
// the caller has closed the connection. If the gateway sends an Idempotency-Key, net/http repeats a
// call by itself when a kept connection breaks before the first byte of the answer: break the
// connection after the header.
//
// # What is checked
//
// One number pays once, however often and by however many callers it is submitted. The gateway
// reports only what the ledger shows. A lost, late, garbled or wrong answer is an error and never a
// refusal, and a later query finds what happened. An error that wraps refund.ErrNotSent is true. A
// refusal has a code and pays nothing. A number that the provider has never seen is
// OutcomeNotFound, and no other number is. The gateway obeys the context.
//
// The suite cannot prove that the double behaves as the provider does. Take its behaviour from the
// provider's documents and from captured answers. The suite does not check notifications, whose
// form differs from provider to provider.
package gatewaytest
