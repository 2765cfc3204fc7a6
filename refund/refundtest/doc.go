// Package refundtest is for the unit tests of a host. [Gateway] is a payment provider in memory and
// the [refund.RefundGateway] to it. It keeps a ledger, and it pays every refund at once unless a
// script says otherwise. [Clock] is a clock for the Service.
//
// # A story
//
// The provider pays a refund, and its answer is lost. The shop must not report a failure, must not
// pay again, and must find out what happened:
//
//	gw, clock := refundtest.New(), refundtest.NewClock(start)
//	svc := newShop(gw, clock.Now) // the shop's own wiring, with gw for the real gateway
//	gw.NextRefund(refundtest.Pay().ThenFail(context.DeadlineExceeded))
//
//	r, err := svc.ApproveAndSend(ctx, approve)         // r.State is approved: nobody knows
//	err = refundtest.Pass(ctx, clock, svc, time.Hour)  // a worker asks in the meantime
//	                                                   // now the refund is refunded
//	gw.PaidTotal(orderID)                              // paid once
//	fmt.Sprint(gw.Calls())                             // [refund R1 query R1]
//
// # The script
//
// A [Step] says what happens to one call. [Gateway.NextRefund], [Gateway.NextQuery],
// [Gateway.Next] and [Gateway.NextList] add steps to the script. [Step.For] limits a step to one
// refund number. A call takes the first step of the script that fits it. If no step fits,
// [Gateway.Choose] may choose one. If there is none, a query and a list answer from the ledger, and
// a refund takes the step of [Gateway.ByDefault].
//
//	Pay                 paid, and the answer says so
//	Accept              accepted, until End
//	PayWhenAsked        accepted, and paid at the next query
//	Decline             refused: nothing is paid, and the number stays free
//	Close, Abnormal     ended without payment; sent, and could not be delivered
//	Fail                an error: nothing was done, and the outcome is unknown (set-up, busy)
//	Pay().ThenFail      an error although it was paid: the answer is lost
//	Hang                no answer until the caller gives up
//	Answer, Rewrite     any other answer
//
// [Step.Before] and [Step.After] call a function at that moment of the call, so that a test needs
// no sleep: it can cancel the context there, start a second worker, or wait for a channel with
// [Until].
//
// # What it promises
//
// Gateway keeps the promises of the port, which gatewaytest.Run proves. One number is one refund,
// however often it is submitted. The same number with another amount is declined, and so is more
// than the total of the order. Gateway does not check the answers of a provider as a real gateway
// does: test the real gateway with gatewaytest, and the shop with this package.
//
// The Service finds by type assertion whether a gateway lists refunds or reads notifications.
// [Gateway] does both. If the real gateway does neither, use [Gateway.Plain]. If it does one of
// them, combine the interfaces:
//
//	struct {
//		refund.RefundGateway
//		refund.NotificationReader
//	}{gw, gw}
package refundtest
