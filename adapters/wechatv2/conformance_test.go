package wechatv2_test

import (
	"fmt"
	"testing"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/internal/wechatsuite"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestConformance runs the gateway suite over TLS, with both signatures and both ways to name an
// order.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, signType := range []wechatv2.SignType{wechatv2.SignMD5, wechatv2.SignHMACSHA256} {
		for _, byPayment := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/by_payment=%v", signType, byPayment), func(t *testing.T) {
				t.Parallel()
				start := func(t *testing.T) (refund.RefundGateway, gatewaytest.Provider) {
					srv := newServer(t, wechattest.Options{})
					cfg := config(srv)
					cfg.SignType = signType
					return newGateway(t, cfg), &wechatsuite.Provider{
						Server: srv, T: t, ByPayment: byPayment,
					}
				}
				gatewaytest.Run(t, gatewaytest.Harness{New: start})
			})
		}
	}
}
