package txn_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

// counting is a context that never ends and counts the functions which wait for its end.
type counting struct {
	context.Context
	done    chan struct{}
	waiting *atomic.Int64
}

// Done implements context.Context.
func (c counting) Done() <-chan struct{} { return c.done }

// AfterFunc is what package context calls, if a context has it.
func (c counting) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return func() bool { c.waiting.Add(-1); return true }
}

// TestNothingWaitsForTheContext: a transaction that has ended leaves nothing at the context of its
// caller, which may live as long as the program.
func TestNothingWaitsForTheContext(t *testing.T) {
	_, db := newServer(t)
	p := &txn.Pool{Begin: txn.BeginSQL(db, nil, nil, nil)}
	for _, want := range []error{nil, errHost} {
		ctx := counting{bg, make(chan struct{}), new(atomic.Int64)}
		err := p.InTx(ctx, func(context.Context) error {
			require.Positive(t, ctx.waiting.Load())
			return want
		})
		require.ErrorIs(t, err, want)
		require.Zero(t, ctx.waiting.Load())
	}
}

// TestRollbackAfterAFailedCommit: SQLite leaves a transaction open if COMMIT finds the database
// busy. It is rolled back on the same connection, also if the context has ended. The error is a
// definite one only if the database says so.
func TestRollbackAfterAFailedCommit(t *testing.T) {
	for name, rolledBack := range map[string]func(error) bool{
		"definite": func(err error) bool { return errors.Is(err, errSent) },
		"unknown":  func(error) bool { return false },
		"nil":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			s, db := newServer(t)
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			s.commit = func() error { cancel(); return errSent }
			p := &txn.Pool{Begin: txn.BeginSQL(db, nil, nil, rolledBack)}
			err := p.InTx(ctx, func(context.Context) error { return nil })
			require.ErrorIs(t, err, errSent)
			require.Equal(t, name != "definite", errors.Is(err, txn.ErrCommit))
			require.Equal(t, 1, s.direct["ROLLBACK"])
			require.Zero(t, db.Stats().InUse)
		})
	}
}
