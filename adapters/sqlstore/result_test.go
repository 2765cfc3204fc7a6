package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// rowBreaker is a connector whose results break once after some rows: they end with err, or hold
// unreadable values.
type rowBreaker struct {
	driver.Connector
	err   error
	mu    sync.Mutex
	after int // rows; < 0: never
	spoil bool
	broke bool
}

func (b *rowBreaker) arm(after int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after, b.broke = after, false
}

// next counts a row, and reports whether the result ends with an error before it.
func (b *rowBreaker) next() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after < 0 {
		return false
	}
	b.after--
	b.broke = b.after < 0
	return b.broke
}

func (b *rowBreaker) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := b.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return rowBreaking{conn, b}, nil
}

type rowBreaking struct {
	driver.Conn
	b *rowBreaker
}

func (c rowBreaking) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c rowBreaking) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c rowBreaking) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return brokenRows{rows, c.b}, nil
}

func (c rowBreaking) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type brokenRows struct {
	driver.Rows
	b *rowBreaker
}

func (r brokenRows) Next(dest []driver.Value) error {
	if !r.b.next() {
		return r.Rows.Next(dest)
	}
	if !r.b.spoil {
		return r.b.err
	}
	if err := r.Rows.Next(dest); err != nil {
		r.b.arm(-1) // there was no row to spoil
		return err
	}
	for i := range dest {
		dest[i] = time.Time{} // where a number is expected
	}
	return nil
}

// breaking returns a rowBreaker, a store on it, and another one on the same database that nothing
// breaks. They have order O-1 with two approved refunds.
func breaking(
	t *testing.T, d database, err error, retries int,
) (b *rowBreaker, s, plain *sqlstore.Store) {
	t.Helper()
	dsn := d.fresh(t)
	plain = d.on(t, d.connect(t, dsn))
	require.NoError(t, plain.Migrate(bg))
	b = &rowBreaker{Connector: d.connector(t, dsn), after: -1, err: err}
	db := sql.OpenDB(b)
	t.Cleanup(func() { db.Close() })
	s, err = sqlstore.New(db, d.dialect, sqlstore.Options{NoPrepare: true, Retries: retries})
	require.NoError(t, err)
	o := newOrder("O-1")
	for _, number := range []string{"R-1", "R-2"} {
		request(t, o, number, 10)
		_, err := newMachine(t).Fire(bg, o, order.Trigger{
			Event: order.EventApprove, RefundNo: number, Actor: "staff:1", At: at(2),
		})
		require.NoError(t, err)
	}
	require.NoError(t, plain.Create(bg, o))
	require.NoError(t, plain.Update(bg, "O-1", func(_ context.Context, stored *order.Order) error {
		stored.Refunds[1].NextAttemptAt = at(1 << 30)
		return nil
	}))
	return b, s, plain
}

// reads are the ways to read from a store of breaking.
var reads = map[string]func(s *sqlstore.Store) (any, error){
	"get":     func(s *sqlstore.Store) (any, error) { return s.Get(bg, "O-1") },
	"history": func(s *sqlstore.Store) (any, error) { return s.History(bg, "O-1", 0, 9) },
	"history of an order without": func(s *sqlstore.Store) (any, error) {
		return s.History(bg, "O-1", 9, 9)
	},
	"due": func(s *sqlstore.Store) (any, error) {
		return s.Due(bg, refund.DueQuery{Now: at(9), Beyond: at(1 << 29), Limit: 9})
	},
	"list": func(s *sqlstore.Store) (any, error) { return s.ListRefunds(bg, refund.Filter{}) },
}

// TestReadAgain: a read that the database gives up in the middle of its rows, because of another
// transaction, begins again, and returns each row once.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		b, s, plain := breaking(t, d, deadlock(t, d.dialect), 1)
		for name, read := range reads {
			want, err := read(plain)
			require.NoError(t, err)
			broke := 0
			for after := 0; ; after++ {
				require.Less(t, after, 50, "%s has an end", name)
				b.arm(after)
				got, err := read(s)
				require.NoError(t, err, "%s, after %d rows", name, after)
				require.Equal(t, want, got, "%s, after %d rows", name, after)
				if !b.broke {
					break
				}
				broke++
			}
			require.Positive(t, broke, name)
			b.arm(-1)
		}
	})
}

// TestBrokenResult: a result that breaks after any row is an error, and never a part of an answer.
func TestBrokenResult(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		b, s, plain := breaking(t, d, io.ErrUnexpectedEOF, -1)
		calls := map[string]func() error{
			"update": func() error { return s.Update(bg, "O-1", lease) },
		}
		for name, read := range reads {
			calls[name] = func() error { _, err := read(s); return err }
		}
		for name, read := range calls {
			broke := 0
			for _, b.spoil = range []bool{false, true} {
				for after := 0; ; after++ {
					require.Less(t, after, 50, "%s has an end", name)
					before := requireLegal(t, plain, "O-1")
					b.arm(after)
					err := read()
					wasBroken := b.broke
					b.arm(-1)
					if !wasBroken {
						require.NoError(t, err, name)
						break
					}
					broke++
					require.Error(t, err, "%s, after %d rows", name, after)
					require.NotErrorIs(t, err, sqlstore.ErrCommit)
					require.Equal(t, before, requireLegal(t, plain, "O-1"), "%s, after %d rows",
						name, after)
				}
			}
			require.Positive(t, broke, name)
		}
	})
}
