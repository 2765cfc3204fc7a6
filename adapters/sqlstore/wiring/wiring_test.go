package wiring_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/wiring"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

func config(sim *wechattest.Server) wechatv2.Config {
	cfg := sim.Config()
	cfg.Timeout = 3 * time.Minute
	return cfg
}

// byHand is what NewSQLWeChat does, written without wire.
func byHand(
	db *sql.DB, dialect sqlstore.Dialect, tables sqlstore.Options,
	cfg wechatv2.Config, opt refund.Options,
) (*refund.Service, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.New(db, dialect, tables)
	if err != nil {
		return nil, err
	}
	gateway, err := wechatv2.New(cfg)
	if err != nil {
		return nil, err
	}
	return refund.NewService(machine, store, gateway, opt)
}

// The injector and its hand-written twin do the same, on one database.
func ExampleNewSQLWeChat() {
	ctx := context.Background()
	sim, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()
	db, err := sql.Open("sqlite", "file:wiring?mode=memory&cache=shared&_pragma=foreign_keys(1)")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // a database in memory is gone with its last connection
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for i, inject := range []func(
		*sql.DB, sqlstore.Dialect, sqlstore.Options, wechatv2.Config, refund.Options,
	) (*refund.Service, error){wiring.NewSQLWeChat, byHand} {
		svc, err := inject(db, sqlstore.SQLite, sqlstore.Options{}, config(sim), refund.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		id := fmt.Sprintf("ORDER-%d", i+1)
		_ = sim.AddOrder(wechattest.Order{OutTradeNo: id, TotalFee: 100})
		_, _ = svc.Register(ctx, refund.RegisterParams{
			OrderID: id, Gateway: wechatv2.GatewayName, Currency: "CNY", Total: 100,
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

func TestFaultsOfTheDatabaseComeOut(t *testing.T) {
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	defer sim.Close()
	_, err = wiring.NewSQLWeChat(
		nil, sqlstore.SQLite, sqlstore.Options{}, config(sim), refund.Options{})
	require.ErrorContains(t, err, "db: is nil")
}
