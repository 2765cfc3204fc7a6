package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestPrepared: a statement is parsed once per connection, also if the driver does not prepare it.
// If statements cannot be prepared, everything works without.
func TestPrepared(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		for _, how := range []string{"prepared", "refused", "not wanted"} {
			dsn := d.fresh(t)
			require.NoError(t, d.on(t, d.connect(t, dsn)).Migrate(bg))
			c := &parses{Connector: d.connector(t, dsn), refused: how == "refused"}
			db := sql.OpenDB(c)
			defer db.Close()
			db.SetMaxOpenConns(1) // preparing needs no second connection
			s, err := sqlstore.New(db, d.dialect, sqlstore.Options{NoPrepare: how == "not wanted"})
			require.NoError(t, err)
			svc := service(t, s, refund.Options{})
			lifecycle := func(n int) {
				id, number := fmt.Sprintf("O-%d", n), fmt.Sprintf("R-%d", n)
				register(t, svc, id)
				require.NoError(t, ask(bg, svc, id, number, 100))
				_, err := svc.ApproveAndSend(bg, refund.ApproveParams{
					Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: "staff:1",
				})
				require.NoError(t, err)
				requireLegal(t, s, id)
			}
			lifecycle(1)
			c.plain.Store(0)
			lifecycle(2)
			if how != "prepared" || d.dialect == sqlstore.PostgreSQL {
				require.NotZero(t, c.plain.Load())
			} else {
				require.Zero(t, c.plain.Load())
			}
		}
	})
}

// TestPreparedRefusedLater: if the server refuses a prepared statement, because it has too many or
// has lost it, the statement runs unprepared.
func TestPreparedRefusedLater(t *testing.T) {
	t.Parallel()
	d := databases()[2]
	require.Equal(t, sqlstore.MySQL, d.dialect)
	dsn := d.fresh(t)
	require.NoError(t, d.on(t, d.connect(t, dsn)).Migrate(bg))
	for i, code := range []uint16{1461, 1243, 1615} {
		c := &parses{Connector: d.connector(t, dsn)}
		db := sql.OpenDB(c)
		defer db.Close()
		s := d.on(t, db)
		svc := service(t, s, refund.Options{})
		for n := range 2 {
			id, number := fmt.Sprintf("O-%d-%d", i, n), fmt.Sprintf("R-%d-%d", i, n)
			register(t, svc, id)
			require.NoError(t, ask(bg, svc, id, number, 100))
			_, err := svc.ApproveAndSend(bg, refund.ApproveParams{
				Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: "staff:1",
			})
			require.NoError(t, err)
			require.EqualValues(t, 100, requireLegal(t, s, id).Refunded)
			db.SetMaxIdleConns(-1) // the next connection has none prepared
			c.later = &mysql.MySQLError{Number: code, Message: "no prepared statement"}
		}
	}
}

// TestPreparingWaitsForNobody: a command returns after its commit, even if another client has the
// pool's one connection, which preparing needs, until the command returns.
func TestPreparingWaitsForNobody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		require.NoError(t, d.on(t, d.connect(t, dsn)).Migrate(bg))
		db := d.connect(t, dsn)
		db.SetMaxOpenConns(1)
		s := d.on(t, db)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		ctx, cancel := context.WithTimeout(bg, patience)
		defer cancel()
		next := make(chan *sql.Conn, 1)
		require.NoError(t, s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
			go func() {
				conn, _ := db.Conn(bg)
				next <- conn
			}()
			for db.Stats().WaitCount == 0 { // until the other client is next
				runtime.Gosched()
			}
			request(t, o, "R-1", 10)
			return nil
		}))
		require.NoError(t, ctx.Err(), "it has waited for who has the connection now")
		conn := <-next
		require.NotNil(t, conn)
		require.NoError(t, conn.Close())
	})
}

// parses is a connector that counts the statements that run unprepared.
type parses struct {
	driver.Connector
	refused bool
	later   error // of every PrepareContext, where it is set
	plain   atomic.Int64
}

func (p *parses) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return parsing{conn, p}, nil
}

type parsing struct {
	driver.Conn
	p *parses
}

func (c parsing) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c parsing) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.p.refused {
		return nil, errors.New("this proxy takes no prepared statements")
	}
	if c.p.later != nil {
		return nil, c.p.later
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c parsing) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	c.p.plain.Add(1)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c parsing) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	c.p.plain.Add(1)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c parsing) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
