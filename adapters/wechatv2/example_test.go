package wechatv2_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// The example uses the simulator, whose Config is complete. In production set AppID, MchID, APIKey,
// CertFile and KeyFile.
func Example() {
	srv, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	if err := srv.AddOrder(wechattest.Order{OutTradeNo: "O1", TotalFee: 100}); err != nil {
		log.Fatal(err)
	}

	cfg := srv.Config()
	cfg.SignType = wechatv2.SignHMACSHA256
	gateway, err := wechatv2.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	req := refund.Request{
		OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "CNY",
		Reason: "changed my mind",
	}

	// The answer is lost after the money has moved: the outcome is unknown. Call again with the
	// same number.
	srv.Inject(wechattest.LoseAnswer())
	_, err = gateway.Refund(ctx, req)
	fmt.Println("lost:", err != nil)
	res, err := gateway.Refund(ctx, req)
	fmt.Println(res.Outcome, err)
	res, err = gateway.Query(ctx,
		refund.Request{OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "CNY"})
	fmt.Println(res.Outcome, err)
	fmt.Println("paid:", srv.Paid("R1"))
	// Output:
	// lost: true
	// accepted <nil>
	// succeeded <nil>
	// paid: 30
}

func ExampleExplain() {
	advice, known := wechatv2.Explain("NOTENOUGH")
	fmt.Println(known, advice.Person)
	fmt.Println(advice.Text)
	// Output:
	// true true
	// The merchant's funds do not cover the refund. Top up, then retry this refund: it keeps its number.
}

// New reports all faults of a Config at once, without its secrets.
func ExampleNew() {
	_, err := wechatv2.New(wechatv2.Config{
		AppID: "wx0000000000000001", MchID: "1000000001", APIKey: "too short",
		BaseURL:  "http://localhost",
		CertFile: "apiclient_cert.pem", KeyPEM: []byte("..."),
	})
	fmt.Println(errors.Is(err, order.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// configure the wechat pay gateway: base_url: must be an https address without user, query and fragment
	// api_key: must be 32 letters and digits, has 9 bytes
	// cert_pem: read the file: open apiclient_cert.pem: no such file or directory
}
