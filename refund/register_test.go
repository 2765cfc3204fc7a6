package refund_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestRegisterUnknownGateway: the mistake is found when the order is registered, not when the buyer
// asks. An order whose gateway was removed is still found.
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

// TestActorProvider: a host cannot act as the provider.
func TestActorProvider(t *testing.T) {
	e := newEnv(t)
	e.register()
	for _, amount := range []int64{10, 20} {
		_, err := e.svc.Request(
			bg,
			refund.RequestParams{
				Ref: refund.Ref{OrderID: "O1"}, Amount: amount, Actor: order.ActorProvider,
			},
		)
		require.ErrorIs(t, err, order.ErrInvalid)
	}
	_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1("R1"), Amount: 10, Actor: "buyer:1"})
	require.NoError(t, err)
	_, err = e.svc.Approve(
		bg, refund.ApproveParams{Ref: o1("R1"), Amount: 10, Actor: order.ActorProvider},
	)
	require.ErrorIs(t, err, order.ErrInvalid)
	_, err = e.svc.Resolve(bg, refund.ResolveParams{
		Ref: o1("R1"), Resolution: refund.ResolutionPaid, Evidence: "ticket 7",
		Actor: order.ActorProvider,
	})
	require.ErrorIs(t, err, order.ErrInvalid)
	o, err := e.svc.Order(bg, "O1")
	require.NoError(t, err)
	require.Len(t, o.History, 1)
}

func TestRegisterSaysWhatIsWrong(t *testing.T) {
	e := newEnv(t)
	good := refund.RegisterParams{OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000}
	router, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": e.bank})
	require.NoError(t, err)
	down := errors.New("down")
	broken, err := refund.NewService(
		e.machine, createFails{e.store, down}, e.bank, refund.Options{},
	)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		s      *refund.Service
		change func(*refund.RegisterParams)
		is     error
		says   string
	}{
		"no ID": {
			e.svc, func(p *refund.RegisterParams) { p.OrderID = "" }, order.ErrInvalid,
			"register order: id: must have 1 to 64 bytes, has 0",
		},
		"a gateway that is not there": {
			e.service(router, refund.Options{}),
			func(p *refund.RegisterParams) { p.OrderID, p.Gateway = "O2", "other" },
			refund.ErrUnknownGateway, `register order O2: gateway "other": unknown gateway`,
		},
		"other terms": {
			e.svc, func(p *refund.RegisterParams) { p.Total++ }, order.ErrConflict,
			"register order O1: it is registered with another total: conflict",
		},
		"the store": {
			broken, func(p *refund.RegisterParams) { p.OrderID = "O2" }, down,
			"register order O2: down",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.svc.Register(bg, good)
			require.NoError(t, err)
			p := good
			tc.change(&p)
			o, err := tc.s.Register(bg, p)
			require.Nil(t, o)
			require.ErrorIs(t, err, tc.is)
			require.EqualError(t, err, tc.says)
		})
	}
}

// createFails is a store that cannot create.
type createFails struct {
	refund.Store
	err error
}

func (s createFails) Create(context.Context, *order.Order) error { return s.err }
