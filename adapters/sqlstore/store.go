package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var (
	_ refund.Store  = (*Store)(nil)
	_ refund.Joiner = (*Store)(nil)
)

// DefaultPrefix begins the names of the tables.
const DefaultPrefix = "orderfsm_"

// Options are the optional parts of a [Store]. The zero value is ready for use.
type Options struct {
	// Prefix begins the names of the tables and indexes: 1 to 32 of a-z, 0-9 and _, the first no digit.
	// Default: DefaultPrefix.
	Prefix string
	// Retries is how often an Update or Create is begun again after a deadlock or a serialization failure.
	// Default: 20. Negative means never.
	Retries int
	// NoPrepare has statements sent as they are, on SQLite and MySQL: where a server has to spare them (MySQL's
	// max_prepared_stmt_count counts up to some dozens for each connection of the pool).
	NoPrepare bool
	// Begin begins the transactions of the Store with another driver, on the same database; package pgxtx sets it. Default:
	// they are database/sql's.
	Begin func(ctx context.Context) (Tx, error)
	// Pool is what Begin begins on, a pointer: Stores that have the same one may work in each other's transactions.
	// Default: db.
	Pool any
	// Now is the clock of Store.Now, for tests that move the time. If nil, the database's.
	Now func() time.Time
	// Pause waits before a retry, for up to d, or until ctx ends. Default: a timer.
	Pause func(ctx context.Context, d time.Duration) error
}

// Store keeps orders in a SQL database. Make it with [New]; it is safe for concurrent use, by any number of
// processes on one database.
type Store struct {
	db      *sql.DB
	d       Dialect
	sql     statements
	retries int
	pause   func(ctx context.Context, d time.Duration) error
	begin   func(ctx context.Context) (Tx, error)
	pool    any
	prefix  string
	now     func() time.Time // nil: the database's
	// turn holds a token while this Store writes to SQLite, which takes one writer at a time and has the
	// others try again and again; waiting for a channel is fair, and ends with the context.
	turn chan struct{}
	// prepared is nil where the driver prepares what it is given by itself.
	prepared *prepared
}

// New returns a Store on db, whose tables [Store.Migrate] makes. It does not call the database. Its error
// is an [*order.InvalidError] that names what is wrong.
func New(db *sql.DB, d Dialect, opts Options) (*Store, error) {
	if db == nil {
		return nil, &order.InvalidError{Field: "db", Problem: "is nil"}
	}
	switch d {
	case SQLite, PostgreSQL, MySQL:
	default:
		return nil, &order.InvalidError{Field: "dialect", Problem: fmt.Sprintf("%q is none of sqlite, postgresql and mysql", string(d))}
	}
	if opts.Prefix == "" {
		opts.Prefix = DefaultPrefix
	}
	if !isPrefix(opts.Prefix) {
		return nil, &order.InvalidError{Field: "prefix", Problem: "must be 1 to 32 of a-z, 0-9 and _, the first no digit"}
	}
	if opts.Retries == 0 {
		opts.Retries = 20
	}
	if opts.Pool == nil {
		opts.Pool = db
	}
	if opts.Pause == nil {
		opts.Pause = pause
	}
	s := &Store{
		db: db, d: d, sql: newStatements(d, opts.Prefix), retries: opts.Retries, pause: opts.Pause, begin: opts.Begin,
		pool: opts.Pool, prefix: opts.Prefix, now: opts.Now,
	}
	if d == SQLite {
		s.turn = make(chan struct{}, 1)
	}
	if d != PostgreSQL && !opts.NoPrepare { // whose drivers do it by themselves
		s.prepared = &prepared{db: db, ready: map[string]*sql.Stmt{}}
	}
	if s.begin == nil {
		s.begin = func(ctx context.Context) (Tx, error) { return beginSQL(ctx, db, s.txOptions(), s.prepared) }
	}
	return s, nil
}

func isPrefix(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Update implements [refund.Store]. fn runs again, on a fresh copy, if the database gives up on a deadlock or a
// serialization failure. If the answer to COMMIT is lost, Update looks for the random number that it wrote into the
// order's row: found, it has succeeded. In all other cases the error wraps [ErrCommit], and nobody knows whether it was
// committed; the same command may be given again, because each one is idempotent.
func (s *Store) Update(ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error) error {
	err := s.transact(ctx, orderID, func(ctx context.Context, t *txn) (updateID, error) {
		return s.update(ctx, t, orderID, fn)
	})
	if err != nil {
		return fmt.Errorf("update order %s: %w", orderID, err)
	}
	return nil
}

func (s *Store) update(
	ctx context.Context, t *txn, orderID string, fn func(context.Context, *order.Order) error,
) (updateID, error) {
	key := orderKey{s.prefix, orderID}
	if t.busy[key] {
		return 0, errors.New("nested in an update of the same order")
	}
	before, err := s.lock(ctx, t, orderID)
	if err != nil {
		return 0, err
	}
	t.busy[key] = true
	defer delete(t.busy, key)
	after := before.Clone()
	if err := fn(ctx, after); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := t.alive(ctx); err != nil {
		return 0, err
	}
	return s.write(ctx, t, before, after)
}

// Create implements [refund.Store]. It treats a lost answer to COMMIT as Update does.
func (s *Store) Create(ctx context.Context, o *order.Order) error {
	err := s.transact(ctx, o.ID, func(ctx context.Context, t *txn) (updateID, error) {
		if err := t.alive(ctx); err != nil {
			return 0, err
		}
		return s.insert(ctx, t, o)
	})
	if err != nil {
		return fmt.Errorf("create order %s: %w", o.ID, err)
	}
	return nil
}

// InTx is [InTx] on the store's database, which calls fn again where the database gave up on a deadlock or a
// serialization failure, as Update does: fn must have no effect but through its ctx. On SQLite it waits for its turn
// among the writers of this Store, so that a host that writes by it alone does not meet SQLITE_BUSY.
//
// fn must hand on its own ctx. A command that gets another one waits for this transaction, which waits for fn: until
// that ctx ends, or for ever.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	t, err := s.carried(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		return fn(ctx)
	}
	return s.begun(ctx, func(t *txn) error { return s.run(ctx, t, fn) })
}

// begun calls run with a new transaction, as often as it takes, and then what waited for its commit.
func (s *Store) begun(ctx context.Context, run func(t *txn) error) error {
	var t *txn
	err := s.retry(ctx, func() error {
		t = &txn{ours: true, pool: s.pool, d: s.d}
		return s.inTurn(ctx, func() error { return run(t) })
	})
	if err == nil {
		t.after(ctx)
	}
	s.prepared.catchUp(ctx) // last: nobody waits for it but the caller
	return err
}

// carried returns the transaction that ctx carries, if there is one.
func (s *Store) carried(ctx context.Context) (*txn, error) {
	t := txnFrom(ctx)
	switch {
	case t == nil:
		return nil, nil
	case t.ended.Load():
		return nil, errEnded
	case t.pool != nil && t.pool != s.pool:
		return nil, errForeign
	}
	t.d = s.d
	return t, nil
}

// transact runs fn in the transaction that ctx carries, or else in a new one, as often as it takes. fn returns the ID
// that it wrote into the row of the order.
func (s *Store) transact(
	ctx context.Context, orderID string, fn func(ctx context.Context, t *txn) (updateID, error),
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := s.carried(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		return t.nested(ctx, func(ctx context.Context) error { _, err := fn(ctx, t); return err })
	}
	return s.begun(ctx, func(t *txn) error {
		var id updateID
		err := s.run(ctx, t, func(ctx context.Context) (err error) {
			id, err = fn(ctx, t)
			return err
		})
		if errors.Is(err, ErrCommit) && id != 0 && s.committed(ctx, orderID, id) {
			return nil
		}
		return err
	})
}

// committed reports whether the database holds the order as the write with this ID left it, after the answer to the
// COMMIT of that write was lost. Nothing else proves that the COMMIT was executed: a later version or a longer history
// may be the work of others.
func (s *Store) committed(ctx context.Context, orderID string, id updateID) bool {
	ctx, cancel := outlive(ctx)
	defer cancel()
	var found int64
	err := s.retry(ctx, func() error {
		return each(ctx, sqlConn{on: s.db}, s.sql.updateID, []any{orderID}, func(r Rows) error { return r.Scan(&found) })
	})
	return err == nil && updateID(found) == id
}

// retry calls f again where the database gave up for another transaction's sake.
func (s *Store) retry(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if s.d.isMissingTable(err) {
			return fmt.Errorf("%w (are the tables there? see Store.Migrate)", err)
		}
		if s.d.classify(err) != faultRetry && !errors.Is(err, errGone) || try >= s.retries {
			return err
		}
		// Up to 1, 2, 4 … 128 ms, so that those who met do not meet again.
		most := time.Millisecond << min(try, 7)
		if s.pause(ctx, rand.N(most)+most/8) != nil { //nolint:gosec // spreads load, hides nothing
			return err
		}
	}
}

// inTurn calls f when this Store may write.
func (s *Store) inTurn(ctx context.Context, f func() error) error {
	if s.turn == nil {
		return f()
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	return f()
}

// run calls fn in a new transaction of the store's kind and commits it.
func (s *Store) run(ctx context.Context, t *txn, fn func(ctx context.Context) error) error {
	err := t.run(ctx, s.begin, fn)
	if lost, ok := err.(*commitError); ok && s.d.classify(err) == faultRetry { //nolint:errorlint // as run returned it
		return fmt.Errorf("commit: %w", lost.err) // the answer is there: that it was rolled back
	}
	return err
}

// txOptions are those of the store's own transactions. SQLite has one isolation only, and MySQL's default does: where
// its view of the rows is older than the lock, Store.lock reads again.
func (s *Store) txOptions() *sql.TxOptions {
	if s.d == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}
