package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestStoreInTx: a host's transaction that met another one in the database is begun again, with what the host and the
// Service do in it, and the hooks run once.
func TestStoreInTx(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		ran := 0
		svc := service(t, s, refund.Options{Hooks: refund.Hooks{After: func(context.Context, *order.Order, order.Transition) { ran++ }}})
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
				return fmt.Errorf("the host's own statement: %w", deadlock(d.dialect))
			}
			return s.InTx(ctx, func(ctx context.Context) error { return ask(ctx, svc, "O-1", "R-1", 60) }) // in the same one
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

// TestStoreInTxOtherContext: a command in it that is given the context from outside waits for what waits for it. The
// context's end is the end of both, and nothing is left.
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

// deadlock is what the database's driver says of one.
func deadlock(d sqlstore.Dialect) error {
	switch d {
	case sqlstore.PostgreSQL:
		return &pgconn.PgError{Code: "40P01"}
	case sqlstore.MySQL:
		return &mysql.MySQLError{Number: 1213, Message: "Deadlock found"}
	case sqlstore.SQLite:
	}
	return errors.New("database is locked (5) (SQLITE_BUSY)")
}

// TestErrorKinds: what a driver said is found in whatever it was wrapped or joined.
func TestErrorKinds(t *testing.T) {
	duplicate := map[sqlstore.Dialect]error{
		sqlstore.PostgreSQL: &pgconn.PgError{Code: "23505"},
		sqlstore.MySQL:      &mysql.MySQLError{Number: 1062, Message: "Duplicate entry"},
		sqlstore.SQLite:     errors.New("constraint failed: UNIQUE constraint failed: t.id (1555)"),
	}
	for d, dup := range duplicate {
		for _, wrap := range []func(error) error{
			func(err error) error { return err },
			func(err error) error { return fmt.Errorf("save: %w", err) },
			func(err error) error { return errors.Join(io.EOF, fmt.Errorf("save: %w", err)) },
			func(err error) error { return fmt.Errorf("%w: %w", io.EOF, err) },
		} {
			require.True(t, d.IsDuplicate(wrap(dup)), "%s: %v", d, wrap(dup))
			require.False(t, d.IsRetryable(wrap(dup)))
			require.True(t, d.IsRetryable(wrap(deadlock(d))), "%s: %v", d, wrap(deadlock(d)))
			require.False(t, d.IsDuplicate(wrap(deadlock(d))))
		}
		require.False(t, d.IsDuplicate(nil) || d.IsRetryable(nil) || d.IsRetryable(io.EOF))
	}
}
