package pgxtx_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/pgxtx"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
	"github.com/orderfsm/orderfsm/refund/storetest"
)

const dsnVar = "ORDERFSM_POSTGRES_DSN"

// newPool returns a pool on a fresh schema.
func newPool(t *testing.T, name string) *pgxpool.Pool {
	t.Helper()
	dsn := os.Getenv(dsnVar)
	if dsn == "" {
		t.Skip("set " + dsnVar + ", for example postgres://postgres@127.0.0.1:5432/test")
	}
	ctx := context.Background()
	cfg, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	schema := fmt.Sprintf("orderfsm_pgx_%d_%s", os.Getpid(), name)
	cfg.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := pool.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		pool.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return pool
}

func TestStore(t *testing.T) {
	t.Parallel()
	n := make(chan int, 1)
	n <- 0
	storetest.Run(t, storetest.Harness{New: func(t *testing.T) refund.Store {
		i := <-n
		n <- i + 1
		s, err := pgxtx.New(newPool(t, fmt.Sprint(i)), sqlstore.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(context.Background()))
		return s
	}})
}

// TestJoined: commands work in the host's own pgx transaction, with the host's rows.
func TestJoined(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pool := newPool(t, "joined")
	s, err := pgxtx.New(pool, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(ctx))
	_, err = pool.Exec(ctx, "CREATE TABLE stock (left_over INT NOT NULL)")
	require.NoError(t, err)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	after := 0
	bank := refundtest.New()
	svc, err := refund.NewService(m, s, bank, refund.Options{Hooks: []refund.Hooks{{
		InTx: func(ctx context.Context, _ *order.Order, _ order.Transition) error {
			tx, ok := pgxtx.TxFrom(ctx)
			if !ok {
				return errors.New("no transaction of pgx")
			}
			_, err := tx.Exec(ctx, "INSERT INTO stock VALUES (1)")
			return err
		},
		After: func(context.Context, *order.Order, order.Transition) { after++ },
	}}})
	require.NoError(t, err)
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "O-1", Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	ask := func(ctx context.Context, number string) error {
		_, err := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: number}, Amount: 60, Actor: "buyer:1",
		})
		return err
	}
	stop := errors.New("the host says no")
	require.ErrorIs(t, pgxtx.InTx(ctx, pool, func(ctx context.Context) error {
		require.NoError(t, ask(ctx, "R-1"))
		return stop
	}), stop)
	o, err := svc.Order(ctx, "O-1")
	require.NoError(t, err)
	require.Empty(t, o.Refunds)
	require.Zero(t, after)

	require.NoError(t, pgxtx.InTx(ctx, pool, func(ctx context.Context) error {
		require.ErrorIs(t, errors.Join(ask(ctx, "R-1"), ask(ctx, "R-2")), order.ErrAmount)
		_, err := svc.Process(ctx, refund.Ref{OrderID: "O-1", RefundNo: "R-1"})
		require.ErrorIs(t, err, refund.ErrInTx)
		require.Zero(t, after)
		return nil
	}))
	require.Equal(t, 1, after)

	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	joined := pgxtx.WithTx(ctx, tx)
	_, err = svc.Cancel(joined, refund.CancelParams{
		Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, Actor: "buyer:1",
	})
	require.NoError(t, err)
	require.NoError(t, tx.Commit(ctx))
	require.Equal(t, 1, after, "with WithTx nothing reports the commit")
	var rows int
	require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM stock").Scan(&rows))
	require.Equal(t, 2, rows)
	o, err = svc.Order(ctx, "O-1")
	require.NoError(t, err)
	require.Equal(t, order.StateCancelled, o.Refund("R-1").State)
	require.Empty(t, bank.Calls())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := pgxtx.New(nil, sqlstore.Options{})
	var invalid *order.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "pool", invalid.Field)
}

// TestHooksHaveTx: TxFrom returns the transaction of pgx to a hook, whoever began it.
func TestHooksHaveTx(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pool := newPool(t, "hooks")
	s, err := pgxtx.New(pool, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(ctx))
	_, err = pool.Exec(ctx, "CREATE TABLE outbox (order_id TEXT NOT NULL, event TEXT NOT NULL)")
	require.NoError(t, err)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	svc, err := refund.NewService(m, s, refundtest.New(), refund.Options{Hooks: []refund.Hooks{{
		InTx: func(ctx context.Context, o *order.Order, tr order.Transition) error {
			tx, ok := pgxtx.TxFrom(ctx)
			if !ok {
				return errors.New("no transaction of pgx")
			}
			_, err := tx.Exec(ctx, "INSERT INTO outbox (order_id, event) VALUES ($1, $2)", o.ID,
				string(tr.Event))
			return err
		},
	}}})
	require.NoError(t, err)
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "O-1", Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	ask := func(ctx context.Context) error {
		_, err := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "O-1"}, Amount: 10, Actor: "buyer:1",
		})
		return err
	}
	require.NoError(t, ask(ctx))
	require.NoError(t, pgxtx.InTx(ctx, pool, ask))
	require.NoError(t, s.InTx(ctx, ask))
	var rows int
	require.NoError(t,
		pool.QueryRow(ctx, "SELECT count(*) FROM outbox WHERE order_id = 'O-1'").Scan(&rows))
	require.Equal(t, 3, rows)
}

// TestForeignTransaction: Stores on one pool share a transaction. Stores on two pools do not.
func TestForeignTransaction(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	one, two := newPool(t, "one"), newPool(t, "two")
	store := func(pool *pgxpool.Pool, prefix string) *sqlstore.Store {
		s, err := pgxtx.New(pool, sqlstore.Options{Prefix: prefix})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(ctx))
		return s
	}
	a, sibling, b := store(one, "a_"), store(one, "b_"), store(two, "a_")
	o := &order.Order{
		ID: "O-1", Gateway: "bank", Currency: "CNY", Total: 100, State: order.StatePaid,
	}
	require.ErrorContains(t, a.InTx(ctx, func(ctx context.Context) error {
		return b.Create(ctx, o)
	}), "another pool")
	stop := errors.New("no")
	require.ErrorIs(t, a.InTx(ctx, func(ctx context.Context) error {
		return errors.Join(sibling.Create(ctx, o), stop)
	}), stop)
	for _, s := range []*sqlstore.Store{a, sibling, b} {
		_, err := s.Get(ctx, "O-1")
		require.ErrorIs(t, err, refund.ErrOrderNotFound)
	}
}

// TestLostCommit: a server that closes the connection instead of answering COMMIT may have
// committed, for example if it waits for a standby.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pool := newPool(t, "lost")
	_, err := pool.Exec(ctx, `CREATE TABLE stock (left_over INT NOT NULL);
		CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.left_over = 0 THEN RAISE 'none'; END IF;
			PERFORM pg_terminate_backend(pg_backend_pid());
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON stock DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION leave()`)
	require.NoError(t, err)
	insert := func(n int) error {
		return pgxtx.InTx(ctx, pool, func(ctx context.Context) error {
			tx, _ := pgxtx.TxFrom(ctx)
			_, err := tx.Exec(ctx, "INSERT INTO stock VALUES ($1)", n)
			return err
		})
	}
	require.ErrorIs(t, insert(1), sqlstore.ErrCommit)
	err = insert(0)
	require.ErrorContains(t, err, "none")
	require.NotErrorIs(t, err, sqlstore.ErrCommit, "it has said no")
}
