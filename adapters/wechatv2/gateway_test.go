package wechatv2_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

func TestRefundAndQueryRoundTrip(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 17, 30, 0, 0, time.UTC)
	for _, signType := range []wechatv2.SignType{"", wechatv2.SignMD5, wechatv2.SignHMACSHA256} {
		for _, paymentID := range []string{"", "4200000000000000000000000007"} {
			t.Run(string(signType)+"/"+paymentID, func(t *testing.T) {
				t.Parallel()
				ctx := context.Background()
				srv := newServer(t, wechattest.Options{
					Now: func() time.Time { return now }, SettleAfter: time.Hour,
				})
				require.NoError(t, srv.AddOrder(wechattest.Order{
					OutTradeNo: "O2", TransactionID: "4200000000000000000000000007", TotalFee: 100,
				}))
				cfg := config(srv)
				cfg.SignType = signType
				cfg.NotifyURL = "https://shop.example/refunds"
				cfg.RefundAccount = wechatv2.RefundAccountRecharge
				g := newGateway(t, cfg)
				req := request()
				req.OrderID, req.PaymentID = "O2", paymentID
				orderID := "O2"
				if paymentID != "" {
					orderID = "" // the answer proves PaymentID
				}

				res, err := g.Query(ctx, req)
				require.NoError(t, err)
				require.Equal(t, refund.OutcomeNotFound, res.Outcome)

				want := refund.Result{
					Outcome: refund.OutcomeAccepted, RefundNo: "R1",
					OrderID: orderID, Amount: 30, ProviderRefundID: srv2id(1),
				}
				for range 2 { // the same number again is the same refund
					res, err = g.Refund(ctx, req)
					require.NoError(t, err)
					require.Equal(t, want, res)
				}
				res, err = g.Query(ctx, req)
				require.NoError(t, err)
				require.Equal(t, want, res)

				require.NoError(t, srv.Settle("R1", wechattest.StatusSuccess))
				want.Outcome, want.RefundedAt = refund.OutcomeSucceeded, now
				want.Recipient = "支付用户零钱"
				res, err = g.Query(ctx, req)
				require.NoError(t, err)
				require.Equal(t, want, res)
				require.EqualValues(t, 30, srv.Paid("R1"))
				require.EqualValues(t, 30, srv.PaidTotal("O2"))
			})
		}
	}
}

// srv2id returns the simulator's n-th refund_id.
func srv2id(n int) string { return "5000000000000000000000000000" + string(rune('0'+n)) }
