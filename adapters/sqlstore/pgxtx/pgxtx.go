// Package pgxtx lets a host that uses pgx without database/sql keep its orders with package sqlstore: on its
// own pool, and in its own transactions.
package pgxtx

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// New returns a Store on the host's pool. Closing the pool is the host's business, and ends the store.
func New(pool *pgxpool.Pool, opts sqlstore.Options) (*sqlstore.Store, error) {
	db := stdlib.OpenDBFromPool(pool)
	db.SetMaxIdleConns(0) // the pool keeps them
	return sqlstore.New(db, sqlstore.PostgreSQL, opts)
}

// WithTx is [sqlstore.WithTx] for a transaction of pgx.
func WithTx(ctx context.Context, tx pgx.Tx) context.Context { return sqlstore.WithConn(ctx, conn{tx}) }

// TxFrom returns what [WithTx] and [InTx] were given. In a hook of a command outside of them it reports false:
// the store's own transaction is database/sql's there, see [sqlstore.TxFrom] and [sqlstore.ConnFrom].
func TxFrom(ctx context.Context) (pgx.Tx, bool) {
	c, _ := sqlstore.ConnFrom(ctx)
	own, ok := c.(conn)
	return own.Tx, ok
}

// InTx is [sqlstore.InTx] for pgx: it calls fn with a context that carries a new transaction of the pool, commits
// it and then runs the After hooks of the commands in it.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context) error) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	return sqlstore.InConn(ctx, conn{tx}, func(ctx context.Context) error {
		err := tx.Commit(ctx)
		var answered *pgconn.PgError
		if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) || pgconn.SafeToRetry(err) ||
			errors.As(err, &answered) && answered.SeverityUnlocalized == "ERROR" { // and not FATAL: it has left in mid-COMMIT
			return err // the server has said no, or was not asked
		}
		return errors.Join(sqlstore.ErrCommit, err)
	}, fn)
}

// conn is a transaction as the store uses it.
type conn struct{ pgx.Tx }

// Exec implements sqlstore.Conn.
func (c conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := c.Tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
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
