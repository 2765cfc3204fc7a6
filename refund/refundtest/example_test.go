package refundtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var (
	ctx = context.Background()
	ref = refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}
	yes = refund.ApproveParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 3000, Actor: "staff:7"}
)

// newShop stands for the host's own wiring: a Service, one paid order of 100.00, and a request for
// a refund of 30.00.
func newShop(gw refund.RefundGateway, now func() time.Time) *refund.Service {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		panic(err)
	}
	svc, err := refund.NewService(machine, memstore.New(), gw, refund.Options{Now: now})
	if err != nil {
		panic(err)
	}
	if _, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "bank", Currency: "CNY", Total: 10000,
	}); err != nil {
		panic(err)
	}
	if _, err = svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 3000, Actor: "buyer:42",
	}); err != nil {
		panic(err)
	}
	return svc
}

func newClock() *refundtest.Clock {
	return refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
}

// The provider pays, and its answer does not arrive in time. The refund is not reported as failed,
// and it is not paid again.
func Example_timeOutThenPaid() {
	gw, clock := refundtest.New(), newClock()
	svc := newShop(gw, clock.Now)
	gw.NextRefund(refundtest.Pay().ThenFail(context.DeadlineExceeded))

	r, err := svc.ApproveAndSend(ctx, yes)
	fmt.Println(r.State, err)

	err = refundtest.Pass(ctx, clock, svc, time.Minute)
	o, _ := svc.Order(ctx, "ORDER-1")
	fmt.Println(o.Refund("R1").State, err)
	fmt.Println(gw.Calls(), "paid", gw.PaidTotal("ORDER-1"))
	// Output:
	// approved <nil>
	// refunded <nil>
	// [refund R1 query R1] paid 3000
}

// The merchant's balance is too small. After it is topped up, the refund is sent again with the
// same number.
func Example_declinedThenRetried() {
	gw, clock := refundtest.New(), newClock()
	svc := newShop(gw, clock.Now)
	gw.NextRefund(refundtest.Decline("NOTENOUGH"))

	r, err := svc.ApproveAndSend(ctx, yes)
	fmt.Println(r.State, r.Code, err)

	_, err = svc.Retry(ctx, refund.RetryParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Actor: "staff:7", Note: "topped up",
	})
	fmt.Println(err)
	next, err := svc.Process(ctx, ref)
	fmt.Println(next.State, err)
	fmt.Println(gw.Calls(), "paid", gw.PaidTotal("ORDER-1"))
	// Output:
	// failed NOTENOUGH <nil>
	// <nil>
	// refunded <nil>
	// [refund R1 refund R1] paid 3000
}

// The provider sends its notification to the host's endpoint.
func ExampleGateway_Notify() {
	gw, clock := refundtest.New(), newClock()
	gw.ByDefault(refundtest.Accept())
	svc := newShop(gw, clock.Now)
	endpoint, err := svc.NotificationHandler("bank")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux() // the host's own
	mux.Handle("POST /refunds/notify", endpoint)

	r, err := svc.ApproveAndSend(ctx, yes)
	fmt.Println(r.State, err)

	if err := gw.End("R1", refund.OutcomeSucceeded); err != nil {
		fmt.Println(err)
		return
	}
	post, err := gw.Notify("R1", "/refunds/notify")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, post)
	o, err := svc.Order(ctx, "ORDER-1")
	fmt.Println(answer.Code, o.Refund("R1").State, err)
	// Output:
	// approved <nil>
	// 204 refunded <nil>
}

// Three days without an outcome take no time.
func ExamplePass() {
	gw, clock := refundtest.New(), newClock()
	gw.ByDefault(refundtest.Accept())
	svc := newShop(gw, clock.Now)
	if _, err := svc.ApproveAndSend(ctx, yes); err != nil {
		fmt.Println(err)
		return
	}

	err := refundtest.Pass(ctx, clock, svc, 72*time.Hour)
	stuck, _ := svc.Stuck(ctx, refund.Filter{})
	fmt.Println(len(stuck.Entries), "stuck", err)

	if err := gw.End("R1", refund.OutcomeSucceeded); err != nil {
		fmt.Println(err)
		return
	}
	err = refundtest.Pass(ctx, clock, svc, 2*time.Hour)
	o, _ := svc.Order(ctx, "ORDER-1")
	fmt.Println(o.Refund("R1").State, err)
	// Output:
	// 1 stuck <nil>
	// refunded <nil>
}

// Before lets a test act at a precise moment of a call. Here the second click comes while the first
// is at the provider.
func ExampleStep_Before() {
	gw, clock := refundtest.New(), newClock()
	svc := newShop(gw, clock.Now)
	gw.NextRefund(refundtest.Pay().Before(func(ctx context.Context) {
		r, err := svc.ApproveAndSend(ctx, yes)
		fmt.Println("second click:", r.State, err)
	}))
	r, err := svc.ApproveAndSend(ctx, yes)
	fmt.Println("first click:", r.State, err)
	fmt.Println(gw.Calls(), "paid", gw.PaidTotal("ORDER-1"))
	// Output:
	// second click: approved <nil>
	// first click: refunded <nil>
	// [refund R1] paid 3000
}

// The real gateway reads notifications and lists nothing. So does the test gateway.
func ExampleGateway_Plain() {
	gw := refundtest.New()
	real := struct {
		refund.RefundGateway
		refund.NotificationReader
	}{gw, gw}
	_, lists := any(real).(refund.Lister)
	_, reads := any(real).(refund.NotificationReader)
	fmt.Println(lists, reads)

	_, lists = gw.Plain().(refund.Lister)
	_, reads = gw.Plain().(refund.NotificationReader)
	fmt.Println(lists, reads)
	// Output:
	// false true
	// false false
}
