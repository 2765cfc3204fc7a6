package gormshop_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/glebarez/sqlite"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	gormshop "github.com/orderfsm/orderfsm/examples/gorm"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestTogether(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testTogether(t, &gorm.Config{Logger: logger.Discard}) })
	t.Run("prepared", func(t *testing.T) {
		testTogether(t, &gorm.Config{Logger: logger.Discard, PrepareStmt: true})
	})
}

func testTogether(t *testing.T, cfg *gorm.Config) {
	t.Helper()
	ctx := context.Background()
	file := filepath.Join(t.TempDir(), "shop.db")
	db, err := gorm.Open(sqlite.Open(file+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)"), cfg)
	require.NoError(t, err)
	require.NoError(t, db.AutoMigrate(&gormshop.Stock{}, &gormshop.Complaint{}))
	pool, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { pool.Close() })
	store, err := sqlstore.New(pool, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(ctx))
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	bank := refundtest.New()
	svc, err := refund.NewService(m, store, bank, refund.Options{
		Hooks: []refund.Hooks{gormshop.Hooks(db)},
	})
	require.NoError(t, err)
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "O-1", Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	require.NoError(t, db.Create(&gormshop.Stock{OrderID: "O-1"}).Error)
	complaints := func() int64 {
		var n int64
		require.NoError(t, db.Model(&gormshop.Complaint{}).Count(&n).Error)
		return n
	}

	_, err = gormshop.Complain(ctx, db, svc, "O-1", "too much", 101)
	require.ErrorIs(t, err, order.ErrAmount)
	require.Zero(t, complaints(), "the complaint is rolled back with the refund")
	r, err := gormshop.Complain(ctx, db, svc, "O-1", "broken", 60)
	require.NoError(t, err)
	require.EqualValues(t, 1, complaints())

	// The hook's row is GORM's, in the store's own transaction.
	_, err = svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "O-1", RefundNo: r.No}, Amount: 60, Actor: "staff:1",
	})
	require.NoError(t, err)
	var stock gormshop.Stock
	require.NoError(t, db.First(&stock, "order_id = ?", "O-1").Error)
	require.Equal(t, 1, stock.Pieces)

	// If the transaction of GORM is rolled back, so is the approval.
	r, err = gormshop.Complain(ctx, db, svc, "O-1", "late", 40)
	require.NoError(t, err)
	stop := errors.New("the shop refuses")
	require.ErrorIs(t, gormshop.InTx(ctx, db, func(ctx context.Context, _ *gorm.DB) error {
		_, err := svc.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: r.No}, Amount: 40, Actor: "staff:1",
		})
		require.NoError(t, err)
		return stop
	}), stop)
	require.NoError(t, db.First(&stock, "order_id = ?", "O-1").Error)
	require.Equal(t, 1, stock.Pieces)
	o, err := svc.Order(ctx, "O-1")
	require.NoError(t, err)
	require.Equal(t, order.StateRefundRequested, o.Refund(r.No).State)
	require.Empty(t, bank.Calls())
}
