package refund_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestGatewaysRoute(t *testing.T) {
	a, b := newBank(), newBank()
	byName := map[string]refund.RefundGateway{"a": a.Plain(), "b": b}
	b.SetCheck(checkLuck)
	g, err := refund.NewGateways(byName)
	require.NoError(t, err)
	delete(byName, "b") // has no effect
	_, err = g.Refund(bg, refund.Request{Gateway: "b", OrderID: "O1", RefundNo: "R1", Amount: 1})
	require.NoError(t, err)
	_, err = g.Query(bg, refund.Request{Gateway: "a", OrderID: "O1", RefundNo: "R1", Amount: 1})
	require.NoError(t, err)
	require.Equal(t, []string{"refund R1"}, called(b))
	require.Equal(t, []string{"query R1"}, called(a))

	_, err = g.Refund(bg, refund.Request{Gateway: "c"})
	require.ErrorIs(t, err, refund.ErrSetup)
	require.ErrorIs(t, err, refund.ErrUnknownGateway)
	_, err = g.Query(bg, refund.Request{Gateway: "c"})
	require.ErrorIs(t, err, refund.ErrSetup)
	_, err = g.Route("c")
	require.ErrorIs(t, err, refund.ErrUnknownGateway)
}

// TestRoutedGatewaysKeepTheirInterfaces: the Service finds the optional interfaces of a gateway
// behind a Router. A new optional interface of the port fails here until it does.
func TestRoutedGatewaysKeepTheirInterfaces(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var optional []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(
			`// (\w+) is an optional interface of a \[RefundGateway\]`,
		).FindAllSubmatch(source, -1) {
			optional = append(optional, string(m[1]))
		}
	}
	require.ElementsMatch(
		t, []string{"Checker", "Lister", "Limiter", "NotificationReader", "Router"}, optional,
	)

	inner := refundtest.New() // implements all of them
	inner.SetLimits(refund.Limits{MaxRefunds: 1})
	inner.SetCheck(func(req refund.Request) error {
		if req.RefundNo == "unlucky" {
			return errLost
		}
		return nil
	})
	outer, err := refund.NewGateways(map[string]refund.RefundGateway{
		"bank": inner, "plain": inner.Plain(),
	})
	require.NoError(t, err)
	svc := newEnv(t).service(outer, refund.Options{})
	for _, gateway := range []string{"bank", "plain"} {
		_, err = svc.Register(bg, refund.RegisterParams{
			OrderID: gateway, Gateway: gateway, Currency: "CNY", Total: 100,
		})
		require.NoError(t, err)
		require.NoError(t, inner.RefundInConsole(gateway, "C-"+gateway, 1))
	}
	ask := func(gateway, number string) error {
		_, err := svc.Request(bg, refund.RequestParams{
			Ref: refund.Ref{OrderID: gateway, RefundNo: number}, Amount: 1, Actor: buyer,
		})
		return err
	}
	require.ErrorIs(t, ask("bank", "unlucky"), errLost)
	require.NoError(t, ask("plain", "unlucky"))
	require.NoError(t, ask("bank", "R1"))
	require.ErrorIs(t, ask("bank", "R2"), refund.ErrLimit)
	require.NoError(t, ask("plain", "R3"))
	for gateway, lists := range map[string]bool{"bank": true, "plain": false} {
		rep, err := svc.Sync(bg, gateway)
		require.NoError(t, err)
		require.Equal(t, lists, rep.Complete)
		require.Equal(t, lists, len(rep.Adopted) == 1)
	}

	// A notification does not say by itself which gateway it is for: the endpoint does.
	_, err = svc.NotificationHandler("bank")
	require.NoError(t, err)
	_, err = svc.NotificationHandler("plain")
	require.ErrorIs(t, err, refund.ErrUnsupported)
}

func TestUnknownGatewayIsRefusedWhenAsked(t *testing.T) {
	e := newEnv(t)
	e.register()
	g, err := refund.NewGateways(map[string]refund.RefundGateway{"other": e.bank})
	require.NoError(t, err)
	_, err = request(1, "r").do(bg, e.service(g, refund.Options{}))
	require.ErrorIs(t, err, refund.ErrUnknownGateway)
	require.Empty(t, e.order().Refunds)
	_, err = e.service(g, refund.Options{}).Sync(bg, "O1")
	require.ErrorIs(t, err, refund.ErrSetup)
	require.EqualError(t, err,
		`sync order O1: set-up of gateway "bank": gateway "bank": unknown gateway`)
}

func TestNewGatewaysRefuses(t *testing.T) {
	_, err := refund.NewGateways(nil)
	require.ErrorIs(t, err, order.ErrInvalid)
	_, err = refund.NewGateways(map[string]refund.RefundGateway{"a": nil})
	require.ErrorIs(t, err, order.ErrInvalid)
}

func TestNewServiceNamesEveryFault(t *testing.T) {
	_, err := refund.NewService(nil, nil, nil, refund.Options{
		Lease: time.Second, CallTimeout: time.Second, QuietPeriod: -1, SetupBackoff: -1,
		AlertAfter: -1,
	})
	require.ErrorIs(t, err, order.ErrInvalid)
	for _, field := range []string{
		"machine", "store", "gateway", "lease", "quiet_period", "setup_backoff", "alert_after",
	} {
		require.ErrorContains(t, err, field+": ")
	}
}

func TestRegister(t *testing.T) {
	e := newEnv(t)
	p := refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
		PaidAt: time.Date(2026, 1, 1, 8, 0, 0, 123456789, time.FixedZone("UTC+8", 8*3600)),
	}
	first, err := e.svc.Register(bg, p)
	require.NoError(t, err)
	require.Equal(
		t, time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC), first.PaidAt,
		"UTC, in microseconds",
	)
	again, err := e.svc.Register(bg, p)
	require.NoError(t, err)
	require.Equal(t, first, again)
	for name, change := range map[string]func(*refund.RegisterParams){
		"gateway":    func(p *refund.RegisterParams) { p.Gateway = "other" },
		"payment_id": func(p *refund.RegisterParams) { p.PaymentID = "P2" },
		"currency":   func(p *refund.RegisterParams) { p.Currency = "USD" },
		"total":      func(p *refund.RegisterParams) { p.Total++ },
		"paid_at":    func(p *refund.RegisterParams) { p.PaidAt = p.PaidAt.Add(time.Second) },
	} {
		other := p
		change(&other)
		_, err := e.svc.Register(bg, other)
		require.ErrorIs(t, err, order.ErrConflict, name)
	}
	for field, change := range map[string]func(*refund.RegisterParams){
		"id":         func(p *refund.RegisterParams) { p.OrderID = "" },
		"gateway":    func(p *refund.RegisterParams) { p.Gateway = "We Chat" },
		"payment_id": func(p *refund.RegisterParams) { p.PaymentID = "\x00" },
		"currency":   func(p *refund.RegisterParams) { p.Currency = "cny" },
		"total":      func(p *refund.RegisterParams) { p.Total = 0 },
	} {
		bad := p
		bad.OrderID = "O2"
		change(&bad)
		_, err := e.svc.Register(bg, bad)
		var invalid *order.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, field, invalid.Field)
	}
}

func TestErrorsMatchThroughWraps(t *testing.T) {
	for sentinel, err := range map[error]error{
		refund.ErrSetup:    &refund.SetupError{Gateway: "g", Err: errLost},
		refund.ErrBusy:     &refund.BusyError{After: time.Second, Err: errLost},
		refund.ErrMismatch: &refund.MismatchError{Field: "amount", Want: "1", Got: "2"},
		refund.ErrLimit:    &refund.LimitError{Ref: o1("R1"), Limit: "max_age"},
	} {
		wrapped := fmt.Errorf("b: %w", fmt.Errorf("a: %w", err))
		require.ErrorIs(t, wrapped, sentinel)
		if !errors.Is(sentinel, refund.ErrMismatch) && !errors.Is(sentinel, refund.ErrLimit) {
			require.ErrorIs(t, wrapped, errLost)
		}
	}
}

// TestFireForTheHostsOwnEvents: Fire takes the events of Options.Rows. The core events have
// methods.
func TestFireForTheHostsOwnEvents(t *testing.T) {
	m, err := order.NewMachine(order.Options{Rows: []order.Row{
		{Event: "await_goods", From: order.StateRefundRequested, To: "goods_returning"},
		{Event: order.EventApprove, From: "goods_returning", To: order.StateApproved},
	}})
	require.NoError(t, err)
	e := newEnv(t)
	e.machine = m
	e.store = memstore.New()
	e.svc = e.service(e.bank, refund.Options{Now: e.clock.Now})
	e.register()
	_, err = request(4000, "r").do(bg, e.svc)
	require.NoError(t, err)
	r, err := e.svc.Fire(bg, refund.FireParams{Ref: o1("R1"), Event: "await_goods", Actor: seller})
	require.NoError(t, err)
	require.Equal(t, order.State("goods_returning"), r.State)
	require.EqualValues(t, 4000, e.order().Reserved)
	_, err = e.svc.Fire(bg, refund.FireParams{Ref: o1("R1"), Event: "await_goods", Actor: seller})
	require.ErrorIs(t, err, order.ErrTransition)
	for _, row := range m.Rows() {
		if row.Event != "await_goods" {
			_, err = e.svc.Fire(
				bg, refund.FireParams{Ref: o1("R1"), Event: row.Event, Actor: seller, Note: "n"},
			)
			require.ErrorIs(t, err, order.ErrInvalid, "core events have methods of their own")
		}
	}
	_, err = approve(4000).do(bg, e.svc)
	require.NoError(t, err)
}
