package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var (
	_ refund.Store       = (*Store)(nil)
	_ refund.Joiner      = (*Store)(nil)
	_ refund.GatewayDuer = (*Store)(nil)
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
	begin   func(ctx context.Context) (Tx, error) // nil: database/sql's
	pool    any
	prefix  string
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
		pool: opts.Pool, prefix: opts.Prefix,
	}
	if d == SQLite {
		s.turn = make(chan struct{}, 1)
	}
	if d != PostgreSQL && !opts.NoPrepare { // whose drivers do it by themselves
		s.prepared = &prepared{db: db, ready: map[string]*sql.Stmt{}}
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

// Update implements [refund.Store]. fn runs again, on a fresh copy, where the database gives up on a deadlock
// or a serialization failure. Where the answer to COMMIT is lost, the order is read again: the error wraps
// [ErrCommit] if that does not show what has become of it.
func (s *Store) Update(ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error) error {
	var after *order.Order
	err := s.transact(ctx, func(ctx context.Context, j *joint) error {
		var err error
		after, err = s.update(ctx, j, orderID, fn)
		return err
	}, func() *order.Order { return after })
	if err != nil {
		return fmt.Errorf("update order %s: %w", orderID, err)
	}
	return nil
}

func (s *Store) update(ctx context.Context, j *joint, orderID string, fn func(context.Context, *order.Order) error) (*order.Order, error) {
	if j.busy[orderID] {
		return nil, errors.New("nested in an update of the same order")
	}
	before, err := s.lock(ctx, j.conn, orderID)
	if err != nil {
		return nil, err
	}
	j.busy[orderID] = true
	defer delete(j.busy, orderID)
	after := before.Clone()
	if err := fn(ctx, after); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	after = after.Clone() // what fn kept of it reaches nothing
	return after, s.write(ctx, j.conn, before, after)
}

// Create implements [refund.Store].
func (s *Store) Create(ctx context.Context, o *order.Order) error {
	after := o.Clone()
	err := s.transact(ctx, func(ctx context.Context, j *joint) error {
		return s.insert(ctx, j.conn, after)
	}, func() *order.Order { return after })
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
	j, err := s.joint(ctx)
	if err != nil {
		return err
	}
	if j != nil {
		return fn(ctx)
	}
	return s.begun(ctx, func(j *joint) error { return s.run(ctx, j, fn) })
}

// begun calls run with a new transaction, as often as it takes, and then what waited for its commit.
func (s *Store) begun(ctx context.Context, run func(j *joint) error) error {
	var j *joint
	err := s.retry(ctx, func() error {
		j = &joint{told: true, prepared: s.prepared, pool: s.pool}
		return s.inTurn(ctx, func() error { return run(j) })
	})
	if err == nil {
		j.after(ctx)
	}
	s.prepared.catchUp(ctx) // last: nobody waits for it but the caller
	return err
}

// joint is the transaction that ctx carries, if there is one.
func (s *Store) joint(ctx context.Context) (*joint, error) {
	j := jointFrom(ctx)
	switch {
	case j == nil:
		return nil, nil
	case j.ended.Load():
		return nil, errEnded
	case j.pool != nil && j.pool != s.pool:
		return nil, errForeign
	}
	return j, nil
}

// transact runs fn in the transaction that ctx carries, or else in one of its own, as often as it takes.
// wrote tells what a COMMIT would have left.
func (s *Store) transact(ctx context.Context, fn func(ctx context.Context, j *joint) error, wrote func() *order.Order) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j, err := s.joint(ctx)
	if err != nil {
		return err
	}
	if j != nil {
		return j.nested(ctx, fn)
	}
	return s.begun(ctx, func(j *joint) error { return s.once(ctx, j, fn, wrote) })
}

// retry calls f again where the database gave up for another transaction's sake.
func (s *Store) retry(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if s.d.isMissingTable(err) {
			return fmt.Errorf("%w (are the tables there? see Store.Migrate)", err)
		}
		if s.d.classify(err) != faultRetry || try >= s.retries {
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

// once runs one transaction, and finds out what became of it where the answer to COMMIT is lost.
func (s *Store) once(ctx context.Context, j *joint, fn func(ctx context.Context, j *joint) error, wrote func() *order.Order) error {
	err := s.run(ctx, j, func(ctx context.Context) error { return fn(ctx, j) })
	if !errors.Is(err, ErrCommit) {
		return err
	}
	if now, readErr := s.Get(context.WithoutCancel(ctx), wrote().ID); readErr == nil && includes(now, wrote()) {
		return nil
	}
	return err
}

// run calls fn in a new transaction of the store's kind.
func (s *Store) run(ctx context.Context, j *joint, fn func(ctx context.Context) error) error {
	if s.begin != nil {
		return j.runConn(ctx, s.begin, fn)
	}
	err := j.run(ctx, s.db, s.txOptions(), fn)
	if lost, ok := err.(*commitError); ok && s.d.classify(err) == faultRetry { //nolint:errorlint // as run returned it
		return fmt.Errorf("commit: %w", lost.err) // the answer is there: that it was rolled back
	}
	return err
}

// includes reports whether now proves that after was committed: it is after, or has after's new transitions.
func includes(now, after *order.Order) bool {
	if now.Version == after.Version {
		return now.Equal(after)
	}
	return now.Version > after.Version && len(after.History) > 0 && len(now.History) >= len(after.History) &&
		slices.Equal(now.History[:len(after.History)], after.History)
}

// txOptions are those of the store's own transactions. SQLite has one isolation only, and MySQL's default does: where
// its view of the rows is older than the lock, Store.lock reads again.
func (s *Store) txOptions() *sql.TxOptions {
	if s.d == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}
