package sqlstore_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// ways are the ways in which a command fails after its hook has written.
var ways = map[string]func() error{
	"error":  func() error { return errHost },
	"panic":  func() error { panic(errHost) },
	"Goexit": func() error { runtime.Goexit(); return nil },
}

// survive calls f in a goroutine, which may end or panic.
func survive(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}

// TestFailedHookLeavesNothing: a hook that fails, panics or ends its goroutine leaves nothing in
// the database. It leaves no lock and no connection in use.
func TestFailedHookLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", 0)
		for way, fail := range ways {
			command := func(ctx context.Context) error {
				return h.s.Update(ctx, "O-0", func(ctx context.Context, o *order.Order) error {
					request(t, o, "R-O-0", 10)
					h.s.AfterCommit(ctx, func(context.Context) { h.after++ })
					h.write(ctx, h.tx(ctx))
					return fail()
				})
			}
			for name, host := range map[string]func(){
				"Update":     func() { _ = command(bg) },
				"InTx":       func() { _ = sqlstore.InTx(bg, h.db, command) },
				"Store.InTx": func() { _ = h.s.InTx(bg, command) },
				"fn of InTx": func() {
					_ = h.s.InTx(bg, func(ctx context.Context) error {
						require.NoError(t, h.command(ctx, "O-0", nil))
						return fail()
					})
				},
				"command of a hook": func() {
					_ = h.s.Update(bg, "O-1", func(ctx context.Context, _ *order.Order) error {
						return command(ctx)
					})
				},
			} {
				survive(host)
				h.untouched(way + " in " + name)
				require.Zero(t, h.db.Stats().InUse, "%s in %s", way, name)
			}
		}
		require.NoError(t, h.command(bg, "O-0", nil), "no lock is left")
	})
}

// TestFailedCommandLeavesNothing: a command that fails in a transaction that goes on leaves nothing
// in it: no change, no row of its hook and no After hook.
func TestFailedCommandLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		for way, fail := range ways {
			if way == "Goexit" {
				continue // nothing goes on then
			}
			for _, host := range []string{"InTx", "Store.InTx", "WithTx", "hook"} {
				h := newEnding(t, d, "", 0)
				failing := func(ctx context.Context) {
					defer func() { _ = recover() }()
					require.ErrorIs(t, h.s.Update(ctx, "O-0", func(
						ctx context.Context, o *order.Order,
					) error {
						request(t, o, "R-O-0", 10)
						h.s.AfterCommit(ctx, func(context.Context) {
							t.Error("After hook of a command that failed")
						})
						h.write(ctx, h.tx(ctx))
						// fails with the one around it
						require.NoError(t, h.command(ctx, "O-2", nil))
						return fail()
					}), errHost)
				}
				both := func(ctx context.Context) error {
					failing(ctx)
					err := h.command(ctx, "O-1", nil)
					failing(ctx)
					return err
				}
				want := 1
				switch host {
				case "InTx":
					require.NoError(t, sqlstore.InTx(bg, h.db, both))
				case "Store.InTx":
					require.NoError(t, h.s.InTx(bg, both))
				case "WithTx":
					tx, err := h.db.BeginTx(bg, nil)
					require.NoError(t, err)
					rollBackAtEnd(t, tx)
					require.NoError(t, both(sqlstore.WithTx(bg, tx)))
					require.NoError(t, tx.Commit())
					want = 0 // nothing reports the commit
				case "hook":
					require.NoError(t, h.command(bg, "O-1", failing))
				}
				require.Equal(t, want, h.after, "%s in %s", way, host)
				require.Zero(t, h.rows(), "%s in %s", way, host)
				require.Empty(t, requireLegal(t, h.s, "O-0").Refunds)
				require.Empty(t, requireLegal(t, h.s, "O-2").Refunds)
				require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 1, "%s in %s", way, host)
			}
		}
	})
}

// TestHookRunsBeforeTheCommit: others do not see what a command writes before its last hook has
// returned.
func TestHookRunsBeforeTheCommit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", 0)
		look := func(ctx context.Context) {
			h.write(ctx, h.tx(ctx))
			h.untouched("in the hook")
		}
		require.NoError(t, h.command(bg, "O-0", look))
		require.Len(t, requireLegal(t, h.s, "O-0").Refunds, 1)
		h = newEnding(t, d, "", 0)
		require.NoError(t, h.s.InTx(bg, func(ctx context.Context) error {
			require.NoError(t, h.command(ctx, "O-0", look))
			require.NoError(t, h.command(ctx, "O-1", nil))
			h.untouched("in InTx")
			return nil
		}))
		require.Equal(t, 2, h.after)
	})
}

// TestPrefixesOnOnePool: an order of another Store on the same pool is another order, even if it
// has the same ID.
func TestPrefixesOnOnePool(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newEnding(t, d, "", 0)
		other, err := sqlstore.New(h.db, d.dialect, sqlstore.Options{Prefix: "other_"})
		require.NoError(t, err)
		require.NoError(t, other.Migrate(bg))
		require.NoError(t, other.Create(bg, newOrder("O-0")))
		require.NoError(t, h.command(bg, "O-0", func(ctx context.Context) {
			require.NoError(t, other.Update(ctx, "O-0", func(
				ctx context.Context, o *order.Order,
			) error {
				request(t, o, "R-O-0", 20)
				require.ErrorContains(t, h.command(ctx, "O-0", nil),
					"nested in an update of the same order")
				return nil
			}))
		}))
		require.EqualValues(t, 10, requireLegal(t, h.s, "O-0").Reserved)
		require.EqualValues(t, 20, requireLegal(t, other, "O-0").Reserved)
	})
}
