package refund_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestRegisterUnknownGateway: the slip is found when the order is registered, not when the buyer asks; an order that
// has outlived its gateway is still found.
func TestRegisterUnknownGateway(t *testing.T) {
	store := memstore.New()
	service := func(names ...string) *refund.Service {
		byName := map[string]refund.RefundGateway{}
		for _, name := range names {
			byName[name] = refundtest.New()
		}
		gateways, err := refund.NewGateways(byName)
		require.NoError(t, err)
		m, err := order.NewMachine(order.Options{})
		require.NoError(t, err)
		svc, err := refund.NewService(m, store, gateways, refund.Options{})
		require.NoError(t, err)
		return svc
	}
	p := refund.RegisterParams{OrderID: "O1", Gateway: "wechat", Currency: "CNY", Total: 100}
	_, err := service("alipay").Register(bg, p)
	require.ErrorIs(t, err, refund.ErrUnknownGateway)
	_, err = store.Get(bg, "O1")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)

	first, err := service("alipay", "wechat").Register(bg, p)
	require.NoError(t, err)
	again, err := service("alipay").Register(bg, p)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// TestActorProvider: nobody decides in the provider's name.
func TestActorProvider(t *testing.T) {
	e := newEnv(t)
	e.register()
	for _, amount := range []int64{10, 20} {
		_, err := e.svc.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1"}, Amount: amount, Actor: order.ActorProvider})
		require.ErrorIs(t, err, refund.ErrInvalid)
	}
	_, err := e.svc.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 10, Actor: "buyer:1"})
	require.NoError(t, err)
	_, err = e.svc.Approve(bg, refund.ApproveParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 10, Actor: order.ActorProvider})
	require.ErrorIs(t, err, refund.ErrInvalid)
	_, err = e.svc.Resolve(bg, refund.ResolveParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Resolution: refund.ResolutionPaid, Evidence: "ticket 7", Actor: order.ActorProvider,
	})
	require.ErrorIs(t, err, refund.ErrInvalid)
	o, err := e.svc.Order(bg, "O1")
	require.NoError(t, err)
	require.Len(t, o.History, 1)
}
