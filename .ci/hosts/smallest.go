// Command smallest is the least that refunds need: a store in memory, and a provider, here one that pays at once.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// bank pays what it is asked for, and cannot be asked about it.
type bank struct{}

func (bank) Refund(_ context.Context, req refund.Request) (refund.Result, error) {
	return refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: req.RefundNo, Amount: req.Amount}, nil
}

func (bank) Query(context.Context, refund.Request) (refund.Result, error) {
	return refund.Result{Outcome: refund.OutcomeNotFound}, nil
}

func run(ctx context.Context) (order.Refund, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return order.Refund{}, err
	}
	svc, err := refund.NewService(machine, memstore.New(), bank{}, refund.Options{})
	if err != nil {
		return order.Refund{}, err
	}
	if _, err = svc.Register(ctx, refund.RegisterParams{OrderID: "ORD-1", Gateway: "bank", Currency: "CNY", Total: 10000}); err != nil {
		return order.Refund{}, err
	}
	r, err := svc.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: "ORD-1"}, Amount: 3000, Actor: "buyer:42"})
	if err != nil {
		return r, err
	}
	return svc.ApproveAndSend(ctx, refund.ApproveParams{Ref: refund.Ref{OrderID: "ORD-1", RefundNo: r.No}, Amount: r.Amount, Actor: "staff:7"})
}

func main() {
	r, err := run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.No, r.State)
}
