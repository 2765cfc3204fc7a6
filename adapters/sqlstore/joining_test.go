package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var errHost = errors.New("the host says no")

// hosted is a host with a table that a hook writes to in the store's transaction.
type hosted struct {
	s     *sqlstore.Store
	db    *sql.DB
	svc   *refund.Service
	after []string // events of the After hook
	fail  bool     // the InTx hook fails once it has written
}

func newHosted(t *testing.T, d database) *hosted {
	t.Helper()
	h := &hosted{}
	h.s, h.db = d.store(t)
	_, err := h.db.ExecContext(bg, "CREATE TABLE outbox (event VARCHAR(32) NOT NULL)")
	require.NoError(t, err)
	h.svc = service(t, h.s, refund.Options{Hooks: []refund.Hooks{{
		InTx: func(ctx context.Context, _ *order.Order, tr order.Transition) error {
			tx, ok := sqlstore.TxFrom(ctx)
			if !ok {
				return errors.New("no transaction")
			}
			insert := "INSERT INTO outbox (event) VALUES ('" + string(tr.Event) + "')"
			if _, err := tx.ExecContext(ctx, insert); err != nil {
				return err
			}
			if h.fail {
				return errHost
			}
			return nil
		},
		After: func(_ context.Context, _ *order.Order, tr order.Transition) {
			h.after = append(h.after, string(tr.Event))
		},
	}}})
	register(t, h.svc, "O-1")
	return h
}

func (h *hosted) outbox(t *testing.T) int {
	t.Helper()
	var n int
	require.NoError(t, h.db.QueryRowContext(bg, "SELECT count(*) FROM outbox").Scan(&n))
	return n
}

// TestHooksInTheTransaction: the host's rows and the order are committed together or not at all.
func TestHooksInTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newHosted(t, d)
		h.fail = true
		require.ErrorIs(t, ask(bg, h.svc, "O-1", "R-1", 60), errHost)
		require.Zero(t, h.outbox(t))
		require.Empty(t, requireLegal(t, h.s, "O-1").Refunds)
		require.Empty(t, h.after)
		h.fail = false
		require.NoError(t, ask(bg, h.svc, "O-1", "R-1", 60))
		require.Equal(t, 1, h.outbox(t))
		require.Equal(t, []string{"request_refund"}, h.after)
		_, ok := sqlstore.TxFrom(bg)
		require.False(t, ok)
	})
}

// TestWithTx: the host's transaction decides, and After hooks do not run.
func TestWithTx(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newHosted(t, d)
		for _, commit := range []bool{false, true} {
			tx, err := h.db.BeginTx(bg, nil)
			require.NoError(t, err)
			rollBackAtEnd(t, tx)
			ctx := sqlstore.WithTx(bg, tx)
			require.Equal(t, ctx, sqlstore.WithTx(ctx, tx))
			require.True(t, h.s.Joined(ctx))
			require.NoError(t, ask(ctx, h.svc, "O-1", "R-1", 60))
			require.NoError(t, ask(ctx, h.svc, "O-1", "R-2", 40),
				"it sees what the transaction has written")
			require.ErrorIs(t, ask(ctx, h.svc, "O-1", "R-3", 1), order.ErrAmount)
			seen, err := h.svc.Order(ctx, "O-1")
			require.NoError(t, err)
			require.EqualValues(t, 100, seen.Reserved)
			refs, err := h.svc.Due(ctx, 10, nil)
			require.NoError(t, err)
			require.Empty(t, refs)
			page, err := h.svc.ListRefunds(ctx, refund.Filter{})
			require.NoError(t, err)
			require.Len(t, page.Entries, 2)
			// The commands that ask the provider return ErrInTx before they ask.
			_, err = h.svc.Process(ctx, refund.Ref{OrderID: "O-1", RefundNo: "R-1"})
			require.ErrorIs(t, err, refund.ErrInTx)
			_, err = h.svc.Sync(ctx, "O-1")
			require.ErrorIs(t, err, refund.ErrInTx)
			if commit {
				require.NoError(t, tx.Commit())
			} else {
				require.NoError(t, tx.Rollback())
				require.Empty(t, requireLegal(t, h.s, "O-1").Refunds)
				require.Zero(t, h.outbox(t))
			}
		}
		require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 2)
		require.Equal(t, 2, h.outbox(t))
		require.Empty(t, h.after, "nothing reports the commit")
	})
}

// TestInTx: InTx commits, and runs the After hooks after the commit.
func TestInTx(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newHosted(t, d)
		require.ErrorIs(t, sqlstore.InTx(bg, h.db, func(ctx context.Context) error {
			require.NoError(t, ask(ctx, h.svc, "O-1", "R-1", 60))
			return errHost
		}), errHost)
		require.PanicsWithValue(t, "host", func() {
			_ = sqlstore.InTx(bg, h.db, func(ctx context.Context) error {
				require.NoError(t, ask(ctx, h.svc, "O-1", "R-1", 60))
				panic("host")
			})
		})
		require.Empty(t, requireLegal(t, h.s, "O-1").Refunds)
		require.Empty(t, h.after)

		var left context.Context
		require.NoError(t, sqlstore.InTx(bg, h.db, func(ctx context.Context) error {
			left = ctx
			require.NoError(t, ask(ctx, h.svc, "O-1", "R-1", 60))
			require.Empty(t, h.after, "not before the commit")
			return sqlstore.InTx(ctx, h.db, func(ctx context.Context) error {
				return ask(ctx, h.svc, "O-1", "R-2", 40)
			})
		}))
		require.Equal(t, []string{"request_refund", "request_refund"}, h.after)
		require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 2)

		// A command that fails leaves nothing behind, and the transaction goes on.
		h.fail = true
		require.NoError(t, sqlstore.InTx(bg, h.db, func(ctx context.Context) error {
			cancel := func(number string) error {
				_, err := h.svc.Cancel(ctx, refund.CancelParams{
					Ref: refund.Ref{OrderID: "O-1", RefundNo: number}, Actor: "buyer:1",
				})
				return err
			}
			require.ErrorIs(t, cancel("R-1"), errHost)
			h.fail = false
			return cancel("R-2")
		}))
		require.Equal(t, []string{"request_refund", "request_refund", "cancel"}, h.after)
		require.Equal(t, 3, h.outbox(t))
		o := requireLegal(t, h.s, "O-1")
		require.Equal(t, order.StateRefundRequested, o.Refund("R-1").State)
		require.Equal(t, order.StateCancelled, o.Refund("R-2").State)

		// A context that outlives its transaction is refused.
		require.Error(t, ask(left, h.svc, "O-1", "R-3", 1))
		require.Error(t, sqlstore.InTx(left, h.db, func(context.Context) error { return nil }))
		_, ok := sqlstore.TxFrom(left)
		require.False(t, ok)
		require.False(t, h.s.AfterCommit(left, func(context.Context) {}))
	})
}

// TestNestedInHook: an Update of the same order in its own hook is an error, also through WithTx.
func TestNestedInHook(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		err := s.Update(bg, "O-1", func(ctx context.Context, _ *order.Order) error {
			tx, ok := sqlstore.TxFrom(ctx)
			require.True(t, ok)
			return s.Update(sqlstore.WithTx(ctx, tx), "O-1", func(
				context.Context, *order.Order,
			) error {
				return nil
			})
		})
		require.ErrorContains(t, err, "nested")
	})
}

// TestOneConnection: lifecycles with hooks work on a pool of one connection.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		h := newHosted(t, d)
		h.db.SetMaxOpenConns(1)
		for i := range 3 {
			id := fmt.Sprintf("O-1%d", i)
			register(t, h.svc, id)
			require.NoError(t, ask(bg, h.svc, id, "R-"+id, 100))
			_, err := h.svc.ApproveAndSend(bg, refund.ApproveParams{
				Ref: refund.Ref{OrderID: id, RefundNo: "R-" + id}, Amount: 100, Actor: "staff:1",
			})
			require.NoError(t, err)
			require.Equal(t, order.StateRefunded, requireLegal(t, h.s, id).State)
		}
		require.NoError(t, sqlstore.InTx(bg, h.db, func(ctx context.Context) error {
			_, err := h.svc.ListRefunds(ctx, refund.Filter{})
			return errors.Join(err, ask(ctx, h.svc, "O-1", "R-1", 60),
				ask(ctx, h.svc, "O-1", "R-2", 40))
		}))
		require.Len(t, requireLegal(t, h.s, "O-1").Refunds, 2)
	})
}

// TestReservedOnce: of 16 requests for 60 of 100 at once, on two Stores, one succeeds.
func TestReservedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		stores := []*sqlstore.Store{d.on(t, d.connect(t, dsn)), d.on(t, d.connect(t, dsn))}
		require.NoError(t, stores[0].Migrate(bg))
		services := []*refund.Service{
			service(t, stores[0], refund.Options{}), service(t, stores[1], refund.Options{}),
		}
		register(t, services[0], "O-1")
		var wg sync.WaitGroup
		results := make([]error, 16)
		for i := range results {
			wg.Add(1)
			go func() {
				defer wg.Done()
				results[i] = ask(bg, services[i%2], "O-1", fmt.Sprintf("R-%d", i), 60)
			}()
		}
		wg.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, order.ErrAmount)
			}
		}
		require.Equal(t, 1, won)
		o := requireLegal(t, stores[0], "O-1")
		require.Len(t, o.Refunds, 1)
		require.EqualValues(t, 60, o.Reserved)
	})
}

// TestDeadlocks: of transactions that lock two orders in both orders, those of the host may fail
// and then leave nothing. Single commands never fail.
func TestDeadlocks(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		svc := service(t, s, refund.Options{})
		register(t, svc, "O-1")
		register(t, svc, "O-2")
		var wg sync.WaitGroup
		both, alone := make([]error, 16), make([]error, 16)
		for i := range both {
			wg.Add(2)
			go func() {
				defer wg.Done()
				ids := [][]string{{"O-1", "O-2"}, {"O-2", "O-1"}}[i%2]
				both[i] = sqlstore.InTx(bg, db, func(ctx context.Context) error {
					return errors.Join(ask(ctx, svc, ids[0], fmt.Sprintf("B-%d-1", i), 1),
						ask(ctx, svc, ids[1], fmt.Sprintf("B-%d-2", i), 1))
				})
			}()
			go func() {
				defer wg.Done()
				alone[i] = ask(bg, svc, []string{"O-1", "O-2"}[i%2], fmt.Sprintf("A-%d", i), 1)
			}()
		}
		wg.Wait()
		want := map[string]bool{}
		for i := range both {
			require.NoError(t, alone[i])
			want[fmt.Sprintf("A-%d", i)] = true
			if both[i] == nil {
				want[fmt.Sprintf("B-%d-1", i)], want[fmt.Sprintf("B-%d-2", i)] = true, true
			}
		}
		got := map[string]bool{}
		for _, id := range []string{"O-1", "O-2"} {
			for _, r := range requireLegal(t, s, id).Refunds {
				got[r.No] = true
			}
		}
		require.Equal(t, want, got)
	})
}
