package refund_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// newShop is what the examples share: a memory store, a provider in memory, a clock that the
// example moves, and one paid order of 100.00.
func newShop(opt refund.Options) (*refund.Service, *refundtest.Gateway, *refundtest.Clock) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		panic(err)
	}
	provider := refundtest.New()
	clock := refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	opt.Now = clock.Now
	svc, err := refund.NewService(machine, memstore.New(), provider, opt)
	if err != nil {
		panic(err)
	}
	_, err = svc.Register(context.Background(), refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "bank", Currency: "CNY", Total: 10000,
	})
	if err != nil {
		panic(err)
	}
	return svc, provider, clock
}

// The buyer asks, the merchant approves the amount that was seen, and a worker asks the provider
// until the outcome is known.
func Example() {
	ctx := context.Background()
	svc, provider, clock := newShop(refund.Options{})
	provider.NextRefund(refundtest.PayWhenAsked())

	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	r, err := svc.Request(ctx, refund.RequestParams{
		Ref: ref, Amount: 3000, Reason: "wrong size", Actor: "buyer:42",
	})
	fmt.Println(r.State, err)

	r, err = svc.Approve(ctx, refund.ApproveParams{Ref: ref, Amount: 3000, Actor: "staff:7"})
	fmt.Println(r.State, err)

	for range 2 { // a worker's loop: package poller has a better one
		due, err := svc.Due(ctx, 100, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, d := range due {
			next, err := svc.Process(ctx, d.Ref)
			fmt.Println(next.State, err)
		}
		clock.Advance(time.Minute)
	}
	fmt.Println("paid", provider.PaidTotal("ORDER-1"))
	// Output:
	// refund_requested <nil>
	// approved <nil>
	// approved <nil>
	// refunded <nil>
	// paid 3000
}

// ApproveAndSend is for a merchant who waits for the outcome. A refusal by the provider is a state
// with the provider's code, not an error.
func ExampleService_ApproveAndSend() {
	ctx := context.Background()
	svc, provider, _ := newShop(refund.Options{})
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	provider.NextRefund(refundtest.Decline("NOTENOUGH"))

	_, _ = svc.Request(ctx, refund.RequestParams{Ref: ref, Amount: 3000, Actor: "buyer:42"})
	r, err := svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: ref, Amount: 3000, Actor: "staff:7",
	})
	fmt.Println(r.State, r.Code, err)

	r, err = svc.Retry(ctx, refund.RetryParams{Ref: ref, Actor: "staff:7", Note: "topped up"})
	fmt.Println(r.State, r.No, err)
	// Output:
	// failed NOTENOUGH <nil>
	// approved R-1 <nil>
}

// An error says why a command cannot be carried out. The command has changed nothing.
func ExampleService_Request_errors() {
	ctx := context.Background()
	svc, _, _ := newShop(refund.Options{})
	_, err := svc.Request(
		ctx,
		refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 10001, Actor: "buyer:42"},
	)
	var amount *order.AmountError
	fmt.Println(errors.Is(err, order.ErrAmount), errors.As(err, &amount), amount.Left)

	_, err = svc.Request(
		ctx,
		refund.RequestParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "no spaces"}, Amount: 1,
			Actor: "buyer:42",
		},
	)
	fmt.Println(err)
	// Output:
	// true true 10000
	// request_refund refund of order ORDER-1: refund_no: may hold only A-Z, a-z, 0-9 and _ - | * @
}

// Guard may veto a decision, InTx writes the host's rows in the same transaction, After runs once
// it is committed.
func ExampleHooks() {
	ctx := context.Background()
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	svc, _, _ := newShop(refund.Options{Hooks: []refund.Hooks{{
		Guard: func(_ context.Context, o *order.Order, t order.Transition) error {
			isLarge := o.Refund(t.RefundNo).Amount > 5000
			if t.Event == order.EventApprove && isLarge && t.Actor != "staff:boss" {
				return errors.New("above 50.00 only the boss approves")
			}
			return nil
		},
		InTx: func(_ context.Context, o *order.Order, t order.Transition) error {
			fmt.Println("in tx:", o.ID, t.Event)
			return nil
		},
		After: func(_ context.Context, _ *order.Order, t order.Transition) {
			fmt.Println("after:", t.To)
		},
	}}})
	_, _ = svc.Request(ctx, refund.RequestParams{Ref: ref, Amount: 6000, Actor: "buyer:42"})
	_, err := svc.Approve(ctx, refund.ApproveParams{Ref: ref, Amount: 6000, Actor: "staff:7"})
	fmt.Println(errors.Is(err, order.ErrVetoed), err)
	// Output:
	// in tx: ORDER-1 request_refund
	// after: refund_requested
	// true approve refund R-1 of order ORDER-1: vetoed: above 50.00 only the boss approves
}

// One Service for several providers: each order goes back to the gateway that took its money.
func ExampleGateways() {
	gateways, err := refund.NewGateways(map[string]refund.RefundGateway{
		"bank": refundtest.New(), "other": refundtest.New(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	res, err := gateways.Query(
		ctx, refund.Request{Gateway: "other", OrderID: "ORDER-1", RefundNo: "R-1", Amount: 1},
	)
	fmt.Println(res.Outcome, err)
	_, err = gateways.Query(
		ctx, refund.Request{Gateway: "third", OrderID: "ORDER-1", RefundNo: "R-1", Amount: 1},
	)
	fmt.Println(err)
	// Output:
	// not_found <nil>
	// set-up of gateway "third": gateway "third": unknown gateway
}

// One line on the host's mux receives the provider's notifications. The provider is asked before
// anything is booked.
func ExampleService_NotificationHandler() {
	ctx := context.Background()
	svc, provider, _ := newShop(refund.Options{})
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	provider.NextRefund(refundtest.Accept())
	handler, err := svc.NotificationHandler("bank")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /refund/notify", handler)

	_, _ = svc.Request(ctx, refund.RequestParams{Ref: ref, Amount: 4000, Actor: "buyer:42"})
	r, err := svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: ref, Amount: 4000, Actor: "staff:7",
	})
	fmt.Println(r.State, err)

	if err := provider.End("R-1", refund.OutcomeSucceeded); err != nil {
		fmt.Println(err)
		return
	}
	post, err := provider.Notify("R-1", "/refund/notify")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, post)
	o, err := svc.Order(ctx, "ORDER-1")
	fmt.Println(answer.Code, o.Refund("R-1").State, err)
	// Output:
	// approved <nil>
	// 204 refunded <nil>
}
