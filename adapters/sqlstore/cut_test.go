package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// cutter breaks the connection at the n-th operation, either before the operation reaches the
// database or after it was executed and before its answer arrives.
type cutter struct {
	mu    sync.Mutex
	at    int // 0: never
	after bool
	cut   string // the operation that was cut
}

func (c *cutter) arm(at int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.after, c.cut = at, after, ""
}

func (c *cutter) done() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// step runs an operation of conn.
func step[T any](c *cutter, conn *cutConn, name string, run func() (T, error)) (T, error) {
	c.mu.Lock()
	cut := c.at == 1
	after := c.after
	if c.at > 0 {
		c.at--
	}
	if cut {
		c.cut = name
	}
	c.mu.Unlock()
	var none T
	if conn.broken {
		return none, io.ErrUnexpectedEOF
	}
	if cut && !after {
		conn.break_()
		return none, io.ErrUnexpectedEOF
	}
	res, err := run()
	if cut {
		if rows, ok := any(res).(driver.Rows); ok && err == nil {
			_ = rows.Close() // SQLite keeps a connection that is read from
		}
		conn.break_()
		return none, io.ErrUnexpectedEOF
	}
	return res, err
}

type cutConnector struct {
	driver.Connector
	c *cutter
}

func (c cutConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, c: c.c, stmts: map[*cutStmt]bool{}}, nil
}

// cutConn passes on the operations of database/sql.
type cutConn struct {
	driver.Conn
	c      *cutter
	stmts  map[*cutStmt]bool // that are prepared
	broken bool
}

func (c *cutConn) break_() {
	if !c.broken {
		c.broken = true
		for stmt := range c.stmts {
			_ = stmt.Stmt.Close() // SQLite keeps a connection that has any
		}
		_ = c.Conn.Close() // as the database sees it: the client has gone
	}
}

func (c *cutConn) Close() error {
	if c.broken {
		return nil
	}
	return c.Conn.Close()
}

func (c *cutConn) IsValid() bool { return !c.broken }

func (c *cutConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := step(c.c, c, "begin", func() (driver.Tx, error) {
		return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	})
	if err != nil {
		return nil, err
	}
	return &cutTx{tx, c}, nil
}

func (c *cutConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.broken {
		return nil, io.ErrUnexpectedEOF
	}
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &cutStmt{stmt, c}
	c.stmts[s] = true
	return s, nil
}

// cutStmt is a prepared statement of the connection.
type cutStmt struct {
	driver.Stmt
	c *cutConn
}

func (s *cutStmt) ExecContext(
	ctx context.Context, args []driver.NamedValue,
) (driver.Result, error) {
	return step(s.c.c, s.c, "exec", func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s *cutStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return step(s.c.c, s.c, "query", func() (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
}

func (s *cutStmt) CheckNamedValue(v *driver.NamedValue) error { return s.c.CheckNamedValue(v) }

func (s *cutStmt) Close() error {
	if s.c.broken {
		return nil
	}
	delete(s.c.stmts, s)
	return s.Stmt.Close()
}

func (c *cutConn) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	return step(c.c, c, "exec", func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	})
}

func (c *cutConn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	return step(c.c, c, "query", func() (driver.Rows, error) {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	})
}

func (c *cutConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type cutTx struct {
	driver.Tx
	c *cutConn
}

func (t *cutTx) Commit() error {
	_, err := step(t.c.c, t.c, "commit", func() (any, error) { return nil, t.Tx.Commit() })
	return err
}

func (t *cutTx) Rollback() error {
	if t.c.broken {
		return nil
	}
	return t.Tx.Rollback()
}

// newCut returns a migrated store, and a pool on the same database whose connections c breaks.
func newCut(t *testing.T, d database) (plain *sqlstore.Store, db *sql.DB, c *cutter) {
	t.Helper()
	dsn := d.fresh(t)
	plain = d.on(t, d.connect(t, dsn))
	require.NoError(t, plain.Migrate(bg))
	c = &cutter{}
	db = sql.OpenDB(cutConnector{d.connector(t, dsn), c})
	t.Cleanup(func() { db.Close() })
	return plain, db, c
}

// TestCutConnection breaks an Update at every operation, before and after it. The database holds
// the order as it was before or after the Update, as the error says.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		plain, db, c := newCut(t, d)
		s := d.on(t, db)

		committed := 0
		for _, after := range []bool{false, true} {
			cuts := map[string]int{}
			for at := 1; ; at++ {
				require.Less(t, at, 50, "an Update has an end")
				id := fmt.Sprintf("O-%v-%d", after, at)
				before := newOrder(id)
				require.NoError(t, plain.Create(bg, before))
				c.arm(at, after)
				var left *order.Order
				err := s.Update(bg, id, func(_ context.Context, o *order.Order) error {
					request(t, o, "R-"+id, 60)
					left = o.Clone()
					return nil
				})
				where := c.done()
				c.arm(0, false)
				now, getErr := refund.LoadOrder(bg, plain, id)
				require.NoError(t, getErr)
				if err == nil {
					require.Equal(t, left.Refunds, now.Refunds)
					require.Equal(t, left.History, now.History)
					committed++
				} else {
					require.Empty(t, now.Refunds, "cut at %s: %v", where, err)
					require.EqualValues(t, 1, now.Version)
				}
				require.ErrorIs(t, s.Update(bg, id, func(context.Context, *order.Order) error {
					return io.EOF
				}), io.EOF, "it works on")
				if where == "" {
					break
				}
				cuts[where]++
			}
			// The lock, the order, and the changes: its row, the refund, the transition.
			statements := map[sqlstore.Dialect]int{
				sqlstore.SQLite: 1 + 1 + 3, sqlstore.PostgreSQL: 1 + 1, sqlstore.MySQL: 1 + 3,
			}
			require.Equal(t, statements[d.dialect], cuts["query"]+cuts["exec"], cuts)
			require.Equal(t, 1, cuts["begin"], cuts)
			require.Equal(t, 1, cuts["commit"], cuts)
		}
		require.Equal(t, 3, committed,
			"twice without a cut, and once where only the answer to COMMIT was lost")
	})
}

// TestLostCommit: if the order cannot be read again either, the error wraps ErrCommit.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		plain, db, c := newCut(t, d)
		require.NoError(t, plain.Create(bg, newOrder("O-1")))
		err := sqlstore.InTx(bg, db, func(ctx context.Context) error {
			s := d.on(t, db)
			require.NoError(t, s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
				request(t, o, "R-1", 60)
				return nil
			}))
			require.True(t, s.AfterCommit(ctx, func(context.Context) {
				t.Error("an After hook ran without a known commit")
			}))
			c.arm(1, true)
			return nil
		})
		require.ErrorIs(t, err, sqlstore.ErrCommit)
		require.Equal(t, "commit", c.done())
		o, err := plain.Get(bg, "O-1")
		require.NoError(t, err)
		require.NotNil(t, o.Refund("R-1"))
	})
}
