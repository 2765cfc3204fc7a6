package txn_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

// inside runs fn in a transaction of the pool of c and returns what was sent in it.
func inside(
	c *tape, probe txn.Probe, fn func(ctx context.Context, x *txn.Txn) error,
) ([]string, error) {
	err := c.pool(probe).Atomically(bg, fn, nil)
	return c.sent[1:], err // without the BEGIN
}

// TestNested: each command has its own savepoint, which it releases, or to which it goes back.
func TestNested(t *testing.T) {
	for name, tt := range map[string]struct {
		inner func() error
		outer error
		sent  []string
		after []string
	}{
		"both succeed": {
			func() error { return nil }, nil,
			[]string{
				"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_2", "work",
				"RELEASE SAVEPOINT orderfsm_2", "RELEASE SAVEPOINT orderfsm_1", "COMMIT", "end",
			},
			[]string{"before", "outer", "inner"},
		},
		"the inner one fails": {
			func() error { return errHost }, nil,
			[]string{
				"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_2", "work",
				"ROLLBACK TO SAVEPOINT orderfsm_2", "RELEASE SAVEPOINT orderfsm_1", "COMMIT", "end",
			},
			[]string{"before", "outer"},
		},
		"both fail": {
			func() error { return errHost }, errHost,
			[]string{
				"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_2", "work",
				"ROLLBACK TO SAVEPOINT orderfsm_2", "ROLLBACK TO SAVEPOINT orderfsm_1", "COMMIT", "end",
			},
			[]string{"before"},
		},
		"the inner one ends its goroutine": {
			func() error { runtime.Goexit(); return nil }, nil,
			[]string{
				"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_2", "work",
				"ROLLBACK TO SAVEPOINT orderfsm_2", "RELEASE SAVEPOINT orderfsm_1", "COMMIT", "end",
			},
			[]string{"before", "outer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var after []string
			note := func(name string) func(context.Context) {
				return func(context.Context) { after = append(after, name) }
			}
			work := func(ctx context.Context, x *txn.Txn) error {
				x.AfterCommit(note("before"))
				outer := x.Nested(ctx, func(ctx context.Context) error {
					x.AfterCommit(note("outer"))
					done := make(chan struct{})
					go func() {
						defer close(done)
						_ = x.Nested(ctx, func(ctx context.Context) error {
							x.AfterCommit(note("inner"))
							_ = exec(ctx, "work")
							return tt.inner()
						})
					}()
					<-done
					return tt.outer
				})
				require.ErrorIs(t, outer, tt.outer)
				return nil
			}
			sent, err := inside(&tape{}, txn.ProbeMarker, work)
			require.NoError(t, err)
			require.Equal(t, tt.sent, sent)
			require.Equal(t, tt.after, after)
		})
	}
}

// TestLentTransactionIsMarked: once the host has the transaction of a command, on MySQL, a marker
// shows whether it has ended since. There is one for each command, and none before it is needed.
func TestLentTransactionIsMarked(t *testing.T) {
	sent, err := inside(&tape{}, txn.ProbeMarker, func(ctx context.Context, x *txn.Txn) error {
		require.NoError(t, x.CheckAlive(ctx), "it was not lent")
		return x.Nested(ctx, func(ctx context.Context) error {
			lend(ctx, t)
			lend(ctx, t)
			require.NoError(t, x.Nested(ctx, func(ctx context.Context) error {
				return x.CheckAlive(ctx)
			}))
			return x.CheckAlive(ctx)
		})
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_1_lent", "SAVEPOINT orderfsm_2",
		"SAVEPOINT orderfsm_2_lent", "RELEASE SAVEPOINT orderfsm_2_lent",
		"RELEASE SAVEPOINT orderfsm_2",
		"RELEASE SAVEPOINT orderfsm_1_lent",
		"RELEASE SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_0_lent",
		"RELEASE SAVEPOINT orderfsm_0_lent", "COMMIT", "end",
	}, sent)
}

// TestLentBeforeAStore: the host may have the transaction before a Store works in it. One that this
// package commits is marked then. One of the host is not: the host sees its own errors.
func TestLentBeforeAStore(t *testing.T) {
	c := &tape{}
	anybody := c.pool(txn.ProbeNone)
	anybody.Key = nil
	store := &txn.Pool{Key: "a store", Probe: txn.ProbeMarker}
	command := func(ctx context.Context) error {
		lend(ctx, t)
		x, err := store.Joined(ctx)
		require.NoError(t, err)
		return x.Nested(ctx, nothing)
	}
	require.NoError(t, anybody.InTx(bg, command))
	require.Equal(t, []string{
		"BEGIN TX", "SAVEPOINT orderfsm_0_lent", "SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_1_lent",
		"RELEASE SAVEPOINT orderfsm_1", "RELEASE SAVEPOINT orderfsm_0_lent", "COMMIT", "end",
	}, c.sent)

	hosts := &tape{}
	require.NoError(t, command(txn.With(bg, hosts)))
	require.Equal(t, []string{
		"SAVEPOINT orderfsm_1", "SAVEPOINT orderfsm_1_lent", "RELEASE SAVEPOINT orderfsm_1",
	}, hosts.sent)
}

// TestFirstErrorOfACommand: an error of the command counts, not one of the marker after it.
func TestFirstErrorOfACommand(t *testing.T) {
	c := &tape{fails: map[string]error{"SAVEPOINT orderfsm_0_lent": errSent}}
	_, err := inside(c, txn.ProbeMarker, func(ctx context.Context, x *txn.Txn) error {
		return x.Nested(ctx, func(ctx context.Context) error { lend(ctx, t); return errHost })
	})
	require.ErrorIs(t, err, errHost)
	require.NotErrorIs(t, err, errSent)
}

func lend(ctx context.Context, t *testing.T) {
	t.Helper()
	_, ok := txn.Lend(ctx)
	require.True(t, ok)
}

// TestEndedTransactionIsFound: if the database has ended a transaction that the host had, nothing
// is written after that, and nothing is committed.
func TestEndedTransactionIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		probe txn.Probe
		fails []string // the statements that the database refuses
		gone  bool
		sent  []string
	}{
		"MySQL, ended": {
			txn.ProbeMarker,
			[]string{"RELEASE SAVEPOINT orderfsm_0_lent"},
			true,
			[]string{"SAVEPOINT orderfsm_0_lent", "RELEASE SAVEPOINT orderfsm_0_lent", "end"},
		},
		"MySQL, alive": {
			txn.ProbeMarker, nil, false,
			[]string{
				"SAVEPOINT orderfsm_0_lent", "RELEASE SAVEPOINT orderfsm_0_lent", "more", "COMMIT", "end",
			},
		},
		"SQLite, ended": {
			txn.ProbeBegin, nil, true, []string{"BEGIN", "ROLLBACK", "end"},
		},
		"SQLite, alive": {
			txn.ProbeBegin,
			[]string{"BEGIN"},
			false,
			[]string{"BEGIN", "more", "BEGIN", "COMMIT", "end"},
		},
		"PostgreSQL": {txn.ProbeNone, nil, false, []string{"more", "COMMIT", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &tape{fails: map[string]error{}}
			for _, query := range tt.fails {
				c.fails[query] = errSent
			}
			sent, err := inside(c, tt.probe, func(ctx context.Context, x *txn.Txn) error {
				lend(ctx, t)
				err := x.CheckAlive(ctx)
				require.Equal(t, tt.gone, errors.Is(err, txn.ErrGone))
				require.Equal(t, tt.gone, exec(ctx, "more") != nil)
				return nil
			})
			require.Equal(t, tt.gone, errors.Is(err, txn.ErrGone), "%v", err)
			require.Equal(t, tt.sent, sent)
		})
	}
}

// TestSavepointInAnEndedTransaction: SQLite would begin a transaction with the savepoint.
func TestSavepointInAnEndedTransaction(t *testing.T) {
	sent, err := inside(&tape{}, txn.ProbeBegin, func(ctx context.Context, x *txn.Txn) error {
		lend(ctx, t)
		err := x.Nested(ctx, nothing)
		require.ErrorIs(t, err, txn.ErrGone)
		return nil
	})
	require.ErrorIs(t, err, txn.ErrGone)
	require.Equal(t, []string{"BEGIN", "ROLLBACK", "end"}, sent)
}

// TestFailedMarker: a transaction that cannot be marked is not lent, and no command runs in it.
func TestFailedMarker(t *testing.T) {
	c := &tape{fails: map[string]error{"SAVEPOINT orderfsm_0_lent": errSent}}
	sent, err := inside(c, txn.ProbeMarker, func(ctx context.Context, x *txn.Txn) error {
		raw, ok := txn.Lend(ctx)
		require.False(t, ok)
		require.Nil(t, raw)
		require.ErrorIs(t, x.Nested(ctx, nothing), errSent)
		return nil
	})
	require.ErrorIs(t, err, errSent)
	require.Equal(t, []string{"SAVEPOINT orderfsm_0_lent", "end"}, sent)

	// Also if it is lent in a command, whose caller goes on.
	c = &tape{fails: map[string]error{"SAVEPOINT orderfsm_0_lent": errSent}}
	_, err = inside(c, txn.ProbeMarker, func(ctx context.Context, x *txn.Txn) error {
		err := x.Nested(ctx, func(ctx context.Context) error { lend(ctx, t); return nil })
		require.ErrorIs(t, err, errSent)
		return nil
	})
	require.ErrorIs(t, err, errSent)
}

// TestLostSavepoint: if the database does not go back to a savepoint, the transaction has ended,
// unless it is known already what failed.
func TestLostSavepoint(t *testing.T) {
	lost := errors.New("there is no such savepoint")
	for name, fails := range map[string]map[string]error{
		"after the host's error":   {"ROLLBACK TO SAVEPOINT orderfsm_1": lost},
		"after a failed statement": {"ROLLBACK TO SAVEPOINT orderfsm_1": lost, "work": errSent},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inside(&tape{fails: fails}, txn.ProbeNone,
				func(ctx context.Context, x *txn.Txn) error {
					_ = x.Nested(ctx, func(ctx context.Context) error {
						_ = exec(ctx, "work")
						return errHost
					})
					return nil
				})
			if fails["work"] == nil {
				require.ErrorIs(t, err, txn.ErrGone)
				require.ErrorIs(t, err, lost)
				return
			}
			require.ErrorIs(t, err, errSent)
			require.NotErrorIs(t, err, lost)
		})
	}
	// A savepoint that cannot be set or released fails the command.
	for _, query := range []string{"SAVEPOINT orderfsm_1", "RELEASE SAVEPOINT orderfsm_1"} {
		_, err := inside(&tape{fails: map[string]error{query: errSent}}, txn.ProbeNone,
			func(ctx context.Context, x *txn.Txn) error {
				return x.Nested(ctx, nothing)
			})
		require.ErrorIs(t, err, errSent)
	}
}
