package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/sqlite3"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestStoreInTx: after a deadlock Store.InTx begins again, with the statements of the host and of
// the Service, and the hooks run once.
func TestStoreInTx(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		ran := 0
		svc := service(t, s, refund.Options{Hooks: []refund.Hooks{{After: func(context.Context,
			*order.Order, order.Transition,
		) {
			ran++
		}}}})
		for i := range 2 {
			register(t, svc, fmt.Sprintf("O-%d", i))
		}
		tries := 0
		require.NoError(t, s.InTx(bg, func(ctx context.Context) error {
			tries++
			if err := ask(ctx, svc, "O-0", "R-0", 60); err != nil {
				return err
			}
			if tries == 1 {
				return fmt.Errorf("the host's own statement: %w", deadlock(t, d.dialect))
			}
			// in the same one
			return s.InTx(ctx, func(ctx context.Context) error {
				return ask(ctx, svc, "O-1", "R-1", 60)
			})
		}))
		require.Equal(t, 2, tries)
		require.Equal(t, 2, ran)
		for i := range 2 {
			o, err := s.Get(bg, fmt.Sprintf("O-%d", i))
			require.NoError(t, err)
			require.Len(t, o.Refunds, 1)
			require.EqualValues(t, 60, o.Reserved)
		}
		require.ErrorIs(t, s.InTx(bg, func(ctx context.Context) error {
			return errors.Join(ask(ctx, svc, "O-0", "R-2", 10), io.EOF)
		}), io.EOF)
		o, err := s.Get(bg, "O-0")
		require.NoError(t, err)
		require.Len(t, o.Refunds, 1, "rolled back")
		require.Equal(t, 2, ran)
	})
}

// TestRetriesAreCounted: a transaction is repeated as often as Options say, and no more.
func TestRetriesAreCounted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		_, db := d.store(t)
		again := deadlock(t, d.dialect)
		for retries, want := range map[int]int{-1: 1, 1: 2, 3: 4, 0: 21} {
			s, err := sqlstore.New(db, d.dialect, sqlstore.Options{Retries: retries})
			require.NoError(t, err)
			s.SetPause(func(context.Context, time.Duration) error { return nil })
			calls := 0
			err = s.InTx(bg, func(context.Context) error { calls++; return again })
			require.ErrorIs(t, err, again)
			require.Equal(t, want, calls)
		}
	})
}

// TestReadAfterTheTransaction: a context that has outlived its transaction reads outside of any.
func TestReadAfterTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		var inside context.Context
		require.NoError(t, s.InTx(bg, func(ctx context.Context) error { inside = ctx; return nil }))
		_, err := s.Get(inside, "O-1")
		require.NoError(t, err)
		require.Error(t, s.Update(inside, "O-1", lease), "but it does not write")
	})
}

// TestCancelledInTxFreesItsConnection: when the context of InTx ends, the pool gets the connection,
// although the host's function still runs. It may be waiting for a second connection.
func TestCancelledInTxFreesItsConnection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		db.SetMaxOpenConns(1)
		type work = func(ctx context.Context) error
		for name, inTx := range map[string]func(ctx context.Context, fn work) error{
			"Store.InTx": s.InTx,
			"InTx": func(ctx context.Context, fn work) error {
				return sqlstore.InTx(ctx, db, fn)
			},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				err := inTx(ctx, func(context.Context) error {
					cancel()
					limited, cancel := context.WithTimeout(bg, patience)
					defer cancel()
					other, err := db.Conn(limited)
					if err != nil {
						return err
					}
					return other.Close()
				})
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, 0, db.Stats().InUse)
			})
		}
	})
}

// TestStoreInTxOtherContext: a command that gets the context from outside InTx waits for InTx,
// which waits for the command. When the context ends, both end and leave nothing.
func TestStoreInTxOtherContext(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		svc := service(t, s, refund.Options{})
		register(t, svc, "O-0")
		outer, cancel := context.WithTimeout(bg, 300*time.Millisecond)
		defer cancel()
		err := s.InTx(outer, func(ctx context.Context) error {
			if err := ask(ctx, svc, "O-0", "R-0", 60); err != nil {
				return err
			}
			return ask(outer, svc, "O-0", "R-1", 60)
		})
		require.Error(t, err)
		require.Error(t, outer.Err(), "it was not refused before that")
		require.Empty(t, requireLegal(t, s, "O-0").Refunds)
		require.NoError(t, ask(bg, svc, "O-0", "R-2", 60), "it goes on")
	})
}

// deadlock returns the driver's error for a deadlock.
func deadlock(t testing.TB, d sqlstore.Dialect) error {
	t.Helper()
	switch d {
	case sqlstore.PostgreSQL:
		return &pgconn.PgError{Code: "40P01"}
	case sqlstore.MySQL:
		return &mysql.MySQLError{Number: 1213, Message: "Deadlock found"}
	case sqlstore.SQLite:
	}
	return sqliteSays(t, func(a, b *sql.Conn) error {
		_, err := a.ExecContext(bg, "BEGIN IMMEDIATE")
		require.NoError(t, err)
		_, err = b.ExecContext(bg, "BEGIN IMMEDIATE")
		return err
	})
}

// sqliteSays returns an error of the driver, which only the driver can make.
func sqliteSays(t testing.TB, ask func(a, b *sql.Conn) error) error {
	t.Helper()
	d := databases()[0]
	db := d.connect(t, strings.Replace(d.fresh(t), "busy_timeout(60000)", "busy_timeout(0)", 1))
	conns := make([]*sql.Conn, 2)
	for i := range conns {
		var err error
		conns[i], err = db.Conn(bg)
		require.NoError(t, err)
		defer conns[i].Close()
	}
	err := ask(conns[0], conns[1])
	require.Error(t, err)
	return err
}

// duplicate returns the driver's error for a key that is taken.
func duplicate(t testing.TB, d sqlstore.Dialect, index string) error {
	t.Helper()
	switch d {
	case sqlstore.PostgreSQL:
		return &pgconn.PgError{Code: "23505"}
	case sqlstore.MySQL:
		return &mysql.MySQLError{Number: 1062, Message: "Duplicate entry"}
	case sqlstore.SQLite:
	}
	return sqliteSays(t, func(a, _ *sql.Conn) error {
		_, err := a.ExecContext(bg,
			"CREATE TABLE t (id TEXT "+index+"); INSERT INTO t VALUES ('a')")
		require.NoError(t, err)
		_, err = a.ExecContext(bg, "INSERT INTO t VALUES ('a')")
		return err
	})
}

// wraps are the ways in which an error may arrive.
var wraps = []func(error) error{
	func(err error) error { return err },
	func(err error) error { return fmt.Errorf("save: %w", err) },
	func(err error) error { return errors.Join(io.EOF, fmt.Errorf("save: %w", err)) },
	func(err error) error { return fmt.Errorf("%w: %w", io.EOF, err) },
}

// TestErrorKinds: the error of a driver is found in any tree of errors.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for _, d := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.SQLite} {
		for _, wrap := range wraps {
			for _, index := range []string{"PRIMARY KEY", "UNIQUE"} {
				dup := wrap(duplicate(t, d, index))
				require.True(t, d.IsDuplicate(dup), "%s: %v", d, dup)
				require.False(t, d.IsRetryable(dup))
			}
			locked := wrap(deadlock(t, d))
			require.True(t, d.IsRetryable(locked), "%s: %v", d, locked)
			require.False(t, d.IsDuplicate(locked))
		}
		require.False(t, d.IsDuplicate(nil) || d.IsRetryable(nil) || d.IsRetryable(io.EOF))
	}
	for _, err := range []error{sqlite3.Error{
		Code: 5,
	}, sqlite3.Error{Code: 5, ExtendedCode: 517}, sqlite3.Methods(6), sqlite3.Methods(262)} {
		require.True(t, sqlstore.SQLite.IsRetryable(err), "%#v", err)
	}
	for _, err := range []error{sqlite3.Error{
		Code: 19, ExtendedCode: 2067,
	}, sqlite3.Methods(1555)} {
		require.True(t, sqlstore.SQLite.IsDuplicate(err), "%#v", err)
	}
	var none *mysql.MySQLError
	require.False(t, sqlstore.MySQL.IsRetryable(none), "a nil pointer has no number")
	check := sqlite3.Error{Code: 19, ExtendedCode: 275} // SQLITE_CONSTRAINT_CHECK
	require.False(t, sqlstore.SQLite.IsDuplicate(check) || sqlstore.SQLite.IsRetryable(check))
}

// TestErrorText: the text of a host's error is never taken for an error of the database.
func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"database is locked", "SQLITE_BUSY", "database table is locked",
		"UNIQUE constraint failed: t.id", "no such table: stock",
		"Error 1213 (40001): Deadlock found", "Error 1062: Duplicate entry",
		"Error 1146 (42S02): no table", "40001", "40P01",
	} {
		for _, wrap := range wraps {
			err := wrap(errors.New(text))
			for _, d := range []sqlstore.Dialect{
				sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.SQLite,
			} {
				require.False(t, d.IsRetryable(err) || d.IsDuplicate(err), "%s: %v", d, err)
			}
		}
	}
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		for _, text := range []string{
			"the stock database is locked", "Error 1213 (40001): Deadlock found", "no such table",
		} {
			ran := 0
			err := s.Update(bg, "O-1", func(context.Context, *order.Order) error {
				ran++
				return errors.New(text)
			})
			require.EqualError(t, err, "update order O-1: "+text)
			require.Equal(t, 1, ran, text)
		}
	})
}
