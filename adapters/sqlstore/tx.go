package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// txn is a transaction that a context carries. The store runs its statements through it. Like PostgreSQL does by
// itself, it refuses every statement after one that has failed, until it has rolled back to a savepoint: a statement
// may fail because the database has ended the transaction (MySQL on a deadlock, SQLite on a full disk), and what is sent
// after that would be committed alone.
type txn struct {
	conn Conn
	sql  *sql.Tx // nil if conn is not database/sql's
	pool any     // of the Store that began it; nil if the host did
	d    Dialect // of the Store that works in it; "" before there is one
	// ours reports that this package commits it, and then runs pending.
	ours    bool
	pending []func(context.Context) // what AfterCommit was given
	ended   atomic.Bool             // its context may outlive it

	busy  map[orderKey]bool // orders whose fn is running
	depth int               // counts the commands that run inside one another
	// failed is the error of the statement after which the others are refused.
	failed error
	// lent reports that the host has the transaction in its hands. What the host runs on it is not seen here, so
	// that the store checks that it lives before it writes.
	lent bool
	// marked reports that the command at this depth has set its marker; see mark.
	marked bool
}

// orderKey names an order among all Stores on one pool.
type orderKey struct{ prefix, id string }

type txnKey struct{}

func txnFrom(ctx context.Context) *txn {
	t, _ := ctx.Value(txnKey{}).(*txn)
	return t
}

func (t *txn) join(ctx context.Context) context.Context {
	t.busy = map[orderKey]bool{}
	return context.WithValue(ctx, txnKey{}, t)
}

var (
	errRolledBack = errors.New("the transaction is over: a statement failed in it or the database has ended it")
	// errGone is the part of errRolledBack that says that the database has ended the transaction, by its own choice
	// and for a reason that only the host may have seen. It may be a deadlock.
	errGone    = errors.New("the database has ended the transaction")
	errEnded   = errors.New("the transaction of this context has ended")
	errForeign = errors.New("the context carries a transaction that a Store on another pool began: " +
		"use a context without it, or one pool for both")
)

// ErrCommit is returned if the answer to COMMIT was lost and nothing proves that it was executed: the transaction may
// have been committed or not.
var ErrCommit = errors.New("the answer to COMMIT was lost: it may have been executed")

// live returns an error once a statement has failed.
func (t *txn) live() error {
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errRolledBack, t.failed)
	}
	return nil
}

// note keeps the first error of a statement, and returns err.
func (t *txn) note(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// Exec implements Conn.
func (t *txn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.live(); err != nil {
		return 0, err
	}
	n, err := t.conn.Exec(ctx, query, args...)
	return n, t.note(err)
}

// Query implements Conn.
func (t *txn) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	if err := t.live(); err != nil {
		return nil, err
	}
	rows, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, t.note(err)
	}
	return txnRows{rows, t}, nil
}

// txnRows are the rows of a statement that may still fail.
type txnRows struct {
	Rows
	t *txn
}

// Err implements Rows.
func (r txnRows) Err() error { return r.t.note(r.Rows.Err()) }

// Close implements Rows.
func (r txnRows) Close() error { return r.t.note(r.Rows.Close()) }

// lend notes that the host gets the transaction, and marks it.
func (t *txn) lend(ctx context.Context) error {
	t.lent = true
	return t.mark(ctx)
}

// mark prepares for alive in the command at this depth, once the host has the transaction. MySQL gets a savepoint that
// only the end of the transaction removes. PostgreSQL needs nothing: it refuses by itself. Nor does SQLite.
func (t *txn) mark(ctx context.Context) error {
	if !t.lent || t.marked || t.d != MySQL || t.depth == 0 && !t.ours {
		return nil
	}
	if _, err := t.Exec(ctx, "SAVEPOINT "+t.marker()); err != nil {
		return fmt.Errorf("mark the transaction: %w", err)
	}
	t.marked = true
	return nil
}

func (t *txn) marker() string { return fmt.Sprintf("orderfsm_%d_lent", t.depth) }

// alive returns an error if the database has ended the transaction. It sends nothing if the host never had it.
func (t *txn) alive(ctx context.Context) error {
	if err := t.live(); err != nil || !t.lent {
		return err
	}
	switch {
	case t.d == MySQL && t.marked:
		t.marked = false
		if _, err := t.conn.Exec(ctx, "RELEASE SAVEPOINT "+t.marker()); err != nil {
			t.failed = fmt.Errorf("%w: %w", errGone, err)
		}
	case t.d == SQLite:
		// A transaction in a transaction is refused, so that this succeeds only if there is none.
		if _, err := t.conn.Exec(ctx, "BEGIN"); err == nil {
			_, _ = t.conn.Exec(ctx, "ROLLBACK")
			t.failed = errGone
		}
	}
	return t.live()
}

// nested runs one command in a transaction that goes on: a command that fails leaves nothing in it, not even
// what its hooks have written.
func (t *txn) nested(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if err := t.begin(ctx); err != nil {
		return err
	}
	savepoint := fmt.Sprintf("orderfsm_%d", t.depth+1)
	// If this fails there is nothing to go back to: one of this name may be left of an earlier command.
	if _, err := t.Exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	outer, waiting, done := t.marked, len(t.pending), false
	t.depth++
	t.marked = false
	defer func() {
		after, cancel := outlive(ctx)
		defer cancel()
		if done && err == nil {
			err = t.release(after, savepoint)
		} else { // also if fn panicked, or its goroutine ends
			t.pending = t.pending[:waiting]
			t.rollbackTo(after, savepoint)
		}
		t.depth--
		t.marked = outer
		if markErr := t.mark(after); err == nil { // it may have been lent meanwhile
			err = markErr
		}
	}()
	if err = t.mark(ctx); err == nil {
		err = fn(ctx)
	}
	done = true
	return err
}

// begin prepares the transaction for a command inside it.
func (t *txn) begin(ctx context.Context) error {
	if t.d == SQLite { // a savepoint would begin a new transaction if there is none
		return t.alive(ctx)
	}
	if err := t.live(); err != nil {
		return err
	}
	return t.mark(ctx) // if it was lent before a Store worked in it
}

func (t *txn) release(ctx context.Context, savepoint string) error {
	if _, err := t.Exec(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
		return fmt.Errorf("release the savepoint: %w", err)
	}
	return nil
}

// rollbackTo leaves the transaction as it was at the savepoint. That the savepoint is still there proves that the
// transaction has not ended since, whatever has failed in it.
func (t *txn) rollbackTo(ctx context.Context, savepoint string) {
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
	switch {
	case err == nil:
		t.failed = nil
	case t.failed == nil:
		t.failed = fmt.Errorf("%w: %w", errGone, err)
	}
}

// run calls fn in a new transaction and commits it.
func (t *txn) run(
	ctx context.Context, begin func(ctx context.Context) (Tx, error), fn func(ctx context.Context) error,
) error {
	tx, err := begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { // also if fn panicked, or its goroutine ends
		t.ended.Store(true)
		after, cancel := outlive(ctx)
		defer cancel()
		_ = tx.Rollback(after)
	}()
	t.conn = tx
	if own, ok := tx.(*sqlTx); ok {
		t.conn, t.sql = own.sqlConn, own.tx
	}
	if err := fn(t.join(ctx)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.alive(ctx); err != nil {
		return err
	}
	t.ended.Store(true)
	return tx.Commit(ctx)
}

// after runs what waited for the commit.
func (t *txn) after(ctx context.Context) {
	for _, f := range t.pending {
		f(context.WithoutCancel(ctx))
	}
}

// grace is how long work that must be done after a command may outlast the command's context.
const grace = time.Second

// outlive returns a context that ends a grace after ctx has ended.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = pause(longer, grace)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}
