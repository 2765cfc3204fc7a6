// Package txn carries database transactions in contexts. It begins and commits them for package
// sqlstore and for package pgxtx, which adds transactions of pgx.
package txn

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

var (
	// ErrCommit is returned if the answer to COMMIT was lost and nothing proves that it was
	// executed.
	ErrCommit = errors.New("the answer to COMMIT was lost: it may have been executed")
	// ErrEnded is returned for a context that has outlived its transaction.
	ErrEnded = errors.New("the transaction of this context has ended")
	// ErrGone is returned, with an error that says what failed, if the database has ended the
	// transaction by itself. The reason may be a deadlock that only the host has seen.
	ErrGone = errors.New("the database has ended the transaction")

	errFailed = errors.New("the transaction is over: a statement failed in it " +
		"or the database has ended it")
	errForeign = errors.New("the context carries a transaction that a Store on another pool " +
		"began: use a context without it, or one pool for both")
)

// Probe is a way to find out that the database has ended a transaction.
type Probe int

const (
	// ProbeNone is for PostgreSQL, which refuses every statement until the client has ended the
	// transaction.
	ProbeNone Probe = iota
	// ProbeMarker is for MySQL, which ends a transaction on a deadlock: only the end of the
	// transaction removes a savepoint that is set before.
	ProbeMarker
	// ProbeBegin is for SQLite, which ends a transaction on a full disk: it refuses a BEGIN in a
	// transaction, so that a BEGIN succeeds only if there is none.
	ProbeBegin
)

// Txn is a transaction that a context carries. Like PostgreSQL it refuses every statement after one
// that has failed, until it has rolled back to a savepoint. A statement may fail because the
// database has ended the transaction (MySQL on a deadlock, SQLite on a full disk), and what is sent
// after that would be committed by itself.
//
// Like the driver's transaction it is for one goroutine at a time.
type Txn struct {
	conn  Conn
	pool  any // the key of the pool that began it; nil if the host began it
	probe Probe
	// owned reports that this package commits it and then runs afterCommit.
	owned       bool
	afterCommit []func(ctx context.Context)
	ended       atomic.Bool // the context may outlive the transaction

	updating map[any]bool // see Enter
	depth    int          // the number of commands that run inside one another
	failed   error        // the error after which all statements are refused
	// lent reports that the host has the driver's transaction. The statements that the host runs on
	// it are not seen here, so that the store checks that the transaction is alive before it
	// writes.
	lent   bool
	marked bool // the marker of the command at this depth is set
}

type key struct{}

// From returns the transaction that ctx carries, or nil.
func From(ctx context.Context) *Txn {
	t, _ := ctx.Value(key{}).(*Txn)
	return t
}

// With returns a context that carries a transaction of the host, who ends it. It returns ctx if
// that carries the same transaction already.
func With(ctx context.Context, c Conn) context.Context {
	if t := From(ctx); t != nil && t.conn.Raw() == c.Raw() {
		return ctx
	}
	return context.WithValue(ctx, key{}, &Txn{conn: c, lent: true, updating: map[any]bool{}})
}

// Lend returns the driver's transaction that ctx carries, for the host's own statements. It reports
// false if there is none, or if it has failed or ended.
func Lend(ctx context.Context) (raw any, ok bool) {
	t := From(ctx)
	if t == nil || t.ended.Load() {
		return nil, false
	}
	t.lent = true
	if t.setMarker(ctx) != nil {
		return nil, false
	}
	return t.conn.Raw(), true
}

// AfterCommit makes the owner of the transaction call f after the commit. It reports false if this
// package does not commit the transaction.
func (t *Txn) AfterCommit(f func(ctx context.Context)) bool {
	if !t.owned || t.ended.Load() {
		return false
	}
	t.afterCommit = append(t.afterCommit, f)
	return true
}

// Enter notes that an update of key is running, until leave is called. It reports false if one is
// running already.
func (t *Txn) Enter(key any) (leave func(), ok bool) {
	if t.updating[key] {
		return nil, false
	}
	t.updating[key] = true
	return func() { delete(t.updating, key) }, true
}

// refusal returns an error if a statement has failed.
func (t *Txn) refusal() error {
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errFailed, t.failed)
	}
	return nil
}

// keep keeps the first error of a statement, and returns err.
func (t *Txn) keep(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// Exec implements Conn.
func (t *Txn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.refusal(); err != nil {
		return 0, err
	}
	n, err := t.conn.Exec(ctx, query, args...)
	return n, t.keep(err)
}

// Query implements Conn.
func (t *Txn) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	if err := t.refusal(); err != nil {
		return nil, err
	}
	rows, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, t.keep(err)
	}
	return txnRows{rows, t}, nil
}

// Raw implements Conn.
func (t *Txn) Raw() any { return t.conn.Raw() }

// txnRows are the rows of a statement that may still fail.
type txnRows struct {
	Rows
	t *Txn
}

// Err implements Rows.
func (r txnRows) Err() error { return r.t.keep(r.Rows.Err()) }

// Close implements Rows.
func (r txnRows) Close() error { return r.t.keep(r.Rows.Close()) }
