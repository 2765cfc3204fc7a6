package wechattest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// A refund without the merchant's certificate is refused, as the real service does.
func Example() {
	srv, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	client := newClient(srv, nil)
	resp, err := client.Post(srv.Config().BaseURL+wechattest.PathRefund, "text/xml",
		strings.NewReader("<xml></xml>"))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, http.StatusText(resp.StatusCode), resp.Header.Get("Content-Type"))
	// Output: 400 Bad Request text/html
}

// A notification that is not acknowledged is delivered again on the service's schedule, by the
// server's clock.
func ExampleServer_Deliver() {
	shop := httptest.NewServer(http.NotFoundHandler())
	defer shop.Close()
	srv, err := wechattest.NewServer(wechattest.Options{NotifyURL: shop.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	if err := srv.AddOrder(wechattest.Order{OutTradeNo: "ORD-1", TotalFee: 100}); err != nil {
		log.Fatal(err)
	}
	if err := srv.RefundInConsole("ORD-1", "CONSOLE-1", 30); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		for _, d := range srv.Deliver(context.Background()) {
			fmt.Println(d.OutRefundNo, d.Status, d.Attempt, d.Err, d.Next.Sub(d.At))
		}
		srv.Advance(15 * time.Second)
	}
	// Output:
	// CONSOLE-1 SUCCESS 1 notify: HTTP status 404 15s
	// CONSOLE-1 SUCCESS 2 notify: HTTP status 404 15s
	// CONSOLE-1 SUCCESS 3 notify: HTTP status 404 30s
}
