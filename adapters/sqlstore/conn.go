package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
)

// Conn runs statements in one transaction. Packages for other drivers implement it, see package pgxtx.
type Conn interface {
	// Exec returns the number of rows that a statement changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Tx is a transaction of another driver than database/sql's, see package pgxtx.
type Tx interface {
	Conn
	// Commit returns an error that wraps [ErrCommit] where it may have been executed, and only then.
	Commit(ctx context.Context) error
	// Rollback does nothing after a Commit.
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

// joint is a transaction that a context carries.
type joint struct {
	conn Conn
	tx   *sql.Tx // nil where the connection is not database/sql's
	told bool    // somebody will run pending once it has committed
	pool any     // of the Store that began it; nil where the host did
	// prepared are the statements of the pool that tx will be of; nil where they are not known.
	prepared *prepared
	busy     map[string]bool
	// depth counts the commands that run inside one another.
	depth int
	// broken is why the transaction is no more: the database has rolled it back on its own, as MySQL does on
	// a deadlock, after which each statement would be committed alone.
	broken error
	// pending are what AfterCommit was given.
	pending []func(context.Context)
	ended   atomic.Bool // its context may outlive it
}

type jointKey struct{}

func jointFrom(ctx context.Context) *joint {
	j, _ := ctx.Value(jointKey{}).(*joint)
	return j
}

func join(ctx context.Context, j *joint) context.Context {
	j.busy = map[string]bool{}
	return context.WithValue(ctx, jointKey{}, j)
}

var errRolledBack = errors.New("the database has rolled the transaction back")

var errEnded = errors.New("the transaction of this context has ended")

var errForeign = errors.New("the context carries a transaction that a Store on another pool began: " +
	"use a context without it, or one pool for both")

// WithTx returns a context with which every method of a [Store] works in tx, the host's own transaction. That must be
// of the Store's database: a Store on another one that has such tables would write to those. The store neither commits
// nor rolls back tx, and retries nothing in it; After hooks do not run, because nobody tells of the commit (see [InTx]).
// Like tx it is for one goroutine at a time.
//
// A context that carries tx already is returned as it is.
func WithTx(ctx context.Context, tx *sql.Tx) context.Context {
	if j := jointFrom(ctx); j != nil && j.tx == tx {
		return ctx
	}
	return join(ctx, &joint{conn: sqlConn{on: tx}, tx: tx})
}

// WithConn is WithTx for a transaction of another driver.
func WithConn(ctx context.Context, c Conn) context.Context {
	if j := jointFrom(ctx); j != nil && j.conn == c {
		return ctx
	}
	return join(ctx, &joint{conn: c})
}

// TxFrom returns the transaction that ctx carries: of an Update, for the hooks, or of [WithTx] and [InTx].
// It reports false where there is none, or where it is not database/sql's.
func TxFrom(ctx context.Context) (*sql.Tx, bool) {
	j := jointFrom(ctx)
	if j == nil || j.tx == nil || j.ended.Load() {
		return nil, false
	}
	return j.tx, true
}

// ConnFrom returns what [WithConn] was given, or a Conn on the transaction that ctx carries.
func ConnFrom(ctx context.Context) (Conn, bool) {
	j := jointFrom(ctx)
	if j == nil || j.ended.Load() {
		return nil, false
	}
	return j.conn, true
}

// InTx calls fn with a context that carries a new transaction of db, commits it and then runs the After hooks
// of the commands in it. It rolls back where fn returns an error, which it returns, or panics. It retries
// nothing. An error that wraps [ErrCommit] leaves open whether it has committed; the hooks do not run then.
//
// With a context that carries a transaction already, fn works in that one, and its owner commits.
func InTx(ctx context.Context, db *sql.DB, fn func(ctx context.Context) error) error {
	return inTx(ctx, fn, func(j *joint) error { return j.run(ctx, db, nil, fn) })
}

// InConn is [InTx] for a transaction of another driver.
func InConn(ctx context.Context, begin func(ctx context.Context) (Tx, error), fn func(ctx context.Context) error) error {
	return inTx(ctx, fn, func(j *joint) error { return j.runConn(ctx, begin, fn) })
}

func inTx(ctx context.Context, fn func(ctx context.Context) error, run func(j *joint) error) error {
	if j := jointFrom(ctx); j != nil {
		if j.ended.Load() {
			return errEnded
		}
		return fn(ctx)
	}
	j := &joint{told: true}
	err := run(j)
	if err == nil {
		j.after(ctx)
	}
	return err
}

// runConn is run for a transaction of another driver.
func (j *joint) runConn(ctx context.Context, begin func(ctx context.Context) (Tx, error), fn func(ctx context.Context) error) error {
	tx, err := begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		j.ended.Store(true)
		_ = tx.Rollback(context.WithoutCancel(ctx)) // after a commit it does nothing
	}()
	j.conn = tx
	if err := j.call(ctx, fn); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// call calls fn in the transaction, and says whether there is one to be committed.
func (j *joint) call(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := fn(join(ctx, j)); err != nil {
		return err
	}
	j.ended.Store(true)
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.broken != nil {
		return fmt.Errorf("%w: %w", errRolledBack, j.broken)
	}
	return nil
}

// run has j be a new transaction, in which fn is called, and commits it.
func (j *joint) run(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(ctx context.Context) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if j.tx, err = conn.BeginTx(ctx, opts); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	j.conn = sqlConn{j.tx, j.tx, j.prepared}
	err = j.commit(ctx, fn)
	if errors.Is(err, ErrCommit) {
		// SQLite leaves the transaction open where COMMIT finds the database busy.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

// nested runs one command in a transaction that goes on: a command that fails leaves nothing in it, not even
// what its hooks have written.
func (j *joint) nested(ctx context.Context, fn func(ctx context.Context, j *joint) error) (err error) {
	if j.broken != nil {
		return fmt.Errorf("%w: %w", errRolledBack, j.broken)
	}
	j.depth++
	name := fmt.Sprintf("orderfsm_%d", j.depth)
	if _, err := j.conn.Exec(ctx, "SAVEPOINT "+name); err != nil {
		j.depth--
		return fmt.Errorf("savepoint: %w", err)
	}
	waiting, done := len(j.pending), false
	defer func() {
		j.depth--
		end := "RELEASE SAVEPOINT "
		if !done || err != nil {
			end = "ROLLBACK TO SAVEPOINT "
			j.pending = j.pending[:waiting]
		}
		if _, endErr := j.conn.Exec(context.WithoutCancel(ctx), end+name); endErr != nil {
			if err == nil {
				err = fmt.Errorf("release the savepoint: %w", endErr)
			}
			j.broken = err
		}
	}()
	err = fn(ctx, j)
	done = true
	return err
}

// after runs what waited for the commit.
func (j *joint) after(ctx context.Context) {
	for _, f := range j.pending {
		f(context.WithoutCancel(ctx))
	}
}

// ErrCommit is returned if the answer to COMMIT was lost and nothing proves that it was executed: the transaction may
// have been committed or not.
var ErrCommit = errors.New("the answer to COMMIT was lost: it may have been executed")

func (j *joint) commit(ctx context.Context, fn func(ctx context.Context) error) error {
	defer func() {
		j.ended.Store(true)
		_ = j.tx.Rollback() // after a commit it does nothing
	}()
	if err := j.call(ctx, fn); err != nil {
		return err
	}
	if err := j.tx.Commit(); err != nil {
		if errors.Is(err, sql.ErrTxDone) {
			return fmt.Errorf("commit: %w", err) // database/sql rolled back before it was sent
		}
		// Also where it is the context's: a driver that waits for the answer with the context of the transaction,
		// as pgx does, gives up on it and returns no other error.
		return &commitError{err}
	}
	return nil
}

type commitError struct{ err error }

// Error implements error.
func (e *commitError) Error() string { return ErrCommit.Error() + ": " + e.err.Error() }

// Unwrap implements what errors.Is and errors.As look for.
func (e *commitError) Unwrap() []error { return []error{ErrCommit, e.err} }

// Joined implements [refund.Joiner].
func (*Store) Joined(ctx context.Context) bool { return jointFrom(ctx) != nil }

// AfterCommit implements [refund.Joiner].
func (*Store) AfterCommit(ctx context.Context, f func(ctx context.Context)) bool {
	j := jointFrom(ctx)
	if j == nil || !j.told || j.ended.Load() {
		return false
	}
	j.pending = append(j.pending, f)
	return true
}
