package sqlstore_test

import (
	"context"
	"database/sql"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// failingConn fails some statements and records all statements.
type failingConn struct {
	txn.Conn
	fails []string
	sent  []string
}

func (c *failingConn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	c.sent = append(c.sent, query)
	if slices.Contains(c.fails, query) {
		return 0, io.ErrUnexpectedEOF
	}
	return c.Conn.Exec(ctx, query, args...)
}

func (c *failingConn) Query(ctx context.Context, query string, args ...any) (txn.Rows, error) {
	c.sent = append(c.sent, query)
	return c.Conn.Query(ctx, query, args...)
}

func (c *failingConn) Raw() any { return c }

// TestFailedSavepoint: if the savepoint of a command in a host's transaction cannot be set,
// released or rolled back to, the command fails, and nothing more is sent.
func TestFailedSavepoint(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		const back = "ROLLBACK TO SAVEPOINT orderfsm_1"
		const release = "RELEASE SAVEPOINT orderfsm_1"
		type failing struct {
			name  string
			fails []string
			fn    error // of the first command's fn
			last  string
		}
		cases := []failing{
			{"set", []string{"SAVEPOINT orderfsm_1"}, nil, "SAVEPOINT orderfsm_1"},
			{"released", []string{release}, nil, release},
			{"reached again", []string{back}, errHost, back},
		}
		if d.dialect == sqlstore.MySQL {
			cases = append(cases,
				failing{"marked", []string{"SAVEPOINT orderfsm_1_lent", back}, nil, back},
				failing{"found alive", []string{release + "_lent", back}, nil, back})
		}
		for _, c := range cases {
			tx, err := h.db.BeginTx(bg, nil)
			require.NoError(t, err)
			rollBackAtEnd(t, tx)
			failed := &failingConn{Conn: txn.SQL(tx, nil), fails: c.fails}
			ctx := txn.With(bg, failed)
			require.Equal(t, ctx, txn.With(ctx, failed), "the same again")
			raw, ok := txn.Lend(ctx)
			require.True(t, ok)
			require.Equal(t, failed, raw)
			_, ok = sqlstore.TxFrom(ctx)
			require.False(t, ok, "that is no transaction of database/sql")

			err = h.s.Update(ctx, "O-0", func(_ context.Context, o *order.Order) error {
				request(t, o, "R-0", 10)
				return c.fn
			})
			require.Error(t, err, c.name)
			if c.fn == nil {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, c.name)
			}
			require.Equal(t, c.last, failed.sent[len(failed.sent)-1], c.name)
			n := len(failed.sent)
			require.ErrorContains(t, h.command(ctx, "O-1", nil), "the transaction is over", c.name)
			require.ErrorContains(t, h.s.Create(ctx, newOrder("O-new")), "the transaction is over",
				c.name)
			_, err = h.s.Get(ctx, "O-0")
			require.ErrorContains(t, err, "the transaction is over", c.name)
			require.Len(t, failed.sent, n, "%s: nothing more was sent", c.name)
			require.NoError(t, tx.Rollback())
		}
		h.untouched("savepoints")
	})
}

// TestFailedSavepointUndoesNoOtherCommand: databases keep a savepoint after a rollback to it, so
// that one of the same name may be left of a command that failed. A command that cannot set its own
// savepoint must not roll back to that one: it would undo the commands between.
func TestFailedSavepointUndoesNoOtherCommand(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		tx, err := h.db.BeginTx(bg, nil)
		require.NoError(t, err)
		rollBackAtEnd(t, tx)
		failed := &failingConn{Conn: txn.SQL(tx, nil)}
		ctx := txn.With(bg, failed)
		require.ErrorIs(t, h.s.Update(ctx, "O-0", func(context.Context, *order.Order) error {
			return errHost
		}), errHost)
		require.NoError(t, h.command(ctx, "O-1", nil))
		failed.fails = []string{"SAVEPOINT orderfsm_1"}
		require.ErrorIs(t, h.command(ctx, "O-2", nil), io.ErrUnexpectedEOF)
		require.NoError(t, tx.Commit())
		require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 1)
		require.Empty(t, requireLegal(t, h.s, "O-2").Refunds)
	})
}

// TestHostEndsTheTransaction: if a hook commits or rolls back the store's transaction, the command
// fails, with or without a change.
func TestHostEndsTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
			for _, change := range []bool{false, true} {
				err := h.s.Update(bg, "O-0", func(ctx context.Context, o *order.Order) error {
					h.s.AfterCommit(ctx, func(context.Context) { h.after++ })
					if change {
						request(t, o, "R-0", 10)
					}
					return end(h.tx(ctx))
				})
				require.ErrorIs(t, err, sql.ErrTxDone)
				require.NotErrorIs(t, err, sqlstore.ErrCommit)
			}
		}
		h.untouched("ended by the host")
		require.Zero(t, h.db.Stats().InUse)
	})
}

// TestContextEndsInTx: InTx does not commit if the context ends before the commit.
func TestContextEndsInTx(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		for name, inTx := range map[string]inTxFunc{
			"InTx": func(ctx context.Context, fn func(ctx context.Context) error) error {
				return sqlstore.InTx(ctx, h.db, fn)
			},
			"Store.InTx": h.s.InTx,
		} {
			ctx, cancel := context.WithCancel(bg)
			require.ErrorIs(t, inTx(ctx, func(ctx context.Context) error {
				require.NoError(t, h.command(ctx, "O-0", nil))
				cancel()
				return nil
			}), context.Canceled, name)
			h.untouched(name)
		}
	})
}

// TestNoRetryWithoutPause: if the context ends in the pause before a retry, the caller gets the
// database's error.
func TestNoRetryWithoutPause(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.connect(t, d.fresh(t))
		s, err := sqlstore.New(db, d.dialect, sqlstore.Options{})
		require.NoError(t, err)
		s.SetPause(func(context.Context, time.Duration) error { return context.Canceled })
		require.NoError(t, s.Migrate(bg))
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		ran := 0
		err = s.Update(bg, "O-1", func(context.Context, *order.Order) error {
			ran++
			return deadlock(t, d.dialect)
		})
		require.True(t, d.dialect.IsRetryable(err))
		require.Equal(t, 1, ran)
	})
}

// TestUpdateRefusesText: Update, like Create, refuses text that the database cannot hold.
func TestUpdateRefusesText(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		err := h.s.Update(bg, "O-0", func(_ context.Context, o *order.Order) error {
			o.PaymentID = "a\x00b"
			return nil
		})
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, "payment_id")
		h.untouched("text")
	})
}

// TestOrderMadeMeanwhile: an Update that waited for another transaction to create the order finds
// it.
func TestOrderMadeMeanwhile(t *testing.T) {
	t.Parallel()
	d := databases()[2]
	require.Equal(t, sqlstore.MySQL, d.dialect)
	h := newEnding(t, d, "", -1)
	done := make(chan error, 1)
	require.NoError(t, h.s.InTx(bg, func(ctx context.Context) error {
		require.NoError(t, h.s.Create(ctx, newOrder("O-new")))
		go func() { done <- h.command(bg, "O-new", nil) }()
		h.waitForLock()
		return nil
	}))
	require.NoError(t, <-done)
	require.Len(t, requireLegal(t, h.s, "O-new").Refunds, 1)

	// The same if the transaction has an older view of the tables.
	require.NoError(t, h.s.InTx(bg, func(ctx context.Context) error {
		_, err := h.s.Get(ctx, "O-0")
		require.NoError(t, err)
		require.NoError(t, h.on(t, h.others).Create(bg, newOrder("O-newer")))
		_, err = h.s.Get(ctx, "O-newer")
		require.ErrorIs(t, err, refund.ErrOrderNotFound)
		return h.command(ctx, "O-newer", nil)
	}))
	require.Len(t, requireLegal(t, h.s, "O-newer").Refunds, 1)
}

// TestListBetweenMicroseconds: bounds of a filter are exact, also if they are finer than the stored
// times.
func TestListBetweenMicroseconds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		require.NoError(t, s.Create(bg, o))
		for _, f := range []struct {
			filter refund.Filter
			found  int
		}{
			{refund.Filter{From: at(1)}, 1},
			{refund.Filter{From: at(1).Add(time.Nanosecond)}, 0},
			{refund.Filter{To: at(1)}, 0},
			{refund.Filter{To: at(1).Add(time.Nanosecond)}, 1},
		} {
			page, err := s.ListRefunds(bg, f.filter)
			require.NoError(t, err)
			require.Len(t, page.Entries, f.found, "%v", f.filter)
		}
	})
}

// waitForLock returns when a transaction of MySQL waits for another one. InnoDB renews innodb_trx
// only if nobody has read it for 100 ms. Pauses of half a second leave such a gap, also if other
// tests wait too.
func (h *ending) waitForLock() {
	h.t.Helper()
	require.EventuallyWithT(h.t, func(c *assert.CollectT) {
		var waiting int
		require.NoError(c, h.others.QueryRowContext(bg, `SELECT COUNT(*)
			FROM information_schema.innodb_trx t
			JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
			WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'`).Scan(&waiting))
		require.NotZero(c, waiting)
	}, patience, 500*time.Millisecond)
}
