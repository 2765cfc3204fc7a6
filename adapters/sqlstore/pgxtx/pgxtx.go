// Package pgxtx lets a host that uses pgx without database/sql keep its orders with package sqlstore: on its
// own pool, and in its own transactions.
//
// A Store that [New] made begins transactions of pgx, and [TxFrom] gives every hook the one that it runs in, also in the
// commands of a poller. [sqlstore.Store.InTx] of it begins one for the host, and begins again after a deadlock.
package pgxtx

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// New returns a Store on the host's pool. Closing the pool is the host's business, and ends the store. Its error is
// that of [sqlstore.New].
func New(pool *pgxpool.Pool, opts sqlstore.Options) (*sqlstore.Store, error) {
	if pool == nil {
		return nil, &order.InvalidError{Field: "pool", Problem: "is nil"}
	}
	db := stdlib.OpenDBFromPool(pool) // for what needs no transaction
	db.SetMaxIdleConns(0)             // the pool keeps them
	opts.Begin, opts.Pool = begin(pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}), pool
	return sqlstore.New(db, sqlstore.PostgreSQL, opts)
}

// WithTx is [sqlstore.WithTx] for a transaction of pgx.
func WithTx(ctx context.Context, tx pgx.Tx) context.Context { return sqlstore.WithConn(ctx, conn{tx}) }

// TxFrom returns the transaction of pgx that ctx carries: of a command on a Store that [New] made, for the hooks, or of
// [WithTx] and [InTx]. It reports false where there is none, or where it is database/sql's.
func TxFrom(ctx context.Context) (pgx.Tx, bool) {
	c, _ := sqlstore.ConnFrom(ctx)
	own, ok := c.(conn)
	return own.Tx, ok
}

// InTx is [sqlstore.InTx] for pgx: it calls fn with a context that carries a new transaction of the pool, commits
// it and then runs the After hooks of the commands in it.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context) error) error {
	return sqlstore.InConn(ctx, begin(pool, pgx.TxOptions{}), fn)
}

func begin(pool *pgxpool.Pool, opts pgx.TxOptions) func(ctx context.Context) (sqlstore.Tx, error) {
	return func(ctx context.Context) (sqlstore.Tx, error) {
		tx, err := pool.BeginTx(ctx, opts)
		if err != nil {
			return nil, err
		}
		return conn{tx}, nil
	}
}

// conn is a transaction as the store uses it.
type conn struct{ pgx.Tx }

// Exec implements sqlstore.Conn.
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.Tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// Commit implements sqlstore.Tx.
func (c conn) Commit(ctx context.Context) error {
	err := c.Tx.Commit(ctx)
	var answered *pgconn.PgError
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) ||
		errors.As(err, &answered) && answered.SeverityUnlocalized == "ERROR" { // and not FATAL: it has left in mid-COMMIT
		return err // the server has said no
	}
	// Not asked of pgconn.SafeToRetry: pgx 5.12 also says so of a COMMIT that was sent and whose connection then broke.
	return errors.Join(sqlstore.ErrCommit, err)
}

// Query implements sqlstore.Conn.
func (c conn) Query(ctx context.Context, query string, args ...any) (sqlstore.Rows, error) {
	r, err := c.Tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

type rows struct{ pgx.Rows }

// Close implements sqlstore.Rows.
func (r rows) Close() error {
	r.Rows.Close()
	return r.Err()
}
