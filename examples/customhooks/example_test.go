package customhooks_test

import (
	"fmt"
	"os"
	"time"

	"github.com/orderfsm/orderfsm/examples/customhooks"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// Three weeks after the payment a buyer wants 80.00 back: the goods must come back first, and two
// people must agree.
func Example() {
	dir, err := os.MkdirTemp("", "customhooks")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	clock := refundtest.NewClock(paid.Add(21 * 24 * time.Hour))
	rules := customhooks.Rules{Limit: 5000, ReturnBy: 7 * 24 * time.Hour}
	opt := refund.Options{Now: clock.Now}
	toBuyer := func(_, text string) { fmt.Println("  to the buyer:", text) }
	svc, err := customhooks.New(db, refundtest.New(), rules, opt, toBuyer)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "bank", Currency: "CNY", Total: 10000, PaidAt: paid,
	}); err != nil {
		fmt.Println(err)
		return
	}

	say := func(what string, r order.Refund, err error) {
		if err != nil {
			fmt.Printf("%s: %v\n", what, err)
			return
		}
		fmt.Printf("%s: %s\n", what, r.State)
	}
	fire := func(ev order.Event, by order.Actor, note string) {
		r, err := svc.Fire(ctx, refund.FireParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Event: ev, Actor: by, Note: note,
		})
		say(fmt.Sprintf("%s does %s", by, ev), r, err)
	}
	approve := func(by order.Actor) {
		r, err := svc.ApproveAndSend(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 8000, Actor: by,
		})
		say(fmt.Sprintf("%s approves", by), r, err)
	}

	r, err := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 8000, Actor: "buyer:42",
	})
	say("buyer:42 asks", r, err)
	approve("staff:7")
	fire(customhooks.EventAskReturn, "staff:7", "to the warehouse")
	approve("staff:7")
	fire(customhooks.EventGoodsArrived, "warehouse", "unworn")
	approve("staff:7")
	fire(customhooks.EventPropose, "staff:7", "")
	approve("staff:7")
	approve("staff:8")

	rows, err := db.Query(`SELECT seq, event, actor FROM audit ORDER BY seq`)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rows.Close()
	fmt.Println("audit:")
	for rows.Next() {
		var seq int
		var event, actor string
		if err := rows.Scan(&seq, &event, &actor); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("  %d %s by %s\n", seq, event, actor)
	}
	fmt.Println("end", rows.Err())
	// Output:
	// buyer:42 asks: refund_requested
	// staff:7 approves: approve refund R1 of order ORDER-1: vetoed: the goods must be back first: no payment within the last 168h0m0s is known
	//   to the buyer: please send the goods back: to the warehouse
	// staff:7 does ask_return: goods_returning
	// staff:7 approves: approve refund R1 of order ORDER-1: not allowed in state goods_returning (possible now: cancel, goods_arrived, reject)
	//   to the buyer: your goods have arrived
	// warehouse does goods_arrived: refund_requested
	// staff:7 approves: approve refund R1 of order ORDER-1: vetoed: refunds of 8000 in total need two people: propose it first
	// staff:7 does propose: second_review
	// staff:7 approves: approve refund R1 of order ORDER-1: vetoed: staff:7 proposed it: somebody else must approve
	//   to the buyer: 80.00 is on your account
	// staff:8 approves: refunded
	// audit:
	//   1 request_refund by buyer:42
	//   2 ask_return by staff:7
	//   3 goods_arrived by warehouse
	//   4 propose by staff:7
	//   5 approve by staff:8
	//   6 settle by provider
	// end <nil>
}
