package di_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/di"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// sqlByHand is what NewSQLWeChat does, written without wire.
func sqlByHand(
	db *sql.DB, dialect sqlstore.Dialect, tables sqlstore.Options, cfg wechatv2.Config, opt refund.Options,
) (*refund.Service, error) {
	machine, err := order.NewMachine()
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

func TestSQLWeChat(t *testing.T) {
	ctx := context.Background()
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	defer sim.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "orders.db")+"?_pragma=foreign_keys(1)")
	require.NoError(t, err)
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(ctx))
	for i, inject := range []func(
		*sql.DB, sqlstore.Dialect, sqlstore.Options, wechatv2.Config, refund.Options,
	) (*refund.Service, error){di.NewSQLWeChat, sqlByHand} {
		svc, err := inject(db, sqlstore.SQLite, sqlstore.Options{}, config(sim), refund.Options{})
		require.NoError(t, err)
		id := fmt.Sprintf("ORDER-%d", i)
		require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: id, TotalFee: 100}))
		_, err = svc.Register(ctx, refund.RegisterParams{OrderID: id, Gateway: wechatv2.DefaultName, Currency: "CNY", Total: 100})
		require.NoError(t, err)
		r, err := svc.Request(ctx, refund.RequestParams{OrderID: id, Amount: 30, Actor: "buyer:1"})
		require.NoError(t, err)
		_, err = svc.Execute(ctx, refund.ApproveParams{OrderID: id, RefundNo: r.No, Amount: 30, Actor: "staff:1"})
		require.NoError(t, err)
		require.EqualValues(t, 30, sim.PaidTotal(id))
		o, err := store.Get(ctx, id)
		require.NoError(t, err)
		require.NotEqual(t, order.StateFailed, o.Refunds[0].State)
	}
	_, err = di.NewSQLWeChat(nil, sqlstore.SQLite, sqlstore.Options{}, config(sim), refund.Options{})
	require.ErrorContains(t, err, "db: is nil")
}
