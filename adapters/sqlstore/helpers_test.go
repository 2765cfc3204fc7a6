package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// at returns a moment n seconds into a test.
func at(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC).Add(time.Duration(n) * time.Second)
}

// patience is how long a test waits on a slow and busy machine. No shorter limit decides.
const patience = 3 * time.Minute

// newOrder returns a paid order of 100 fen.
func newOrder(id string) *order.Order {
	return &order.Order{
		ID: id, Gateway: "bank", Currency: "CNY", Total: 100, State: order.StatePaid,
		PaidAt: at(-60), CreatedAt: at(0), UpdatedAt: at(0),
	}
}

func newMachine(t testing.TB) *order.Machine {
	t.Helper()
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	return m
}

func request(t testing.TB, o *order.Order, number string, amount int64) {
	t.Helper()
	_, err := newMachine(t).Fire(bg, o, order.Trigger{
		Event: order.EventRequestRefund, RefundNo: number, Amount: amount, Actor: "buyer:1", At: at(1),
	})
	require.NoError(t, err)
}

func service(t testing.TB, s *sqlstore.Store, opts refund.Options) *refund.Service {
	t.Helper()
	svc, err := refund.NewService(newMachine(t), s, refundtest.New(), opts)
	require.NoError(t, err)
	return svc
}

func register(t testing.TB, svc *refund.Service, id string) {
	t.Helper()
	_, err := svc.Register(bg, refund.RegisterParams{
		OrderID: id, Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
}

func ask(ctx context.Context, svc *refund.Service, id, number string, amount int64) error {
	_, err := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: amount, Actor: "buyer:1",
	})
	return err
}

// requireLegal returns an order and checks its history and its sums.
func requireLegal(t testing.TB, s *sqlstore.Store, id string) *order.Order {
	t.Helper()
	o, err := refund.LoadOrder(bg, s, id)
	require.NoError(t, err)
	require.NoError(t, newMachine(t).Verify(o))
	require.LessOrEqual(t, o.Refunded+o.Reserved, o.Total)
	return o
}

// inTxFunc is InTx of the package or of a Store.
type inTxFunc = func(ctx context.Context, fn func(ctx context.Context) error) error

// rollBackAtEnd ends a transaction that a failed test leaves open. It would block the end of the
// database.
func rollBackAtEnd(t testing.TB, tx *sql.Tx) {
	t.Helper()
	t.Cleanup(func() { _ = tx.Rollback() })
}

// connector opens connections of the dialect's driver.
func (d database) connector(t testing.TB, dsn string) driver.Connector {
	t.Helper()
	switch d.dialect {
	case sqlstore.PostgreSQL:
		cfg, err := pgx.ParseConfig(dsn)
		require.NoError(t, err)
		return stdlib.GetConnector(*cfg)
	case sqlstore.MySQL:
		cfg, err := mysql.ParseDSN(dsn)
		require.NoError(t, err)
		cfg.InterpolateParams = true // so that a statement is one operation
		c, err := mysql.NewConnector(cfg)
		require.NoError(t, err)
		return c
	case sqlstore.SQLite:
	}
	return sqliteConnector{dsn, &sqlite.Driver{}}
}

type sqliteConnector struct {
	dsn    string
	driver *sqlite.Driver
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	return c.driver.Open(c.dsn)
}

func (c sqliteConnector) Driver() driver.Driver { return c.driver }
