package txn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// Native is implemented by the [driver.Driver] of a *sql.DB whose transactions another library
// begins.
type Native interface {
	driver.Driver
	BeginNative(ctx context.Context) (Tx, error)
	// Key identifies the pool of that library.
	Key() any
}

// SQL returns a Conn on a *sql.DB, or on a *sql.Tx of the host.
func SQL(on SQLRunner, p *Prepared) Conn { return sqlConn{on, p} }

// SQLRunner is what *sql.DB and *sql.Tx have in common.
type SQLRunner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type sqlConn struct {
	on       SQLRunner
	prepared *Prepared // of the pool of on; nil if the pool is not known or prepares nothing
}

// Raw implements Conn.
func (c sqlConn) Raw() any { return c.on }

// Exec implements Conn.
func (c sqlConn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	done, err := runPrepared(ctx, c, query, func(stmt *sql.Stmt) (sql.Result, error) {
		if stmt == nil {
			return c.on.ExecContext(ctx, query, args...)
		}
		return stmt.ExecContext(ctx, args...)
	})
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// Query implements Conn.
func (c sqlConn) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	//nolint:rowserrcheck // the caller reads the rows
	rows, err := runPrepared(ctx, c, query, func(stmt *sql.Stmt) (*sql.Rows, error) {
		if stmt == nil {
			return c.on.QueryContext(ctx, query, args...)
		}
		return stmt.QueryContext(ctx, args...)
	})
	if err != nil {
		return nil, err // not a Rows that holds a nil *sql.Rows
	}
	return rows, nil
}

// runPrepared calls run with the prepared statement, on the connection of c. It calls run with nil
// if there is none, or if the server refuses it.
func runPrepared[T any](
	ctx context.Context, c sqlConn, query string, run func(stmt *sql.Stmt) (T, error),
) (T, error) {
	stmt := c.prepared.get(query) //nolint:sqlclosecheck // it lives as long as the pool
	if stmt == nil {
		return run(nil)
	}
	own := stmt
	if tx, ok := c.on.(*sql.Tx); ok {
		own = tx.StmtContext(ctx, stmt) //nolint:sqlclosecheck // it ends with the transaction
	}
	res, err := run(own)
	if isUnprepared(err) {
		c.prepared.giveUp(query)
		return run(nil)
	}
	return res, err
}

// sqlTx is a transaction of database/sql.
type sqlTx struct {
	sqlConn
	tx         *sql.Tx
	session    *sql.Conn
	keep       func() bool // keeps session also if the context ends
	rolledBack func(err error) bool
}

// BeginSQL returns the Begin of a Pool on db. rolledBack reports whether an error of COMMIT is the
// answer that the transaction was rolled back; if nil, none is.
func BeginSQL(
	db *sql.DB, opts *sql.TxOptions, p *Prepared, rolledBack func(err error) bool,
) func(ctx context.Context) (Tx, error) {
	return func(ctx context.Context) (Tx, error) {
		session, err := db.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		tx, err := session.BeginTx(ctx, opts)
		if err != nil {
			return nil, errors.Join(err, session.Close())
		}
		// When ctx ends, database/sql rolls back, and the pool gets the connection although fn may
		// still run. Close waits for the rollback.
		keep := context.AfterFunc(ctx, func() { _ = session.Close() })
		return &sqlTx{sqlConn{tx, p}, tx, session, keep, rolledBack}, nil
	}
}

// Commit implements Tx.
func (t *sqlTx) Commit(ctx context.Context) error {
	t.keep() // for the ROLLBACK below
	err := t.tx.Commit()
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrTxDone) { // database/sql rolled back before it sent the COMMIT
		return fmt.Errorf("commit: %w", err)
	}
	// SQLite leaves the transaction open if COMMIT finds the database busy.
	after, cancel := Outlive(ctx)
	defer cancel()
	_, _ = t.session.ExecContext(after, "ROLLBACK")
	if t.rolledBack != nil && t.rolledBack(err) {
		return fmt.Errorf("commit: %w", err)
	}
	// Also if the error is the context's: a driver that waits for the answer with the context of
	// the transaction, as pgx does, stops waiting when it ends and returns no other error.
	return fmt.Errorf("%w: %w", ErrCommit, err)
}

// Rollback implements Tx.
func (t *sqlTx) Rollback(context.Context) error {
	t.keep()
	return errors.Join(t.tx.Rollback(), t.session.Close())
}
