package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// pooler is a connector that shares a few sessions as PgBouncer does in transaction mode: every
// transaction, and every statement outside of one, may run in another session.
type pooler struct {
	driver.Connector
	sessions chan driver.Conn
}

func newPooler(t *testing.T, c driver.Connector, sessions int) *pooler {
	t.Helper()
	p := &pooler{Connector: c, sessions: make(chan driver.Conn, sessions)}
	for range sessions {
		conn, err := c.Connect(bg)
		require.NoError(t, err)
		p.sessions <- conn
	}
	t.Cleanup(func() {
		for range sessions {
			(<-p.sessions).Close()
		}
	})
	return p
}

func (p *pooler) Connect(context.Context) (driver.Conn, error) { return &pooled{p: p}, nil }

// pooled is a client of the pooler.
type pooled struct {
	p    *pooler
	conn driver.Conn // the session of the transaction; nil outside of one
}

func (c *pooled) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (c *pooled) Close() error                        { return nil }
func (c *pooled) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }

// session returns a session, and the function that gives it back.
func (c *pooled) session() (driver.Conn, func()) {
	if c.conn != nil {
		return c.conn, func() {}
	}
	conn := <-c.p.sessions
	return conn, func() { c.p.sessions <- conn }
}

func (c *pooled) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	conn, giveBack := c.session()
	tx, err := conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		giveBack()
		return nil, err
	}
	c.conn = conn
	return &pooledTx{tx, func() { c.conn = nil; giveBack() }}, nil
}

func (c *pooled) ExecContext(
	ctx context.Context, q string, args []driver.NamedValue,
) (driver.Result, error) {
	conn, giveBack := c.session()
	defer giveBack()
	return conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *pooled) QueryContext(
	ctx context.Context, q string, args []driver.NamedValue,
) (driver.Rows, error) {
	conn, giveBack := c.session()
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, q, args)
	if err != nil {
		giveBack()
		return nil, err
	}
	return pooledRows{rows, sync.OnceFunc(giveBack)}, nil
}

type pooledTx struct {
	driver.Tx
	giveBack func()
}

func (t *pooledTx) Commit() error   { defer t.giveBack(); return t.Tx.Commit() }
func (t *pooledTx) Rollback() error { defer t.giveBack(); return t.Tx.Rollback() }

type pooledRows struct {
	driver.Rows
	giveBack func()
}

func (r pooledRows) Close() error { defer r.giveBack(); return r.Rows.Close() }

// TestMigrateBehindPgBouncer: processes that migrate at once through a pooler in transaction mode
// all succeed, and leave no lock in a session.
func TestMigrateBehindPgBouncer(t *testing.T) {
	t.Parallel()
	d := databases()[1]
	require.Equal(t, sqlstore.PostgreSQL, d.dialect)
	dsn := d.fresh(t)
	name := freshName()
	p := newPooler(t, d.connector(t, with(dsn, "application_name="+name)), 3)
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		db := sql.OpenDB(p)
		t.Cleanup(func() { db.Close() })
		s := d.on(t, db)
		wg.Go(func() { errs[i] = s.Migrate(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	var held int
	require.NoError(t, d.connect(t, dsn).QueryRowContext(bg, `SELECT COUNT(*) FROM pg_locks l
		JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND a.application_name = $1`, name).Scan(&held))
	require.Zero(t, held)
	s := d.on(t, sql.OpenDB(p))
	require.NoError(t, s.Create(bg, newOrder("O-1")))
	requireLegal(t, s, "O-1")
}
