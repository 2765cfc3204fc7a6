package refund_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// approved asks for a refund of ORDER-1 and approves it.
func approved(ctx context.Context, svc *refund.Service, number string, amount int64) error {
	_, err := svc.Request(
		ctx,
		refund.RequestParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: number}, Amount: amount,
			Actor: "buyer:42",
		},
	)
	if err != nil {
		return err
	}
	_, err = svc.Approve(
		ctx,
		refund.ApproveParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: number}, Amount: amount, Actor: "staff:7",
		},
	)
	return err
}

// A failed refund is abandoned only if the provider confirms that it will not pay. Its amount is
// then free for another refund.
func ExampleService_Abandon() {
	ctx := context.Background()
	svc, provider, clock := newShop(refund.Options{})
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	provider.NextRefund(refundtest.Decline("ACCOUNT_CLOSED"))
	if err := approved(ctx, svc, "R-1", 8000); err != nil {
		fmt.Println(err)
		return
	}
	next, err := svc.Process(ctx, ref)
	fmt.Println(next.State, err)

	give := refund.AbandonParams{
		Ref: ref, Actor: "staff:7",
		Note: "paid by bank transfer",
	}
	provider.NextQuery(refundtest.Fail(context.DeadlineExceeded))
	_, err = svc.Abandon(ctx, give)
	fmt.Println(errors.Is(err, refund.ErrUnsettled))
	clock.Advance(2 * time.Minute) // a provider may show a refund late
	r, err := svc.Abandon(ctx, give)
	fmt.Println(r.State, err)
	o, _ := svc.Order(ctx, "ORDER-1")
	fmt.Println(o.State, o.Refundable(), "left")
	// Output:
	// failed <nil>
	// true
	// abandoned <nil>
	// paid 10000 left
}

// Money could not reach the buyer. A person records how the refund ended, with evidence.
func ExampleService_Resolve() {
	ctx := context.Background()
	svc, provider, _ := newShop(refund.Options{})
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: "R-1"}
	provider.NextRefund(refundtest.Abnormal())
	if err := approved(ctx, svc, "R-1", 8000); err != nil {
		fmt.Println(err)
		return
	}
	next, err := svc.Process(ctx, ref)
	fmt.Println(next.State, err)

	r, err := svc.Resolve(ctx, refund.ResolveParams{
		Ref: ref, Resolution: refund.ResolutionPaid,
		Evidence: "bank transfer 4711", Actor: "accounting:3",
	})
	fmt.Println(r.State, err)
	// Output:
	// abnormal <nil>
	// refunded <nil>
}

// The provider's own console made a refund that the book does not have. Sync adopts it, so that no
// more than what is left can be refunded.
func ExampleService_Sync() {
	ctx := context.Background()
	svc, provider, _ := newShop(refund.Options{})
	if err := provider.RefundInConsole("ORDER-1", "C-1", 9000); err != nil {
		fmt.Println(err)
		return
	}
	rep, err := svc.Sync(ctx, "ORDER-1")
	fmt.Println(rep.Adopted, rep.Complete, err)

	_, err = svc.Request(
		ctx,
		refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 3000, Actor: "buyer:42"},
	)
	fmt.Println(errors.Is(err, order.ErrAmount))
	// Output:
	// [C-1] true <nil>
	// true
}

// Every night the shop compares the orders of the last days with the provider. For orders without a
// refund in the book it calls Sync: a refund made in the console may be the only one of its order.
func ExampleService_Reconcile() {
	ctx := context.Background()
	svc, provider, clock := newShop(refund.Options{})
	yesterday := clock.Now()
	if err := approved(ctx, svc, "R-1", 3000); err != nil {
		fmt.Println(err)
		return
	}
	if err := provider.RefundInConsole("ORDER-1", "C-1", 500); err != nil {
		fmt.Println(err)
		return
	}
	clock.Advance(24 * time.Hour)
	for report, err := range svc.Reconcile(ctx, refund.Filter{From: yesterday}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.OrderID, "adopted:", report.Adopted)
		for _, d := range report.Discrepancies {
			fmt.Println(d.OrderID, d.RefundNo, "book:", d.Book, "provider:", d.Result.Outcome)
		}
	}
	// Output:
	// ORDER-1 adopted: [C-1]
	// ORDER-1 C-1 book: paid provider: succeeded
}

// Nothing is decided by age. A refund without an outcome for long is reported and listed, and the
// Service goes on asking until the provider answers.
func ExampleService_Stuck() {
	ctx := context.Background()
	var calls int
	svc, provider, clock := newShop(refund.Options{
		AlertAfter: 24 * time.Hour,
		Hooks:      []refund.Hooks{{Stuck: func(context.Context, refund.Stuck) { calls++ }}},
	})
	provider.NextRefund(refundtest.Accept())
	if err := approved(ctx, svc, "R-1", 3000); err != nil {
		fmt.Println(err)
		return
	}
	// three days, with a worker
	if err := refundtest.Pass(ctx, clock, svc, 72*time.Hour); err != nil {
		fmt.Println(err)
		return
	}
	page, err := svc.Stuck(ctx, refund.Filter{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Entries {
		fmt.Println(e.OrderID, e.Refund.No, e.Refund.State, "reported:", calls > 0)
	}

	if err := provider.End("R-1", refund.OutcomeSucceeded); err != nil {
		fmt.Println(err)
		return
	}
	err = refundtest.Pass(ctx, clock, svc, 2*time.Hour)
	o, _ := svc.Order(ctx, "ORDER-1")
	fmt.Println(o.Refund("R-1").State, err)
	// Output:
	// ORDER-1 R-1 approved reported: true
	// refunded <nil>
}

// A review queue, page by page.
func ExampleService_ListRefunds() {
	ctx := context.Background()
	svc, _, clock := newShop(refund.Options{})
	for _, number := range []string{"R-1", "R-2", "R-3"} {
		_, err := svc.Request(
			ctx,
			refund.RequestParams{
				Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: number}, Amount: 1000,
				Actor: "buyer:42",
			},
		)
		if err != nil {
			fmt.Println(err)
			return
		}
		clock.Advance(time.Minute)
	}
	f := refund.Filter{States: []order.State{order.StateRefundRequested}, Limit: 2}
	for {
		page, err := svc.ListRefunds(ctx, f)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range page.Entries {
			fmt.Println(e.Refund.No, e.Refund.Amount)
		}
		if page.Next == nil {
			return
		}
		f.After = page.Next
	}
	// Output:
	// R-1 1000
	// R-2 1000
	// R-3 1000
}

// One provider settles within seconds, the others take hours.
func ExampleBackoff() {
	slow := refund.ExponentialBackoff(time.Minute, 6*time.Hour)
	backoff := func(gateway string, attempts int) time.Duration {
		if gateway == "wallet" {
			return min(time.Duration(attempts)*time.Second, time.Minute)
		}
		return slow(gateway, attempts)
	}
	_ = refund.Options{Backoff: backoff}

	fmt.Println(backoff("wallet", 3))
	wait := backoff("bank", 4) // a minute, doubled three times, and up to a fifth less at random
	fmt.Println(6*time.Minute < wait && wait <= 8*time.Minute)
	// Output:
	// 3s
	// true
}
