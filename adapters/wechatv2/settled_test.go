package wechatv2_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// TestRecipientAndSettledAreReported checks that the query, the list and the notification of a
// succeeded refund report where the money went and how much of it was money, without coupons that
// nobody paid for.
func TestRecipientAndSettledAreReported(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{SettleAfter: time.Hour})
	require.NoError(t, srv.AddOrder(wechattest.Order{
		OutTradeNo: "O2", TotalFee: 10000,
		Coupons: []wechattest.Coupon{
			{ID: "c1", Type: "NO_CASH", Fee: 1000},
			{ID: "c2", Type: "CASH", Fee: 2000},
		},
	}))
	g := newGateway(t, config(srv))
	req := refund.Request{
		OrderID: "O2", RefundNo: "R1", Amount: 3000, Total: 10000, Currency: "CNY",
	}

	res, err := g.Refund(ctx, req)
	require.NoError(t, err)
	requireUnsettled(t, refund.OutcomeAccepted, res)
	res, err = g.Query(ctx, req)
	require.NoError(t, err)
	requireUnsettled(t, refund.OutcomeAccepted, res)

	requireSettled := func(res refund.Result) {
		t.Helper()
		require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
		require.EqualValues(t, 3000, res.Amount)
		require.EqualValues(t, 2700, res.Settled, "300 were the coupon's")
		require.Equal(t, "支付用户零钱", res.Recipient)
	}
	require.NoError(t, srv.Settle("R1", wechattest.StatusSuccess))
	res, err = g.Query(ctx, req)
	require.NoError(t, err)
	requireSettled(res)
	all, err := g.List(ctx, req)
	require.NoError(t, err)
	require.Len(t, all, 1)
	requireSettled(all[0])

	body, err := srv.Notification("R1")
	require.NoError(t, err)
	notice, err := g.ReadNotification(post(body))
	require.NoError(t, err)
	requireSettled(notice.Result)
}

// TestOddDetailsDecideNothing checks that a settled amount that cannot be read is left out, and
// that the refund succeeds without it.
func TestOddDetailsDecideNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, err := g.Refund(ctx, request())
	require.NoError(t, err)
	for value, want := range map[string]int64{
		"": 0, "0": 0, "25": 25, "30": 30, "31": 0, "-1": 0, "+5": 0, "1e1": 0, "7.0": 0,
		"9223372036854775808": 0,
	} {
		for range 2 {
			srv.Inject(field("settlement_refund_fee_0", value))
		}
		res, err := g.Query(ctx, request())
		require.NoError(t, err, value)
		require.Equal(t, refund.OutcomeSucceeded, res.Outcome, value)
		require.Equal(t, want, res.Settled, value)
		all, err := g.List(ctx, wholeOrder())
		require.NoError(t, err, value)
		require.Equal(t, want, all[0].Settled, value)
	}
	long := strings.Repeat("零钱", 100)
	for value, want := range map[string]string{
		"": "", "招商银行信用卡0403": "招商银行信用卡0403", long: long[:255],
	} {
		srv.Inject(field("refund_recv_accout_0", value))
		res, err := g.Query(ctx, request())
		require.NoError(t, err)
		require.Equal(t, want, res.Recipient)
	}
	// Amounts that are not read may have any form.
	srv.Inject(field("cash_fee", "1e3").Field("coupon_refund_count", "-1"))
	res, err := g.Refund(ctx, request())
	require.NoError(t, err)
	requireUnsettled(t, refund.OutcomeAccepted, res)
}

// TestOnlyASuccessHasRecipientAndSettled checks that no other status reports money that has
// arrived, whatever its other fields are.
func TestOnlyASuccessHasRecipientAndSettled(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	_, err := g.Refund(ctx, request())
	require.NoError(t, err)
	for status, want := range map[string]refund.Outcome{
		"PROCESSING": refund.OutcomeAccepted, "REFUNDCLOSE": refund.OutcomeClosed,
		"CHANGE": refund.OutcomeAbnormal, "NEW": refund.OutcomeUnknown,
	} {
		srv.Inject(field("refund_status_0", status).
			Field("settlement_refund_fee_0", "25").Field("refund_recv_accout_0", "支付用户零钱"))
		all, err := g.List(ctx, wholeOrder())
		require.NoError(t, err)
		requireUnsettled(t, want, all[0])
	}
}

func requireUnsettled(t *testing.T, want refund.Outcome, res refund.Result) {
	t.Helper()
	require.Equal(t, want, res.Outcome)
	require.Empty(t, res.Recipient)
	require.Zero(t, res.Settled)
	require.Zero(t, res.RefundedAt)
}
