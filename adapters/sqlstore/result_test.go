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

// rowBreaker is a connector whose results break after some rows: they end, or hold unreadable
// values.
type rowBreaker struct {
	driver.Connector
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
		return io.ErrUnexpectedEOF
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

// TestBrokenResult: a result that breaks after any row is an error, and never a part of an answer.
func TestBrokenResult(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		plain := d.on(t, d.connect(t, dsn))
		require.NoError(t, plain.Migrate(bg))
		b := &rowBreaker{Connector: d.connector(t, dsn), after: -1}
		db := sql.OpenDB(b)
		t.Cleanup(func() { db.Close() })
		s, err := sqlstore.New(db, d.dialect, sqlstore.Options{NoPrepare: true, Retries: -1})
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
		o.Refunds[1].NextAttemptAt = at(1 << 30)
		require.NoError(t, plain.Update(bg, "O-1", func(_ context.Context, stored *order.Order) error {
			stored.Refunds[1].NextAttemptAt = at(1 << 30)
			return nil
		}))
		for name, read := range map[string]func() error{
			"get":     func() error { _, err := s.Get(bg, "O-1"); return err },
			"history": func() error { _, err := s.History(bg, "O-1", 0, 9); return err },
			"history of an order without": func() error {
				_, err := s.History(bg, "O-1", 9, 9)
				return err
			},
			"due": func() error {
				_, err := s.Due(bg, refund.DueQuery{Now: at(9), Beyond: at(1 << 29), Limit: 9})
				return err
			},
			"list":   func() error { _, err := s.ListRefunds(bg, refund.Filter{}); return err },
			"update": func() error { return s.Update(bg, "O-1", lease) },
		} {
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
