package sqlstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestForeignTransaction: a Store does not work in a transaction that a Store on another database
// began, even if the tables have the same names.
func TestForeignTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		a, _ := d.store(t)
		b, db := d.store(t)
		sibling, err := sqlstore.New(db, d.dialect, sqlstore.Options{Prefix: "other_"})
		require.NoError(t, err)
		require.NoError(t, sibling.Migrate(bg))
		for _, s := range []*sqlstore.Store{a, b, sibling} {
			require.NoError(t, s.Create(bg, newOrder("O-1")))
		}
		refused := func(ctx context.Context) {
			for name, err := range map[string]error{
				"update": ask(ctx, service(t, b, refund.Options{}), "O-1", "R-1", 60),
				"create": b.Create(ctx, newOrder("O-2")),
				"in tx": b.InTx(ctx, func(context.Context) error {
					t.Error("called")
					return nil
				}),
			} {
				require.ErrorContains(t, err, "a Store on another pool began", name)
			}
			_, err := b.Get(ctx, "O-1")
			require.ErrorContains(t, err, "another pool")
			_, err = b.ListRefunds(ctx, refund.Filter{})
			require.ErrorContains(t, err, "another pool")
		}
		require.NoError(t, a.Update(bg, "O-1", func(ctx context.Context, o *order.Order) error {
			refused(ctx)
			request(t, o, "R-1", 60)
			return nil
		}))
		require.NoError(t, a.InTx(bg, func(ctx context.Context) error { refused(ctx); return nil }))
		require.EqualValues(t, 60, requireLegal(t, a, "O-1").Reserved, "what is a's goes on")
		require.Empty(t, requireLegal(t, b, "O-1").Refunds)

		require.NoError(t, b.InTx(bg, func(ctx context.Context) error {
			return ask(ctx, service(t, sibling, refund.Options{}), "O-1", "R-1", 60)
		}), "one pool, other tables")
		require.EqualValues(t, 60, requireLegal(t, sibling, "O-1").Reserved)
		require.Empty(t, requireLegal(t, b, "O-1").Refunds)
	})
}

// TestBusyAtCommit: with a rollback journal SQLite's COMMIT waits for readers. SQLITE_BUSY is then
// the answer that nothing was committed: the transaction is repeated, and the error is no
// ErrCommit.
func TestBusyAtCommit(t *testing.T) {
	t.Parallel()
	d := databases()[0]
	dsn := strings.NewReplacer("journal_mode(WAL)", "journal_mode(DELETE)",
		"busy_timeout(60000)", "busy_timeout(0)").Replace(d.fresh(t))
	require.NoError(t, d.on(t, d.connect(t, dsn)).Migrate(bg))
	reader, err := d.connect(t, dsn).BeginTx(bg, nil)
	require.NoError(t, err)
	var n int
	require.NoError(t, reader.QueryRowContext(bg, "SELECT count(*) FROM orderfsm_orders").Scan(&n))

	never, err := sqlstore.New(d.connect(t, dsn), d.dialect, sqlstore.Options{Retries: -1})
	require.NoError(t, err)
	for _, err := range []error{
		never.Create(bg, newOrder("O-1")),
		never.InTx(bg, func(ctx context.Context) error {
			return never.Create(ctx, newOrder("O-1"))
		}),
	} {
		require.ErrorContains(t, err, "commit: database is locked")
		require.NotErrorIs(t, err, sqlstore.ErrCommit)
		require.True(t, d.dialect.IsRetryable(err))
	}
	paused := 0
	db := d.connect(t, dsn)
	pause := func(context.Context, time.Duration) error {
		if paused++; paused == 3 {
			return reader.Rollback()
		}
		return nil
	}
	s, err := sqlstore.New(db, d.dialect, sqlstore.Options{})
	require.NoError(t, err)
	s.SetPause(pause)
	require.NoError(t, s.Create(bg, newOrder("O-1")))
	require.Equal(t, 3, paused)
	requireLegal(t, s, "O-1")
}
