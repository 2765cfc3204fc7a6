// Package refundtest is a payment provider in memory for a host's unit tests: a [refund.RefundGateway] that
// pays everything at once unless it is told otherwise, keeps a ledger, and a clock to go with it.
//
// # A story
//
// The answer to a refund is lost after the provider has paid. The shop must not say failed, must not pay
// again, and must find out:
//
//	gw, clock := refundtest.New(), refundtest.NewClock(start)
//	svc := newShop(gw, clock.Now) // the shop's own wiring, with gw for the real gateway
//	gw.NextRefund(refundtest.Pay().ThenFail(context.DeadlineExceeded))
//
//	r, err := svc.ApproveAndSend(ctx, approve)                  // r.State is approved: nobody knows
//	err = refundtest.Pass(ctx, clock, svc, time.Hour)    // a worker asks in the meantime
//	                                                     // now it is refunded
//	gw.PaidTotal(orderID)                                // once
//	fmt.Sprint(gw.Calls())                               // [refund R1 query R1]
//
// # The script
//
// A [Step] says what happens to one call. [Gateway.NextRefund], [Gateway.NextQuery] and [Gateway.Next] put
// steps in line; [Step.For] keeps one for a refund number. A call takes the first step in line that fits
// it; where there is none, a query tells what the ledger holds, and a refund gets what [Gateway.ByDefault]
// says.
//
//	Pay                 paid, and said so
//	Accept              on its way, until Settle or End
//	PayWhenAsked        on its way, and paid at the next query
//	Decline             a definite no: nothing is paid, the number stays free
//	Close, Abnormal     ended without paying; left, and could not arrive
//	Fail                an error: nothing was done, and nobody knows
//	Pay().ThenFail      an error although it was done: the answer is lost
//	SetupFault, Busy    errors that tell the Service more
//	Hang                no answer until the caller gives up
//	Answer, Rewrite     whatever else a provider may say
//
// [Step.Before] and [Step.After] hold a call at that moment, so that a test needs no sleep: cancel the
// context there, let a second worker in, or wait for a channel with [Until].
//
// # What it is like
//
// It keeps the promises of the port, which gatewaytest.Run proves: one number is one refund, however
// often it is asked for, the same number with another amount is declined, and so is more than the total of
// the order. It does not check what a real gateway checks in an answer: test the real one with gatewaytest,
// and the shop with this.
//
// Whether a gateway lists refunds or reads notifications is found by type assertion, and [Gateway] does all
// of it. If the real one does not, pass [Gateway.Plain]; if it does some, put that together:
//
//	struct {
//		refund.RefundGateway
//		refund.NotificationReader
//	}{gw, gw}
package refundtest
