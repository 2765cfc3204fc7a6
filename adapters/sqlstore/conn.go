package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Conn runs statements in one transaction. Packages for other drivers implement it, see package pgxtx.
type Conn interface {
	// Exec returns the number of rows that a statement changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Tx is a transaction that the store begins and ends. Packages for other drivers than database/sql's implement it, see
// package pgxtx.
type Tx interface {
	Conn
	// Commit returns an error that wraps [ErrCommit] if it may have been executed, and only then.
	Commit(ctx context.Context) error
	// Rollback is called once in any case. After a Commit it changes nothing in the database.
	Rollback(ctx context.Context) error
}

// Rows is the result of a query.
type Rows interface {
	// The methods are those of sql.Rows.
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// sqlConn is what *sql.DB and *sql.Tx have in common.
type sqlConn struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
	tx       *sql.Tx   // what on is, if it is one
	prepared *prepared // for the pool that on belongs to; nil where it is not known, or not wanted
}

// Exec implements Conn.
func (c sqlConn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	done, err := run(c, query, func(stmt *sql.Stmt) (sql.Result, error) {
		if stmt == nil {
			return c.on.ExecContext(ctx, query, args...)
		}
		return c.here(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction, or lives as long as the pool
	})
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// Query implements Conn.
func (c sqlConn) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := run(c, query, func(stmt *sql.Stmt) (*sql.Rows, error) { //nolint:rowserrcheck // the caller's
		if stmt == nil {
			return c.on.QueryContext(ctx, query, args...)
		}
		return c.here(ctx, stmt).QueryContext(ctx, args...) //nolint:sqlclosecheck // as above
	})
	if err != nil {
		return nil, err // and not a Rows that holds a nil *sql.Rows
	}
	return rows, nil
}

// run calls do with the prepared statement, if there is one, and else, or where the server will not have it, with nil.
func run[T any](c sqlConn, query string, do func(stmt *sql.Stmt) (T, error)) (T, error) {
	stmt := c.prepared.get(query) //nolint:sqlclosecheck // it lives as long as the pool
	res, err := do(stmt)
	if stmt != nil && isUnprepared(err) {
		c.prepared.giveUp(query)
		return do(nil)
	}
	return res, err
}

// here is stmt on the connection of c.
func (c sqlConn) here(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	if c.tx == nil {
		return stmt
	}
	return c.tx.StmtContext(ctx, stmt) // what the connection has prepared once it keeps
}

// sqlTx is a transaction of database/sql.
type sqlTx struct {
	sqlConn
	session *sql.Conn
}

// beginSQL begins a transaction of db, which runs the prepared statements, if there are any.
func beginSQL(ctx context.Context, db *sql.DB, opts *sql.TxOptions, p *prepared) (Tx, error) {
	session, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	tx, err := session.BeginTx(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return &sqlTx{sqlConn{tx, tx, p}, session}, nil
}

// Commit implements Tx.
func (t *sqlTx) Commit(ctx context.Context) error {
	err := t.tx.Commit()
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("commit: %w", err) // database/sql rolled back before it was sent
	}
	// SQLite leaves the transaction open if COMMIT finds the database busy.
	after, cancel := outlive(ctx)
	defer cancel()
	_, _ = t.session.ExecContext(after, "ROLLBACK")
	// Also if the error is the context's: a driver that waits for the answer with the context of the transaction,
	// as pgx does, gives up on it and returns no other error.
	return &commitError{err}
}

// Rollback implements Tx.
func (t *sqlTx) Rollback(context.Context) error {
	return errors.Join(t.tx.Rollback(), t.session.Close())
}

type commitError struct{ err error }

// Error implements error.
func (e *commitError) Error() string { return ErrCommit.Error() + ": " + e.err.Error() }

// Unwrap implements what errors.Is and errors.As look for.
func (e *commitError) Unwrap() []error { return []error{ErrCommit, e.err} }
