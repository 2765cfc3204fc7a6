package wechatv2_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestCheckRefusesWhatWeChatPayWould checks the forms of a request, and that a refused one is not
// sent.
func TestCheckRefusesWhatWeChatPayWould(t *testing.T) {
	t.Parallel()
	g := newGateway(t, config(newServer(t, wechattest.Options{})))
	long := strings.Repeat("1", 65)
	tests := []struct {
		name, field string
		change      func(*refund.Request)
	}{
		{"as it is", "", func(*refund.Request) {}},
		{"every character", "", func(r *refund.Request) {
			r.RefundNo, r.OrderID = "aZ09_-|*@", "aZ09_-|*@"
		}},
		{"longest", "", func(r *refund.Request) { r.RefundNo, r.OrderID = long[:64], long[:32] }},
		{"whole order", "", func(r *refund.Request) { r.Amount = 100 }},
		{"payment alone", "", func(r *refund.Request) { r.OrderID, r.PaymentID = "", "42" }},
		{"payment and foreign order number", "", func(r *refund.Request) {
			r.OrderID, r.PaymentID = long, "42"
		}},
		{"no refund number", "refund_no", func(r *refund.Request) { r.RefundNo = "" }},
		{"long refund number", "refund_no", func(r *refund.Request) { r.RefundNo = long }},
		{"strange refund number", "refund_no", func(r *refund.Request) { r.RefundNo = "R/1" }},
		{"space in the refund number", "refund_no", func(r *refund.Request) { r.RefundNo = "R 1" }},
		{"no order", "order_id", func(r *refund.Request) { r.OrderID = "" }},
		{"long order", "order_id", func(r *refund.Request) { r.OrderID = long[:33] }},
		{"strange order", "order_id", func(r *refund.Request) { r.OrderID = "单1" }},
		{"longest payment", "", func(r *refund.Request) { r.PaymentID = long[:32] }},
		{"long payment", "payment_id", func(r *refund.Request) { r.PaymentID = long[:33] }},
		{"strange payment", "payment_id", func(r *refund.Request) { r.PaymentID = "4-2" }},
		{"nothing", "amount", func(r *refund.Request) { r.Amount = 0 }},
		{"less than nothing", "amount", func(r *refund.Request) { r.Amount = -1 }},
		{"more than the total", "amount", func(r *refund.Request) { r.Amount = 101 }},
		{"no total", "total", func(r *refund.Request) { r.Total = 0 }},
		{"other currency", "currency", func(r *refund.Request) { r.Currency = "USD" }},
		{"no currency", "currency", func(r *refund.Request) { r.Currency = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := request()
			tt.change(&req)
			err := g.Check(req)
			if tt.field == "" {
				require.NoError(t, err)
				return
			}
			var invalid *order.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.ErrorIs(t, err, order.ErrInvalid)
			require.ErrorContains(t, err, tt.field+": ")
			_, err = g.Refund(context.Background(), req)
			require.ErrorIs(t, err, order.ErrInvalid, "not sent")
		})
	}
	unnamed := request()
	unnamed.RefundNo = ""
	_, err := g.Query(context.Background(), unnamed)
	require.ErrorContains(t, err, "refund_no: ", "a query needs the refund number")
}
