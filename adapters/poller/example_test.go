package poller_test

import (
	"context"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// A shop approves a refund, and the Poller processes it.
func Example() {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	store := memstore.New() // a real shop: its own database
	settled := make(chan struct{})
	provider := refundtest.New() // a real shop: its gateway
	provider.ByDefault(refundtest.PayWhenAsked())
	svc, err := refund.NewService(machine, store, provider, refund.Options{
		// A real shop leaves Backoff out.
		Backoff: func(string, int) time.Duration { return 10 * time.Millisecond },
		Hooks: []refund.Hooks{{After: func(_ context.Context, _ *order.Order, t order.Transition) {
			if t.Event == order.EventSettle {
				close(settled)
			}
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := poller.New(svc, poller.Options{
		Gateways: map[string]poller.GatewayOptions{"wechatv2": {Rate: 50}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan error)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go func() { ran <- p.Run(ctx) }()

	_, _ = svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "wechatv2", Currency: "CNY", Total: 9900,
	})
	r, _ := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 3000, Reason: "too small", Actor: "buyer:42",
	})
	_, err = svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: r.No}, Amount: 3000, Actor: "staff:7",
	})
	fmt.Println("approved:", err)

	select {
	case <-settled:
	case <-ctx.Done():
	}
	o, _ := svc.Order(ctx, "ORDER-1")
	fmt.Println(o.State, o.Refunded, "of", o.Total, "returned")

	fmt.Println("shut down:", p.Shutdown(ctx))
	fmt.Println("run:", <-ran)
	// Output:
	// approved: <nil>
	// paid 3000 of 9900 returned
	// shut down: <nil>
	// run: <nil>
}
