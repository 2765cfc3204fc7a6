// Package pgxtx lets a host that uses pgx without database/sql keep its orders with package
// sqlstore, on its own pool and in its own transactions.
//
// A Store that [New] returns begins transactions of pgx, also for a poller and for
// [sqlstore.Store.InTx]. [TxFrom] returns to a hook the transaction that the hook runs in.
package pgxtx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
)

// New returns a Store on the host's pool. Its error is that of [sqlstore.New]. The host closes the
// pool, after the last call of the Store.
func New(pool *pgxpool.Pool, opts sqlstore.Options) (*sqlstore.Store, error) {
	if pool == nil {
		return nil, &order.InvalidError{Field: "pool", Problem: "is nil"}
	}
	// For reads outside of transactions. The pool keeps the connections.
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), pool})
	db.SetMaxIdleConns(0)
	return sqlstore.New(db, sqlstore.PostgreSQL, opts)
}

// WithTx is [sqlstore.WithTx] for a transaction of pgx.
func WithTx(ctx context.Context, tx pgx.Tx) context.Context { return txn.With(ctx, conn{tx}) }

// TxFrom returns the transaction of pgx that ctx carries: that of a command on a Store that [New]
// returned, for the hooks, or that of [WithTx] and [InTx]. It reports false if there is none, or if
// it is a transaction of database/sql.
func TxFrom(ctx context.Context) (pgx.Tx, bool) {
	raw, _ := txn.Lend(ctx)
	tx, ok := raw.(pgx.Tx)
	return tx, ok
}

// InTx is [sqlstore.InTx] for pgx. It calls fn with a context that carries a new transaction of the
// pool, commits it and then runs the After hooks of the commands in it.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context) error) error {
	p := &txn.Pool{Begin: func(ctx context.Context) (txn.Tx, error) {
		return begin(ctx, pool, pgx.TxOptions{})
	}}
	return p.InTx(ctx, fn)
}

func begin(ctx context.Context, pool *pgxpool.Pool, opts pgx.TxOptions) (txn.Tx, error) {
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return conn{tx}, nil
}

// connector opens connections of the pool for database/sql. As a [txn.Native] driver it begins the
// transactions of a Store with pgx.
type connector struct {
	driver.Connector
	pool *pgxpool.Pool
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return native{c.Connector.Driver(), c.pool} }

type native struct {
	driver.Driver
	pool *pgxpool.Pool
}

// BeginNative implements txn.Native.
func (n native) BeginNative(ctx context.Context) (txn.Tx, error) {
	return begin(ctx, n.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
}

// Key implements txn.Native.
func (n native) Key() any { return n.pool }

// conn is a transaction of pgx.
type conn struct{ pgx.Tx }

// Raw implements txn.Conn.
func (c conn) Raw() any { return c.Tx }

// Exec implements txn.Conn.
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.Tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// Query implements txn.Conn.
func (c conn) Query(ctx context.Context, query string, args ...any) (txn.Rows, error) {
	r, err := c.Tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

// Commit implements txn.Tx.
func (c conn) Commit(ctx context.Context) error {
	err := c.Tx.Commit(ctx)
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	// A server that leaves in mid-COMMIT sends FATAL. ERROR is the answer that it has rolled back.
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR" {
		return err
	}
	// pgconn.SafeToRetry does not help: pgx 5.12 also reports true for a COMMIT that was sent and
	// whose connection then broke.
	return errors.Join(txn.ErrCommit, err)
}

type rows struct{ pgx.Rows }

// Close implements txn.Rows.
func (r rows) Close() error {
	r.Rows.Close()
	return r.Err()
}
