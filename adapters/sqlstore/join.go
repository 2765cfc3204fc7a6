package sqlstore

import (
	"context"
	"database/sql"
)

// WithTx returns a context with which every method of a [Store] works in tx, the host's own transaction. That must be
// of the Store's database: a Store on another one that has such tables would write to those. The store neither commits
// nor rolls back tx, and retries nothing in it; After hooks do not run, because nobody tells of the commit (see [InTx]).
// Like tx it is for one goroutine at a time.
//
// A context that carries tx already is returned as it is.
func WithTx(ctx context.Context, tx *sql.Tx) context.Context {
	if t := txnFrom(ctx); t != nil && t.sql == tx {
		return ctx
	}
	return (&txn{conn: sqlConn{on: tx}, sql: tx, lent: true}).join(ctx)
}

// WithConn is WithTx for a transaction of another driver.
func WithConn(ctx context.Context, c Conn) context.Context {
	if t := txnFrom(ctx); t != nil && t.conn == c {
		return ctx
	}
	return (&txn{conn: c, lent: true}).join(ctx)
}

// TxFrom returns the transaction that ctx carries: of an Update, for the hooks, or of [WithTx] and [InTx].
// It reports false if there is none, if it is not database/sql's, or if it has failed.
//
// An error of a statement that you run on it may mean that the database has ended the transaction, as MySQL does on a
// deadlock. Return such an error. If you do not, the store finds out before it writes, and the command fails.
func TxFrom(ctx context.Context) (*sql.Tx, bool) {
	t := txnFrom(ctx)
	if t == nil || t.sql == nil || t.ended.Load() || t.lend(ctx) != nil {
		return nil, false
	}
	return t.sql, true
}

// ConnFrom returns what [WithConn] was given, or a Conn on the transaction that ctx carries. What TxFrom says of errors
// is so here too.
func ConnFrom(ctx context.Context) (Conn, bool) {
	t := txnFrom(ctx)
	if t == nil || t.ended.Load() || t.lend(ctx) != nil {
		return nil, false
	}
	return t.conn, true
}

// InTx calls fn with a context that carries a new transaction of db, commits it and then runs the After hooks
// of the commands in it. It rolls back if fn returns an error, which it returns, or panics. It retries
// nothing. An error that wraps [ErrCommit] leaves open whether it has committed; the hooks do not run then.
//
// With a context that carries a transaction already, fn works in that one, and its owner commits.
func InTx(ctx context.Context, db *sql.DB, fn func(ctx context.Context) error) error {
	return InConn(ctx, func(ctx context.Context) (Tx, error) { return beginSQL(ctx, db, nil, nil) }, fn)
}

// InConn is [InTx] for a transaction of another driver.
func InConn(ctx context.Context, begin func(ctx context.Context) (Tx, error), fn func(ctx context.Context) error) error {
	if t := txnFrom(ctx); t != nil {
		if t.ended.Load() {
			return errEnded
		}
		return fn(ctx)
	}
	t := &txn{ours: true}
	err := t.run(ctx, begin, fn)
	if err == nil {
		t.after(ctx)
	}
	return err
}

// Joined implements [refund.Joiner].
func (*Store) Joined(ctx context.Context) bool { return txnFrom(ctx) != nil }

// AfterCommit implements [refund.Joiner].
func (*Store) AfterCommit(ctx context.Context, f func(ctx context.Context)) bool {
	t := txnFrom(ctx)
	if t == nil || !t.ours || t.ended.Load() {
		return false
	}
	t.pending = append(t.pending, f)
	return true
}
