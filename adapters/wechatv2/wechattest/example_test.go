package wechattest_test

import (
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// A refund without the merchant's certificate gets as far as with the real service.
func Example() {
	srv, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	client := newClient(srv, nil)
	resp, err := client.Post(srv.URL()+wechattest.PathRefund, "text/xml", strings.NewReader("<xml></xml>"))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, http.StatusText(resp.StatusCode), resp.Header.Get("Content-Type"))
	// Output: 400 Bad Request text/html
}
