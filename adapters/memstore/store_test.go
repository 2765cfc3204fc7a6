package memstore_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:    func(*testing.T) refund.Store { return memstore.New() },
		Reopen: func(_ *testing.T, s refund.Store) refund.Store { return s },
	})
}

var bg = context.Background()

func create(t *testing.T, s *memstore.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, s.Create(bg, &order.Order{ID: id, Total: 1, State: order.StatePaid}))
	}
}

// TestNestedOrdersCommitTogether: an Update of another order with fn's ctx joins the transaction.
func TestNestedOrdersCommitTogether(t *testing.T) {
	for name, result := range map[string]error{"commit": nil, "roll back": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			create(t, s, "O1", "O2")
			err := s.Update(bg, "O1", func(ctx context.Context, o *order.Order) error {
				o.PaymentID = "P1"
				require.NoError(t, s.Update(ctx, "O2", func(
					_ context.Context, o *order.Order,
				) error {
					o.PaymentID = "P2"
					return nil
				}))
				seen, err := s.Get(ctx, "O2")
				require.NoError(t, err)
				require.Equal(t, "P2", seen.PaymentID, "the transaction reads what it wrote")
				outside, err := s.Get(bg, "O2")
				require.NoError(t, err)
				require.Empty(t, outside.PaymentID, "others do not")
				return result
			})
			require.ErrorIs(t, err, result)
			for id, want := range map[string]string{"O1": "P1", "O2": "P2"} {
				o, err := s.Get(bg, id)
				require.NoError(t, err)
				if result != nil {
					want = ""
				}
				require.Equal(t, want, o.PaymentID)
			}
		})
	}
}

// TestFailedNestedUpdateChangesNothing: an Update of another order fails in a transaction that is
// committed. Neither it nor the Updates that it has called change anything.
func TestFailedNestedUpdateChangesNothing(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return context.Canceled },
		"panic": func() error { panic(context.Canceled) },
	} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			create(t, s, "O1", "O2", "O3")
			set := func(
				ctx context.Context, id string, then func(ctx context.Context) error,
			) error {
				return s.Update(ctx, id, func(
					ctx context.Context, o *order.Order,
				) error {
					o.PaymentID = "P"
					return then(ctx)
				})
			}
			fine := func(context.Context) error { return nil }
			calls := 0
			require.NoError(t, set(bg, "O1", func(ctx context.Context) error {
				require.True(t, s.AfterCommit(ctx, func(context.Context) { calls++ }))
				func() {
					defer func() { _ = recover() }()
					require.ErrorIs(t, set(ctx, "O2", func(ctx context.Context) error {
						require.True(t, s.AfterCommit(ctx,
							func(context.Context) { t.Error("called although the Update failed") }))
						require.NoError(t, set(ctx, "O3", fine))
						return fail()
					}), context.Canceled)
				}()
				return nil
			}))
			for id, want := range map[string]string{"O1": "P", "O2": "", "O3": ""} {
				o, err := s.Get(bg, id)
				require.NoError(t, err)
				require.Equal(t, want, o.PaymentID, id)
			}
			require.Equal(t, 1, calls)
		})
	}
}

// TestGoexitCommitsNothing: the goroutine ends in fn. Nothing is committed or locked.
func TestGoexitCommitsNothing(t *testing.T) {
	s := memstore.New()
	create(t, s, "O1", "O2")
	for _, id := range []string{"O1", "O2"} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Update(bg, "O1", func(ctx context.Context, o *order.Order) error {
				o.PaymentID = "P1"
				if id == "O1" {
					runtime.Goexit()
				}
				return s.Update(ctx, "O2",
					func(_ context.Context, o *order.Order) error { runtime.Goexit(); return nil })
			})
		}()
		<-done
		o, err := s.Get(bg, "O1")
		require.NoError(t, err)
		require.EqualValues(t, 1, o.Version)
	}
	require.NoError(t, s.Update(bg, "O1", func(context.Context, *order.Order) error { return nil }),
		"nothing is locked")
}

// TestEndedTransactionCannotBeUsed: a goroutine of a hook that keeps the ctx cannot write in a
// transaction that has ended, or read what was rolled back.
func TestEndedTransactionCannotBeUsed(t *testing.T) {
	s := memstore.New()
	create(t, s, "O1", "O2")
	var kept context.Context
	require.ErrorIs(t, s.Update(bg, "O1", func(ctx context.Context, _ *order.Order) error {
		kept = ctx
		require.NoError(t, s.Update(ctx, "O2",
			func(_ context.Context, o *order.Order) error { o.PaymentID = "P2"; return nil }))
		return context.Canceled
	}), context.Canceled)
	require.Error(t, s.Update(kept, "O1", func(context.Context, *order.Order) error { return nil }))
	require.False(t, s.AfterCommit(kept, func(context.Context) {}))
	o, err := s.Get(kept, "O2")
	require.NoError(t, err)
	require.Empty(t, o.PaymentID)
}

func TestUnchangedOrderIsNotCommitted(t *testing.T) {
	s := memstore.New()
	create(t, s, "O1")
	require.NoError(t, s.Update(bg, "O1", func(context.Context, *order.Order) error { return nil }))
	o, err := s.Get(bg, "O1")
	require.NoError(t, err)
	require.EqualValues(t, 1, o.Version)
	err = s.Update(bg, "O1",
		func(_ context.Context, o *order.Order) error { o.ID = "O2"; return nil })
	require.ErrorIs(t, err, order.ErrInvalid)
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(*testing.B) refund.Store { return memstore.New() })
}
