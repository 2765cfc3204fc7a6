package txn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

// server is a database that notes how statements reach it.
type server struct {
	mu       sync.Mutex
	prepared map[string]int // how often a statement was prepared
	direct   map[string]int // how often it ran unprepared
	asStmt   map[string]int // how often it ran prepared
	refuses  error          // to prepare
	fails    error          // when a prepared statement runs
	commit   func() error   // if not nil
}

func newServer(t *testing.T) (*server, *sql.DB) {
	t.Helper()
	s := &server{prepared: map[string]int{}, direct: map[string]int{}, asStmt: map[string]int{}}
	db := sql.OpenDB(s)
	db.SetMaxOpenConns(1) // one connection has all that was prepared
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return s, db
}

func (s *server) Connect(context.Context) (driver.Conn, error) { return &link{s}, nil }
func (s *server) Driver() driver.Driver                        { return nil }

// link is a connection.
type link struct{ s *server }

func (l *link) Prepare(query string) (driver.Stmt, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.prepared[query]++
	if l.s.refuses != nil {
		return nil, l.s.refuses
	}
	return &stmt{l.s, query}, nil
}

func (l *link) ExecContext(
	_ context.Context, query string, _ []driver.NamedValue,
) (driver.Result, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.direct[query]++
	return driver.RowsAffected(1), nil
}

func (l *link) Begin() (driver.Tx, error) { return tx{l.s}, nil }
func (*link) Close() error                { return nil }

type tx struct{ s *server }

func (x tx) Commit() error {
	if x.s.commit != nil {
		return x.s.commit()
	}
	return nil
}

func (tx) Rollback() error { return nil }

type stmt struct {
	s     *server
	query string
}

func (*stmt) Close() error  { return nil }
func (*stmt) NumInput() int { return -1 }

func (p *stmt) Exec([]driver.Value) (driver.Result, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.fails != nil {
		return nil, p.s.fails
	}
	p.s.asStmt[p.query]++
	return driver.RowsAffected(1), nil
}

func (*stmt) Query([]driver.Value) (driver.Rows, error) { return nil, errSent }

// work runs a statement in a transaction of db, and then prepares what is wanted.
func work(t *testing.T, db *sql.DB, p *txn.Prepared, query string) {
	t.Helper()
	pool := &txn.Pool{Begin: txn.BeginSQL(db, nil, p, nil), Prepared: p}
	require.NoError(t, pool.Atomically(bg, func(ctx context.Context, x *txn.Txn) error {
		_, err := x.Exec(ctx, query)
		return err
	}, nil))
}

// TestStatementsArePrepared: a statement runs unprepared once, and prepared from then on, in
// transactions and outside of them.
func TestStatementsArePrepared(t *testing.T) {
	s, db := newServer(t)
	p := txn.NewPrepared(db)
	for range 3 {
		work(t, db, p, "A")
	}
	_, err := txn.SQL(db, p).Exec(bg, "A")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"A": 1}, s.prepared)
	require.Equal(t, map[string]int{"A": 1}, s.direct)
	require.Equal(t, map[string]int{"A": 3}, s.asStmt)
}

// TestWantedOnce: a statement that runs twice before it is prepared is prepared once.
func TestWantedOnce(t *testing.T) {
	s, db := newServer(t)
	p := txn.NewPrepared(db)
	for range 2 {
		_, err := txn.SQL(db, p).Exec(bg, "A")
		require.NoError(t, err)
	}
	p.CatchUp(bg)
	p.CatchUp(bg)
	require.Equal(t, map[string]int{"A": 1}, s.prepared)
}

// TestPreparedIsBounded: 128 statements are prepared, and the others always run unprepared.
func TestPreparedIsBounded(t *testing.T) {
	s, db := newServer(t)
	p := txn.NewPrepared(db)
	for range 2 {
		for i := range 130 {
			work(t, db, p, fmt.Sprintf("Q%d", i))
		}
	}
	require.Len(t, s.prepared, 128)
	require.Equal(t, 1, s.direct["Q127"])
	require.Equal(t, 2, s.direct["Q128"])
}

// TestRefusedPreparing: a statement that the server does not prepare always runs unprepared.
func TestRefusedPreparing(t *testing.T) {
	s, db := newServer(t)
	s.refuses = errSent
	p := txn.NewPrepared(db)
	for range 3 {
		work(t, db, p, "A")
	}
	require.Equal(t, map[string]int{"A": 1}, s.prepared)
	require.Equal(t, map[string]int{"A": 3}, s.direct)
}

// TestPreparedLater: a caller whose context has ended leaves the preparing to the next one.
func TestPreparedLater(t *testing.T) {
	s, db := newServer(t)
	p := txn.NewPrepared(db)
	_, err := txn.SQL(db, p).Exec(bg, "A")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	p.CatchUp(ctx)
	require.Empty(t, s.prepared)
	work(t, db, p, "A")
	require.Equal(t, map[string]int{"A": 1}, s.prepared)
}

// TestGivenUp: MySQL may refuse to run a prepared statement without having run it. The statement
// runs unprepared then, and always from then on. Any other error is an answer.
func TestGivenUp(t *testing.T) {
	for _, number := range []uint16{1461, 1243, 1615} {
		s, db := newServer(t)
		p := txn.NewPrepared(db)
		work(t, db, p, "A")
		s.fails = &mysql.MySQLError{Number: number}
		work(t, db, p, "A")
		s.fails = nil
		work(t, db, p, "A")
		require.Equal(t, map[string]int{"A": 3}, s.direct)
		require.Empty(t, s.asStmt)
	}
	s, db := newServer(t)
	p := txn.NewPrepared(db)
	work(t, db, p, "A")
	s.fails = &mysql.MySQLError{Number: 1213}
	_, err := txn.SQL(db, p).Exec(bg, "A")
	require.ErrorIs(t, err, s.fails)
	require.Equal(t, 1, s.direct["A"])
}

// TestNothingPrepared: a pool without prepared statements works, too.
func TestNothingPrepared(t *testing.T) {
	s, db := newServer(t)
	for range 2 {
		work(t, db, nil, "A")
	}
	require.Equal(t, map[string]int{"A": 2}, s.direct)
	require.Empty(t, s.prepared)
}

// TestErrorsOfBegin: the error of a connection or of BEGIN is returned, and says which.
func TestErrorsOfBegin(t *testing.T) {
	_, db := newServer(t)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err := txn.BeginSQL(db, nil, nil, nil)(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "connect: ")
	opts := &sql.TxOptions{Isolation: sql.LevelLinearizable}
	_, err = txn.BeginSQL(db, opts, nil, nil)(bg)
	require.Error(t, err)
	require.Zero(t, db.Stats().InUse)
}
