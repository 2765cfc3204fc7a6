package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var (
	_ refund.Store  = (*Store)(nil)
	_ refund.Joiner = (*Store)(nil)
)

// defaultPrefix begins the names of the tables in the files of migrations.
const defaultPrefix = "orderfsm_"

// Options are the optional parts of a [Store]. The zero value is ready for use.
type Options struct {
	// Prefix begins the names of the tables and indexes: 1 to 32 of a-z, 0-9 and _, not beginning
	// with a digit. If empty, "orderfsm_".
	Prefix string
	// Retries is how often a transaction is repeated after a deadlock or a serialization failure.
	// If zero, 20. If negative, never.
	Retries int
	// NoPrepare sends statements unprepared, on SQLite and MySQL. Set it if the server must not
	// hold many prepared statements: max_prepared_stmt_count of MySQL counts some dozens for each
	// connection.
	NoPrepare bool
	// Now is the clock of Store.Now, for tests that move the time. If nil, the database's clock.
	Now func() time.Time
}

// Store keeps orders in a SQL database. [New] returns one. It is safe for concurrent use, by any
// number of processes on one database.
type Store struct {
	db   *sql.DB
	d    Dialect
	opts Options
	sql  statements
	pool *txn.Pool
	// pause waits before a retry, for d or until ctx ends.
	pause func(ctx context.Context, d time.Duration) error
}

var prefixes = regexp.MustCompile("^[a-z_][a-z0-9_]{0,31}$")

// New returns a Store on db, in tables that [Store.Migrate] makes. It does not call the database.
// Its error is an [*order.InvalidError] with the name of the wrong argument.
func New(db *sql.DB, d Dialect, opts Options) (*Store, error) {
	if db == nil {
		return nil, &order.InvalidError{Field: "db", Problem: "is nil"}
	}
	if d != SQLite && d != PostgreSQL && d != MySQL {
		problem := fmt.Sprintf("%q is none of sqlite, postgresql and mysql", string(d))
		return nil, &order.InvalidError{Field: "dialect", Problem: problem}
	}
	opts.Prefix = cmp.Or(opts.Prefix, defaultPrefix)
	opts.Retries = cmp.Or(opts.Retries, 20)
	if !prefixes.MatchString(opts.Prefix) {
		problem := "must be 1 to 32 of a-z, 0-9 and _, not beginning with a digit"
		return nil, &order.InvalidError{Field: "prefix", Problem: problem}
	}
	s := &Store{db: db, d: d, opts: opts, sql: newStatements(d, opts.Prefix), pause: txn.Pause}
	s.pool = s.newPool()
	return s, nil
}

// newPool returns what begins the store's transactions.
func (s *Store) newPool() *txn.Pool {
	p, prepare := &txn.Pool{Key: s.db, Again: s.again}, !s.opts.NoPrepare
	// SQLite has one isolation only. MySQL keeps its default: if its view of the rows is older than
	// the lock, Store.lock reads again.
	var isolation *sql.TxOptions
	switch s.d {
	case SQLite:
		p.Probe, p.Turn = txn.ProbeBegin, make(chan struct{}, 1)
	case MySQL:
		p.Probe = txn.ProbeMarker
	case PostgreSQL: // its drivers prepare statements by themselves
		prepare = false
		isolation = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	if prepare {
		p.Prepared = txn.NewPrepared(s.db)
	}
	p.Begin = txn.BeginSQL(s.db, isolation, p.Prepared, s.d.IsRetryable)
	if native, ok := s.db.Driver().(txn.Native); ok {
		p.Begin, p.Key = native.BeginNative, native.Key()
	}
	return p
}

// Update implements [refund.Store]. If the database gives up on a deadlock or a serialization
// failure, Update calls fn again, on a fresh copy.
//
// If the answer to COMMIT is lost, Update looks for the random number that it wrote into the
// order's row. If it is there, Update has succeeded. Otherwise the error wraps [ErrCommit], and the
// COMMIT may have been executed. Give the same command again: every command is idempotent.
func (s *Store) Update(
	ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error,
) error {
	err := s.atomically(ctx, orderID, func(ctx context.Context, t *txn.Txn) (updateID, error) {
		leave, ok := t.Enter(orderKey{s.opts.Prefix, orderID})
		if !ok {
			return 0, errors.New("nested in an update of the same order")
		}
		defer leave()
		before, err := s.lock(ctx, t, orderID)
		if err != nil {
			return 0, err
		}
		after := before.Clone()
		if err := fn(ctx, after); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := t.CheckAlive(ctx); err != nil {
			return 0, err
		}
		return s.write(ctx, t, before, after)
	})
	if err != nil {
		return fmt.Errorf("update order %s: %w", orderID, err)
	}
	return nil
}

// orderKey identifies an order among all Stores on one pool.
type orderKey struct{ prefix, id string }

// Create implements [refund.Store]. It treats a lost answer to COMMIT as Update does.
func (s *Store) Create(ctx context.Context, o *order.Order) error {
	err := s.atomically(ctx, o.ID, func(ctx context.Context, t *txn.Txn) (updateID, error) {
		if err := t.CheckAlive(ctx); err != nil {
			return 0, err
		}
		return s.insert(ctx, t, o)
	})
	if err != nil {
		return fmt.Errorf("create order %s: %w", o.ID, err)
	}
	return nil
}

// atomically calls fn in the transaction that ctx carries, after a savepoint, or in a new one. fn
// returns the ID that it wrote into the order's row. Only this ID proves that a COMMIT whose answer
// is lost was executed: a later version or a longer history may be the work of others.
func (s *Store) atomically(
	ctx context.Context, orderID string,
	fn func(ctx context.Context, t *txn.Txn) (updateID, error),
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var written updateID
	run := func(ctx context.Context, t *txn.Txn) (err error) {
		written, err = fn(ctx, t)
		return err
	}
	t, err := s.pool.Joined(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		return t.Nested(ctx, func(ctx context.Context) error { return run(ctx, t) })
	}
	return s.pool.Atomically(ctx, run, func(ctx context.Context) bool {
		return written != 0 && s.updateID(ctx, orderID) == written
	})
}

// updateID reads the ID of the last write of an order's row, outside of any transaction. It returns
// 0 if there is none or the database does not answer.
func (s *Store) updateID(ctx context.Context, orderID string) updateID {
	ctx, cancel := txn.Outlive(ctx)
	defer cancel()
	var found int64
	err := s.pool.Retry(ctx, func() error {
		args, dest := []any{orderID}, []any{&found}
		return scan(ctx, txn.SQL(s.db, nil), s.sql.updateID, args, dest, func() {})
	})
	if err != nil {
		return 0
	}
	return updateID(found)
}

// again pauses and returns nil if the work that failed with err should be tried again. Otherwise it
// returns the error to give up with.
func (s *Store) again(ctx context.Context, err error, try int) error {
	if s.d.isMissingTable(err) {
		return fmt.Errorf("%w (are the tables there? see Store.Migrate)", err)
	}
	if !s.d.IsRetryable(err) && !errors.Is(err, txn.ErrGone) || try >= s.opts.Retries {
		return err
	}
	// Up to 1, 2, 4 … 128 ms, so that transactions that met do not meet again.
	most := time.Millisecond << min(try, 7)
	//nolint:gosec // it spreads load and hides nothing
	if s.pause(ctx, rand.N(most)+most/8) != nil {
		return err
	}
	return nil
}
