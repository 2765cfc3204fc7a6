package sqlstore

import (
	"context"
	"database/sql"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

// ErrCommit is returned if the answer to COMMIT was lost and nothing proves that it was executed.
// The transaction may have been committed or not.
var ErrCommit = txn.ErrCommit

// WithTx returns a context that carries tx, a transaction of the host. All methods of a [Store]
// that get the context work in tx. The store neither commits nor rolls back tx and retries nothing
// in it. After hooks do not run, because nothing reports the commit to the store; see [InTx].
//
// tx must be a transaction of the Store's database. The store cannot check that: a Store on another
// database that has the same tables would write to those. Like tx, the context is for one goroutine
// at a time. WithTx returns ctx if it carries tx already.
func WithTx(ctx context.Context, tx *sql.Tx) context.Context {
	return txn.With(ctx, txn.SQL(tx, nil))
}

// TxFrom returns the transaction that ctx carries: that of an Update, for the hooks, or that of
// [WithTx] and [InTx]. It reports false if there is none, if it is not a transaction of
// database/sql, or if it has failed or ended.
//
// If a statement that you run on it fails, the database may have ended the transaction, as MySQL
// does on a deadlock. Return the error. If you do not, the store finds out before it writes, and
// the command fails.
func TxFrom(ctx context.Context) (*sql.Tx, bool) {
	raw, _ := txn.Lend(ctx)
	tx, ok := raw.(*sql.Tx)
	return tx, ok
}

// InTx calls fn with a context that carries a new transaction of db, commits it and then runs the
// After hooks of the commands in it. If fn returns an error or panics, InTx rolls back and returns
// the error. It retries nothing. If the error wraps [ErrCommit], the transaction may have been
// committed, and the hooks do not run.
//
// If ctx carries a transaction already, fn works in that one, and its owner commits.
func InTx(ctx context.Context, db *sql.DB, fn func(ctx context.Context) error) error {
	p := &txn.Pool{Begin: txn.BeginSQL(db, nil, nil, nil)}
	return p.InTx(ctx, fn)
}

// InTx is [InTx] on the store's database. If the database gives up on a deadlock or a serialization
// failure, it calls fn again, so that fn must have no effect but through its ctx. On SQLite it
// waits for the other writers of this Store, so that a host that writes only by InTx does not meet
// SQLITE_BUSY.
//
// fn must pass its own ctx on. A command that gets another context waits for this transaction,
// which waits for fn, until that context ends.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.pool.InTx(ctx, fn)
}

// Joined implements [refund.Joiner].
func (*Store) Joined(ctx context.Context) bool { return txn.From(ctx) != nil }

// AfterCommit implements [refund.Joiner].
func (*Store) AfterCommit(ctx context.Context, f func(ctx context.Context)) bool {
	t := txn.From(ctx)
	return t != nil && t.AfterCommit(f)
}
