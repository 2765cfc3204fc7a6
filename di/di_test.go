package di_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/di"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func config(sim *wechattest.Server) wechatv2.Config {
	cfg := sim.Config()
	cfg.Timeout = 3 * time.Minute
	return cfg
}

// byHand is what NewInMemoryWeChat does, written without wire.
func byHand(cfg wechatv2.Config, opt refund.Options) (*refund.Service, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	gateway, err := wechatv2.New(cfg)
	if err != nil {
		return nil, err
	}
	return refund.NewService(machine, memstore.New(), gateway, opt)
}

// The injector and the function written by hand do the same.
func ExampleNewInMemoryWeChat() {
	sim, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	_ = sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 100})
	_ = sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-2", TotalFee: 100})

	for i, inject := range []func(wechatv2.Config, refund.Options) (*refund.Service, error){
		di.NewInMemoryWeChat, byHand,
	} {
		svc, err := inject(config(sim), refund.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx, id := context.Background(), fmt.Sprintf("ORDER-%d", i+1)
		_, _ = svc.Register(ctx, refund.RegisterParams{
			OrderID: id, Gateway: "wechatv2", Currency: "CNY", Total: 100,
		})
		r, _ := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: id}, Amount: 30, Actor: "buyer:1",
		})
		r, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: r.No}, Amount: 30, Actor: "staff:1",
		})
		fmt.Println(r.State, err, sim.PaidTotal(id))
	}
	// Output:
	// approved <nil> 30
	// approved <nil> 30
}

func TestFaultsOfTheConfigComeOut(t *testing.T) {
	_, err := di.NewInMemoryWeChat(wechatv2.Config{}, refund.Options{})
	require.ErrorIs(t, err, order.ErrInvalid)
	require.ErrorContains(t, err, "mch_id")
	_, err = di.NewService(nil, nil, refund.Options{})
	require.ErrorContains(t, err, "store: is nil")
	require.ErrorContains(t, err, "gateway: is nil")
}

// appByHand is what NewApp does, written without wire.
func appByHand(
	store refund.Store, gateway refund.RefundGateway, opt refund.Options, polling poller.Options,
) (*di.App, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	svc, err := refund.NewService(machine, store, gateway, opt)
	if err != nil {
		return nil, err
	}
	p, err := poller.New(svc, polling)
	if err != nil {
		return nil, err
	}
	return &di.App{Service: svc, Poller: p}, nil
}

// serviceByHand is what NewService does, written without wire.
func serviceByHand(
	store refund.Store, gateway refund.RefundGateway, opt refund.Options,
) (*refund.Service, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	return refund.NewService(machine, store, gateway, opt)
}

// The store and the gateway may be the host's own.
func ExampleNewService() {
	for _, inject := range []func(
		refund.Store, refund.RefundGateway, refund.Options,
	) (*refund.Service, error){di.NewService, serviceByHand} {
		svc, err := inject(memstore.New(), refundtest.New(), refund.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx := context.Background()
		_, _ = svc.Register(ctx, refund.RegisterParams{
			OrderID: "ORDER-1", Gateway: "g", Currency: "CNY", Total: 100,
		})
		r, _ := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 30, Actor: "buyer:1",
		})
		r, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: r.No}, Amount: 30, Actor: "staff:1",
		})
		fmt.Println(r.State, err)
	}
	// Output:
	// refunded <nil>
	// refunded <nil>
}

func ExampleNewApp() {
	for _, inject := range []func(
		refund.Store, refund.RefundGateway, refund.Options, poller.Options,
	) (*di.App, error){di.NewApp, appByHand} {
		settled := make(chan string)
		store := memstore.New()
		app, err := inject(store, refundtest.New(), refund.Options{
			Hooks: []refund.Hooks{{After: func(
				_ context.Context, o *order.Order, t order.Transition,
			) {
				if t.Event == order.EventSettle {
					settled <- fmt.Sprintf("%s is %s", o.ID, o.State)
				}
			}}},
		}, poller.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- app.Poller.Run(ctx) }()

		_, _ = app.Service.Register(ctx, refund.RegisterParams{
			OrderID: "ORDER-1", Gateway: "g", Currency: "CNY", Total: 100,
		})
		r, _ := app.Service.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 100, Actor: "buyer:1",
		})
		_, _ = app.Service.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: r.No}, Amount: 100, Actor: "staff:1",
		})
		fmt.Println(<-settled)
		cancel()
		fmt.Println(<-ran)
	}
	// Output:
	// ORDER-1 is refunded
	// <nil>
	// ORDER-1 is refunded
	// <nil>
}

// TestTwins checks that every injector has an example, which compares it with a function written by
// hand.
func TestTwins(t *testing.T) {
	injectors, err := os.ReadFile("wire.go")
	require.NoError(t, err)
	tests, err := os.ReadFile("di_test.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^func (New\w+)\(`).FindAllStringSubmatch(string(injectors), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Contains(t, string(tests), "func Example"+name[1]+"() {")
	}
}

func TestFaultsOfTheAppComeOut(t *testing.T) {
	_, err := di.NewApp(
		memstore.New(), refundtest.New(), refund.Options{}, poller.Options{Batch: -1})
	require.ErrorContains(t, err, "batch: is negative")
	_, err = di.NewApp(nil, refundtest.New(), refund.Options{}, poller.Options{})
	require.ErrorContains(t, err, "store: is nil")
}
