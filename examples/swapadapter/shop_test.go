package swapadapter_test

import (
	"context"
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
	yes = refund.ApproveParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Actor: "staff:7"}
)

// open is the shop with one paid order of 100, of which the buyer wants 30 back, and its gateways.
func open(t *testing.T, gateway string, g refund.RefundGateway, clock *refundtest.Clock) *swapadapter.Shop {
	t.Helper()
	shop, err := swapadapter.NewShop(memstore.New(), map[string]refund.RefundGateway{gateway: g}, refund.Options{Now: clock.Now})
	require.NoError(t, err)
	_, err = shop.Refunds.Register(ctx, refund.RegisterParams{OrderID: "ORDER-1", Gateway: gateway, Currency: "CNY", Total: 100})
	require.NoError(t, err)
	_, err = shop.Refunds.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Reason: "too small", Actor: "buyer:42"})
	require.NoError(t, err)
	return shop
}

func newClock() *refundtest.Clock {
	return refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
}

// told is the message for the clerk some time later, after a worker has asked.
func told(t *testing.T, shop *swapadapter.Shop, clock *refundtest.Clock, later time.Duration) string {
	t.Helper()
	require.NoError(t, refundtest.Pass(ctx, clock, shop.Refunds, later))
	o, err := shop.Refunds.Order(ctx, "ORDER-1")
	require.NoError(t, err)
	return swapadapter.Tell(*o.Refund("R1"))
}

// TestShopOnWeChat: the shop with the adapter that it has in production, against a WeChat Pay on
// this machine: TLS, signatures and XML are real.
func TestShopOnWeChat(t *testing.T) {
	t.Parallel()
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 100}))
	gw, err := wechatv2.New(wechatv2.Config{
		AppID: sim.AppID(), MchID: sim.MchID(), APIKey: sim.APIKey(),
		CertPEM: sim.ClientCertPEM(), KeyPEM: sim.ClientKeyPEM(), BaseURL: sim.URL(), RootCAs: sim.RootCAs(),
		Timeout: 3 * time.Minute,
	})
	require.NoError(t, err)
	t.Cleanup(gw.CloseIdleConnections)
	clock := newClock()
	shop := open(t, wechatv2.GatewayName, gw, clock)

	sim.Inject(wechattest.LoseAnswer())
	says, err := shop.GiveBack(ctx, yes)
	require.NoError(t, err)
	require.Equal(t, "on its way", says)
	require.Equal(t, "returned", told(t, shop, clock, time.Minute))
	require.EqualValues(t, 30, sim.PaidTotal("ORDER-1"))
}

// TestShopOnAcquirer: another provider, and no other line of the shop.
func TestShopOnAcquirer(t *testing.T) {
	t.Parallel()
	gw, bank := newAcquirer(t)
	bank.orders["ORDER-1"] = 100
	clock := newClock()
	shop := open(t, "acquirer", gw, clock)

	says, err := shop.GiveBack(ctx, yes)
	require.NoError(t, err)
	require.Equal(t, "on its way", says, "the acquirer answers 202")
	bank.Settle("R1")
	require.Equal(t, "returned", told(t, shop, clock, time.Minute))
	require.EqualValues(t, 30, bank.PaidTotal("ORDER-1"))
}

// TestShopOnFake: what the shop makes of everything that a provider can do, in no time and without
// a network.
func TestShopOnFake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script []refundtest.Step
		now    string // the first message for the clerk
		later  string // and an hour later
		paid   int64
	}{
		"paid at once":       {nil, "returned", "returned", 30},
		"accepted":           {[]refundtest.Step{refundtest.PayWhenAsked()}, "on its way", "returned", 30},
		"time-out, paid":     {[]refundtest.Step{refundtest.Pay().ThenFail(context.DeadlineExceeded)}, "on its way", "returned", 30},
		"time-out, not paid": {[]refundtest.Step{refundtest.Fail(context.DeadlineExceeded)}, "on its way", "returned", 30},
		"busy twice":         {[]refundtest.Step{refundtest.Busy(time.Minute), refundtest.Busy(time.Minute)}, "on its way", "returned", 30},
		"certificate":        {[]refundtest.Step{refundtest.SetupFault()}, "on its way", "returned", 30},
		"takes long":         {[]refundtest.Step{refundtest.Accept()}, "on its way", "on its way", 0},
		"no":                 {[]refundtest.Step{refundtest.Decline("NOTENOUGH")}, "refused: NOTENOUGH", "refused: NOTENOUGH", 0},
		"a no after a time-out": {
			[]refundtest.Step{refundtest.Fail(context.DeadlineExceeded), refundtest.Decline("NOTENOUGH")},
			"on its way", "refused: NOTENOUGH", 0,
		},
		"cannot arrive": {[]refundtest.Step{refundtest.Abnormal()}, "could not reach the buyer, accounting has it", "could not reach the buyer, accounting has it", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw, clock := refundtest.New(), newClock()
			gw.NextRefund(c.script...)
			shop := open(t, "fake", gw, clock)
			says, err := shop.GiveBack(ctx, yes)
			require.NoError(t, err)
			require.Equal(t, c.now, says)
			require.Equal(t, c.later, told(t, shop, clock, time.Hour))
			require.Equal(t, c.paid, gw.PaidTotal("ORDER-1"))
			require.Zero(t, gw.Unused(), "the script was played to its end: %v", gw.Calls())
		})
	}
}

func TestShopRefuses(t *testing.T) {
	t.Parallel()
	_, err := swapadapter.NewShop(memstore.New(), nil, refund.Options{})
	require.ErrorIs(t, err, refund.ErrInvalid)
	_, err = swapadapter.NewShop(nil, map[string]refund.RefundGateway{"fake": refundtest.New()}, refund.Options{})
	require.ErrorIs(t, err, refund.ErrInvalid)

	gw := refundtest.New()
	shop := open(t, "fake", gw, newClock())
	stale := yes
	stale.Amount++
	_, err = shop.GiveBack(ctx, stale)
	require.ErrorIs(t, err, refund.ErrConflict)
	require.Empty(t, gw.Calls())
	require.Equal(t, "rejected", swapadapter.Tell(order.Refund{State: order.StateRejected}))
}

// A test of the shop's own: the line is down while the provider pays.
func Example() {
	gw, clock := refundtest.New(), newClock()
	shop, err := swapadapter.NewShop(memstore.New(), map[string]refund.RefundGateway{"fake": gw}, refund.Options{Now: clock.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = shop.Refunds.Register(ctx, refund.RegisterParams{OrderID: "ORDER-1", Gateway: "fake", Currency: "CNY", Total: 100})
	_, _ = shop.Refunds.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 30, Actor: "buyer:42"})

	gw.NextRefund(refundtest.Pay().ThenFail(context.DeadlineExceeded))
	says, err := shop.GiveBack(ctx, yes)
	fmt.Println(says, err)

	err = refundtest.Pass(ctx, clock, shop.Refunds, time.Minute)
	o, _ := shop.Refunds.Order(ctx, "ORDER-1")
	fmt.Println(swapadapter.Tell(*o.Refund("R1")), err)
	fmt.Println(gw.Calls(), "paid", gw.Paid("R1"))
	// Output:
	// on its way <nil>
	// returned <nil>
	// [refund R1 query R1] paid 30
}
