package swapadapter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/examples/swapadapter"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var (
	ctx = context.Background()
	yes = refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Actor: "staff:7",
	}
)

// open returns the shop with one paid order of 100. The buyer has requested a refund of 30.
func open(
	t *testing.T, gateway string, g refund.RefundGateway, clock *refundtest.Clock,
) *swapadapter.Shop {
	t.Helper()
	gateways := map[string]refund.RefundGateway{gateway: g}
	shop, err := swapadapter.NewShop(memstore.New(), gateways, refund.Options{Now: clock.Now})
	require.NoError(t, err)
	_, err = shop.Refunds.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: gateway, Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	_, err = shop.Refunds.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Reason: "too small",
		Actor: "buyer:42",
	})
	require.NoError(t, err)
	return shop
}

func newClock() *refundtest.Clock {
	return refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
}

// messageAfter returns the message for the clerk some time later, after a worker queried.
func messageAfter(
	t *testing.T, shop *swapadapter.Shop, clock *refundtest.Clock, later time.Duration,
) string {
	t.Helper()
	require.NoError(t, refundtest.Pass(ctx, clock, shop.Refunds, later))
	o, err := shop.Refunds.Order(ctx, "ORDER-1")
	require.NoError(t, err)
	return swapadapter.Describe(*o.Refund("R1"))
}

// TestShopOnWeChat runs the shop with its production adapter against a WeChat Pay simulator. TLS,
// signatures and XML are real.
func TestShopOnWeChat(t *testing.T) {
	t.Parallel()
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 100}))
	cfg := sim.Config()
	cfg.Timeout = 3 * time.Minute
	gw, err := wechatv2.New(cfg)
	require.NoError(t, err)
	t.Cleanup(gw.CloseIdleConnections)
	clock := newClock()
	shop := open(t, wechatv2.GatewayName, gw, clock)

	sim.Inject(wechattest.LoseAnswer())
	message, err := shop.GiveBack(ctx, yes)
	require.NoError(t, err)
	require.Equal(t, "on its way", message)
	require.Equal(t, "returned", messageAfter(t, shop, clock, time.Minute))
	require.EqualValues(t, 30, sim.PaidTotal("ORDER-1"))
}

// TestShopOnAcquirer runs the same shop on another provider.
func TestShopOnAcquirer(t *testing.T) {
	t.Parallel()
	gw, bank := newAcquirer(t)
	bank.orders["ORDER-1"] = 100
	clock := newClock()
	shop := open(t, "acquirer", gw, clock)

	message, err := shop.GiveBack(ctx, yes)
	require.NoError(t, err)
	require.Equal(t, "on its way", message, "the acquirer answers 202")
	bank.Settle("R1")
	require.Equal(t, "returned", messageAfter(t, shop, clock, time.Minute))
	require.EqualValues(t, 30, bank.PaidTotal("ORDER-1"))
}

// TestShopOnFake checks the shop's messages for every behaviour of a provider, without a network.
func TestShopOnFake(t *testing.T) {
	t.Parallel()
	busy := &refund.BusyError{After: time.Minute, Account: true, Err: errors.New("too many calls")}
	for name, c := range map[string]struct {
		script []refundtest.Step
		now    string // the first message for the clerk
		later  string // the message an hour later
		paid   int64
	}{
		"paid at once":       {nil, "returned", "returned", 30},
		"accepted":           {[]refundtest.Step{refundtest.PayWhenAsked()}, "on its way", "returned", 30},
		"time-out, paid":     {[]refundtest.Step{refundtest.Pay().ThenFail(context.DeadlineExceeded)}, "on its way", "returned", 30},
		"time-out, not paid": {[]refundtest.Step{refundtest.Fail(context.DeadlineExceeded)}, "on its way", "returned", 30},
		"busy twice":         {[]refundtest.Step{refundtest.Fail(busy), refundtest.Fail(busy)}, "on its way", "returned", 30},
		"certificate":        {[]refundtest.Step{refundtest.Fail(&refund.SetupError{Err: errors.New("expired")})}, "on its way", "returned", 30},
		"takes long":         {[]refundtest.Step{refundtest.Accept()}, "on its way", "on its way", 0},
		"refusal":            {[]refundtest.Step{refundtest.Decline("NOTENOUGH")}, "refused: NOTENOUGH", "refused: NOTENOUGH", 0},
		"a refusal after a time-out": {
			[]refundtest.Step{refundtest.Fail(context.DeadlineExceeded), refundtest.Decline("NOTENOUGH")},
			"on its way", "refused: NOTENOUGH", 0,
		},
		"cannot arrive": {[]refundtest.Step{refundtest.Abnormal()}, "could not reach the buyer, accounting takes care of it", "could not reach the buyer, accounting takes care of it", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw, clock := refundtest.New(), newClock()
			gw.NextRefund(c.script...)
			shop := open(t, "fake", gw, clock)
			message, err := shop.GiveBack(ctx, yes)
			require.NoError(t, err)
			require.Equal(t, c.now, message)
			require.Equal(t, c.later, messageAfter(t, shop, clock, time.Hour))
			require.Equal(t, c.paid, gw.PaidTotal("ORDER-1"))
			require.Zero(t, gw.Unused(), "steps of the script were not used: %v", gw.Calls())
		})
	}
}

func TestShopRefuses(t *testing.T) {
	t.Parallel()
	_, err := swapadapter.NewShop(memstore.New(), nil, refund.Options{})
	require.ErrorIs(t, err, order.ErrInvalid)
	gateways := map[string]refund.RefundGateway{"fake": refundtest.New()}
	_, err = swapadapter.NewShop(nil, gateways, refund.Options{})
	require.ErrorIs(t, err, order.ErrInvalid)

	gw := refundtest.New()
	shop := open(t, "fake", gw, newClock())
	stale := yes
	stale.Amount++
	_, err = shop.GiveBack(ctx, stale)
	require.ErrorIs(t, err, order.ErrConflict)
	require.Empty(t, gw.Calls())
	require.Equal(t, "rejected", swapadapter.Describe(order.Refund{State: order.StateRejected}))
}

// The provider pays, but its answer is lost.
func Example() {
	gw, clock := refundtest.New(), newClock()
	gateways := map[string]refund.RefundGateway{"fake": gw}
	shop, err := swapadapter.NewShop(memstore.New(), gateways, refund.Options{Now: clock.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = shop.Refunds.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "fake", Currency: "CNY", Total: 100,
	})
	_, _ = shop.Refunds.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Actor: "buyer:42",
	})

	gw.NextRefund(refundtest.Pay().ThenFail(context.DeadlineExceeded))
	message, err := shop.GiveBack(ctx, yes)
	fmt.Println(message, err)

	err = refundtest.Pass(ctx, clock, shop.Refunds, time.Minute)
	o, _ := shop.Refunds.Order(ctx, "ORDER-1")
	fmt.Println(swapadapter.Describe(*o.Refund("R1")), err)
	fmt.Println(gw.Calls(), "paid", gw.Paid("R1"))
	// Output:
	// on its way <nil>
	// returned <nil>
	// [refund R1 query R1] paid 30
}
