package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// commitLoser is a connector that loses the answer to a COMMIT, and the connection with it. then
// runs before the client notices.
type commitLoser struct {
	driver.Connector

	mu       sync.Mutex
	armed    bool
	executed bool          // whether the COMMIT reaches the database
	then     func()        // what others do in the meantime
	silent   chan struct{} // if not nil, there are no answers from the loss on
}

// lose arms the connector for the next COMMIT.
func (l *commitLoser) lose(executed bool, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.executed, l.then = true, executed, then
}

// next disarms the connector and returns what it was armed with.
func (l *commitLoser) next() (armed, executed bool, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	armed, l.armed = l.armed, false
	return armed, l.executed, l.then
}

func (l *commitLoser) Connect(ctx context.Context) (driver.Conn, error) {
	if l.silent != nil {
		select {
		case <-l.silent:
			<-ctx.Done() // as a dialer that gets no answer
			return nil, ctx.Err()
		default:
		}
	}
	conn, err := l.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &losingConn{Conn: conn, l: l}, nil
}

type losingConn struct {
	driver.Conn
	l      *commitLoser
	broken bool
}

func (c *losingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &losingTx{tx, c}, nil
}

func (c *losingConn) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	if c.broken {
		return nil, io.ErrUnexpectedEOF
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *losingConn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *losingConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *losingConn) IsValid() bool { return !c.broken }

func (c *losingConn) Close() error {
	if c.broken {
		return nil
	}
	return c.Conn.Close()
}

type losingTx struct {
	driver.Tx
	c *losingConn
}

func (t *losingTx) Commit() error {
	armed, executed, then := t.c.l.next()
	if !armed {
		return t.Tx.Commit()
	}
	end := t.Tx.Rollback // as the server does that has lost its client
	if executed {
		end = t.Tx.Commit
	}
	if err := end(); err != nil {
		return err
	}
	t.c.broken = true
	_ = t.c.Conn.Close()
	if then != nil {
		then()
	}
	return io.ErrUnexpectedEOF
}

func (t *losingTx) Rollback() error {
	if t.c.broken {
		return nil
	}
	return t.Tx.Rollback()
}

// losing returns a migrated store, and one on the same database that loses COMMITs.
func losing(t *testing.T, d database) (plain, shaky *sqlstore.Store, l *commitLoser) {
	t.Helper()
	dsn := d.fresh(t)
	plain = d.on(t, d.connect(t, dsn))
	require.NoError(t, plain.Migrate(bg))
	l = &commitLoser{Connector: d.connector(t, dsn)}
	db := sql.OpenDB(l)
	t.Cleanup(func() { db.Close() })
	shaky, err := sqlstore.New(db, d.dialect, sqlstore.Options{NoPrepare: true})
	require.NoError(t, err)
	return plain, shaky, l
}

// lease changes an order without a transition.
func lease(_ context.Context, o *order.Order) error {
	o.Refunds[0].Attempts++
	o.Refunds[0].LeasedUntil = at(o.Refunds[0].Attempts)
	return nil
}
