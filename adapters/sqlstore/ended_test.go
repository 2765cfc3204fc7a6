package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// ending is a host that ignores the error of a statement in which the database ends the
// transaction.
type ending struct {
	database
	t      *testing.T
	s      *sqlstore.Store
	db     *sql.DB // of s
	others *sql.DB
	after  int // After hooks that ran
}

func newEnding(t *testing.T, d database, param string, retries int) *ending {
	t.Helper()
	dsn := d.fresh(t)
	h := &ending{database: d, t: t, others: d.connect(t, dsn)}
	require.NoError(t, d.on(t, h.others).Migrate(bg))
	_, err := h.others.ExecContext(bg, "CREATE TABLE outbox (event VARCHAR(32) NOT NULL)")
	require.NoError(t, err)
	if param != "" {
		dsn = with(dsn, param)
	}
	h.db = d.connect(t, dsn)
	h.s, err = sqlstore.New(h.db, d.dialect, sqlstore.Options{Retries: retries})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, d.on(t, h.others).Create(bg, newOrder(fmt.Sprintf("O-%d", i))))
	}
	return h
}

// end writes a row and then ends the transaction, as a deadlock does.
func (h *ending) end(ctx context.Context, tx *sql.Tx) {
	h.write(ctx, tx)
	_, err := tx.ExecContext(ctx, "ROLLBACK") // as MySQL does it to a deadlock's victim
	require.NoError(h.t, err)
}

func (h *ending) write(ctx context.Context, tx *sql.Tx) {
	_, err := tx.ExecContext(ctx, "INSERT INTO outbox VALUES ('host')")
	require.NoError(h.t, err)
}

func (h *ending) tx(ctx context.Context) *sql.Tx {
	tx, ok := sqlstore.TxFrom(ctx)
	require.True(h.t, ok)
	return tx
}

// command asks for a refund of an order and calls hook in the same Update.
func (h *ending) command(ctx context.Context, id string, hook func(ctx context.Context)) error {
	return h.s.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		request(h.t, o, "R-"+id, 10)
		h.s.AfterCommit(ctx, func(context.Context) { h.after++ })
		if hook != nil {
			hook(ctx)
		}
		return nil
	})
}

// rows counts the rows that the host has committed.
func (h *ending) rows() (n int) {
	h.t.Helper()
	require.NoError(h.t, h.others.QueryRowContext(bg, "SELECT COUNT(*) FROM outbox").Scan(&n))
	return n
}

// untouched requires that nothing was committed.
func (h *ending) untouched(name string) {
	h.t.Helper()
	for i := range 3 {
		o, err := h.on(h.t, h.others).Get(bg, fmt.Sprintf("O-%d", i))
		require.NoError(h.t, err)
		require.EqualValues(h.t, 1, o.Version, "%s: order %s", name, o.ID)
	}
	_, err := h.on(h.t, h.others).Get(bg, "O-new")
	require.ErrorIs(h.t, err, refund.ErrOrderNotFound, name)
	require.Zero(h.t, h.rows(), name)
	require.Zero(h.t, h.after, "%s: After hooks", name)
}

// hosts are the ways in which a host ignores that its transaction has ended. Each returns the last
// error that the host gets.
func (h *ending) hosts() map[string]func() error {
	inTx := func(begin func(fn func(ctx context.Context) error) error) map[string]func() error {
		return map[string]func() error{
			"before the command": func() error {
				return begin(func(ctx context.Context) error {
					h.end(ctx, h.tx(ctx))
					return h.command(ctx, "O-0", nil)
				})
			},
			"after the command": func() error {
				return begin(func(ctx context.Context) error {
					err := h.command(ctx, "O-0", nil)
					h.end(ctx, h.tx(ctx))
					return err
				})
			},
			"after the command, with a transaction from before": func() error {
				return begin(func(ctx context.Context) error {
					tx := h.tx(ctx)
					err := h.command(ctx, "O-0", nil)
					h.end(ctx, tx)
					return err
				})
			},
			"between commands": func() error {
				return begin(func(ctx context.Context) error {
					err := h.command(ctx, "O-0", nil)
					h.end(ctx, h.tx(ctx))
					return errors.Join(err, h.command(ctx, "O-1", nil))
				})
			},
			"before a new order": func() error {
				return begin(func(ctx context.Context) error {
					h.end(ctx, h.tx(ctx))
					return h.s.Create(ctx, newOrder("O-new"))
				})
			},
			"in a hook": func() error {
				return begin(func(ctx context.Context) error {
					return h.command(ctx, "O-0", func(ctx context.Context) {
						h.end(ctx, h.tx(ctx))
					})
				})
			},
			"in a hook, of a command that is tolerated": func() error {
				return begin(func(ctx context.Context) error {
					require.Error(h.t, h.command(ctx, "O-0", func(ctx context.Context) {
						h.end(ctx, h.tx(ctx))
					}))
					return nil
				})
			},
			"in a hook's command": func() error {
				return begin(func(ctx context.Context) error {
					return h.command(ctx, "O-0", func(ctx context.Context) {
						require.Error(h.t, h.command(ctx, "O-1", func(ctx context.Context) {
							h.end(ctx, h.tx(ctx))
						}))
					})
				})
			},
		}
	}
	hosts := map[string]func() error{
		"a hook": func() error {
			return h.command(bg, "O-0", func(ctx context.Context) { h.end(ctx, h.tx(ctx)) })
		},
		"a hook that changes nothing": func() error {
			return h.s.Update(bg, "O-0", func(ctx context.Context, _ *order.Order) error {
				h.end(ctx, h.tx(ctx))
				return nil
			})
		},
		"a hook's command": func() error {
			return h.command(bg, "O-0", func(ctx context.Context) {
				require.Error(h.t, h.command(ctx, "O-1", func(ctx context.Context) {
					h.end(ctx, h.tx(ctx))
				}))
			})
		},
		"a hook, with the transaction of its command's hook": func() error {
			return h.command(bg, "O-0", func(ctx context.Context) {
				var tx *sql.Tx
				require.NoError(h.t, h.command(ctx, "O-1", func(ctx context.Context) {
					tx = h.tx(ctx)
				}))
				h.end(ctx, tx)
			})
		},
		"a hook, with the transaction of a hook of a command that failed": func() error {
			return h.command(bg, "O-0", func(ctx context.Context) {
				var tx *sql.Tx
				require.Error(h.t, h.s.Update(ctx, "O-1", func(
					ctx context.Context, _ *order.Order,
				) error {
					tx = h.tx(ctx)
					return errHost
				}))
				h.end(ctx, tx)
			})
		},
		"a hook, before its command": func() error {
			return h.command(bg, "O-0", func(ctx context.Context) {
				h.end(ctx, h.tx(ctx))
				require.Error(h.t, h.command(ctx, "O-1", nil))
			})
		},
	}
	for name, begin := range map[string]func(fn func(ctx context.Context) error) error{
		"InTx": func(fn func(ctx context.Context) error) error {
			return sqlstore.InTx(bg, h.db, fn)
		},
		"Store.InTx": func(fn func(ctx context.Context) error) error { return h.s.InTx(bg, fn) },
	} {
		for kind, host := range inTx(begin) {
			hosts[name+", "+kind] = host
		}
	}
	return hosts
}

// TestEndedTransactionIsNotWrittenTo: if the database ends a transaction and the host does not
// notice, nothing is committed after that, and the host gets an error.
func TestEndedTransactionIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		if d.dialect == sqlstore.PostgreSQL {
			t.Skip("PostgreSQL ends no transaction by itself: it refuses statements until the host has")
		}
		params := []string{""}
		if d.dialect == sqlstore.MySQL {
			params = append(params, "autocommit=0")
		}
		begunByItself := []string{
			"a hook, before its command", "InTx, before the command", "InTx, before a new order",
		}
		for _, param := range params {
			h := newEnding(t, d, param, -1)
			for name, host := range h.hosts() {
				if param != "" && slices.Contains(begunByItself, name) {
					continue // see WithTx: a new transaction has begun by itself
				}
				err := host()
				require.ErrorContains(t, err, "the database has ended the transaction", "%s %s",
					name, param)
				h.untouched(name + " " + param)
				require.Zero(t, h.db.Stats().InUse, name)
			}
		}
	})
}

// TestEndedTransactionOfHost: the same in a transaction that the host begins and ends.
func TestEndedTransactionOfHost(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		if d.dialect == sqlstore.PostgreSQL {
			t.Skip("PostgreSQL ends no transaction by itself")
		}
		h := newEnding(t, d, "", -1)
		for name, host := range map[string]func(ctx context.Context, tx *sql.Tx) error{
			"before the command": func(ctx context.Context, tx *sql.Tx) error {
				h.end(ctx, tx)
				return h.command(ctx, "O-0", nil)
			},
			"in a hook": func(ctx context.Context, tx *sql.Tx) error {
				return h.command(ctx, "O-0", func(ctx context.Context) { h.end(ctx, tx) })
			},
			"in a hook's command": func(ctx context.Context, tx *sql.Tx) error {
				return h.command(ctx, "O-0", func(ctx context.Context) {
					require.Error(t, h.command(ctx, "O-1", func(ctx context.Context) {
						h.end(ctx, tx)
					}))
				})
			},
			"before a new order": func(ctx context.Context, tx *sql.Tx) error {
				h.end(ctx, tx)
				return h.s.Create(ctx, newOrder("O-new"))
			},
		} {
			tx, err := h.db.BeginTx(bg, nil)
			require.NoError(t, err)
			rollBackAtEnd(t, tx)
			err = host(sqlstore.WithTx(bg, tx), tx)
			require.ErrorContains(t, err, "the database has ended the transaction", name)
			_ = tx.Commit()
			h.untouched(name)
		}
	})
}

// TestEndedTransactionIsBegunAgain: if the store began the transaction, it begins again, and the
// whole command is committed.
func TestEndedTransactionIsBegunAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		if d.dialect == sqlstore.PostgreSQL {
			t.Skip("PostgreSQL ends no transaction by itself")
		}
		h := newEnding(t, d, "", 0)
		tries := 0
		require.NoError(t, h.command(bg, "O-0", func(ctx context.Context) {
			if tries++; tries == 1 {
				h.end(ctx, h.tx(ctx))
			} else {
				h.write(ctx, h.tx(ctx))
			}
		}))
		require.Equal(t, 2, tries)
		require.Equal(t, 1, h.rows())
		require.NotNil(t, requireLegal(t, h.s, "O-0").Refund("R-O-0"))
		require.Equal(t, 1, h.after)
	})
}

// TestSwallowedDeadlock: a hook writes a row and ignores that a command on another order fails in a
// deadlock. MySQL has rolled back the hook's row too, so that the approval must not be committed.
func TestSwallowedDeadlock(t *testing.T) {
	t.Parallel()
	d := databases()[2]
	require.Equal(t, sqlstore.MySQL, d.dialect)
	h := newEnding(t, d, "", -1)
	_, err := h.others.ExecContext(bg, "CREATE TABLE ballast (n INT NOT NULL)")
	require.NoError(t, err)
	other, err := h.others.BeginTx(bg, nil)
	require.NoError(t, err)
	for i := range 300 { // so that the other one is not the victim
		_, err := other.ExecContext(bg, fmt.Sprintf("INSERT INTO ballast VALUES (%d)", i))
		require.NoError(t, err)
	}
	const touch = "UPDATE orderfsm_orders SET updated_at = updated_at + 1 WHERE id = "
	_, err = other.ExecContext(bg, touch+"'O-1'")
	require.NoError(t, err)
	inHook, nested, done := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		done <- h.command(bg, "O-0", func(ctx context.Context) {
			h.write(ctx, h.tx(ctx))
			close(inHook)
			nested <- h.command(ctx, "O-1", nil)
		})
	}()
	select {
	case <-inHook:
	case err := <-done:
		require.NoError(t, err, "the hook runs")
	}
	h.waitForLock()
	_, err = other.ExecContext(bg, touch+"'O-0'")
	require.NoError(t, err)
	require.NoError(t, other.Rollback())
	require.True(t, d.dialect.IsRetryable(<-nested))
	err = <-done
	require.ErrorContains(t, err, "the transaction is over")
	require.True(t, d.dialect.IsRetryable(err), "with retries it would have begun again")
	h.untouched("deadlock")
}

// TestFailedStatementEndsTheTransaction: after a statement of the store has failed, also in a read
// whose error a hook ignores, the store sends no other one. PostgreSQL refuses them by itself.
func TestFailedStatementEndsTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", -1)
		broken, err := sqlstore.New(h.db, d.dialect, sqlstore.Options{Prefix: "none_"})
		require.NoError(t, err)
		fails := func(ctx context.Context) {
			_, err := broken.Get(ctx, "O-0")
			require.Error(t, err)
			_, err = h.s.Get(ctx, "O-0")
			require.ErrorContains(t, err, "the transaction is over")
		}
		require.ErrorContains(t, h.command(bg, "O-0", fails), "the transaction is over")
		h.untouched("hook")
		require.ErrorContains(t, h.s.InTx(bg, func(ctx context.Context) error {
			require.NoError(t, h.command(ctx, "O-0", nil))
			fails(ctx)
			_, ok := sqlstore.TxFrom(ctx)
			require.Equal(t, d.dialect != sqlstore.MySQL, ok, "MySQL's cannot be marked any more")
			require.Error(t, h.command(ctx, "O-1", nil))
			return nil
		}), "the transaction is over")
		h.untouched("InTx")

		require.NoError(t, h.s.InTx(bg, func(ctx context.Context) error {
			require.ErrorContains(t, h.command(ctx, "O-0", fails), "the transaction is over")
			return h.command(ctx, "O-1", nil)
		}), "rolled back to its savepoint, it goes on")
		require.Equal(t, 1, h.after)
		require.Empty(t, requireLegal(t, h.s, "O-0").Refunds)
		require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 1)
	})
}
