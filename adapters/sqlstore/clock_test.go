package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestNow: the database's time is in UTC and goes on, also in a transaction. The databases of the
// tests run on this machine and have its time.
func TestNow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		// SQLite's time is not exact to the microsecond.
		before := time.Now().Add(-time.Millisecond) //nolint:forbidigo
		now, err := s.Now(bg)
		require.NoError(t, err)
		require.False(t, now.Before(before), "%v is before %v", now, before)
		require.False(t, now.After(time.Now().Add(time.Millisecond))) //nolint:forbidigo // as above
		require.Equal(t, time.UTC, now.Location())

		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, s.Update(bg, "O-1", func(ctx context.Context, _ *order.Order) error {
			inside, err := s.Now(ctx)
			require.NoError(t, err)
			require.False(t, inside.Before(now.Add(-time.Millisecond)))
			return nil
		}))

		ended, cancel := context.WithCancel(bg)
		cancel()
		_, err = s.Now(ended)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestNowOfTheHost: Options.Now replaces the database's clock.
func TestNowOfTheHost(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(sqliteConnector{})
	s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{
		Now: refundtest.NewClock(at(7)).Now,
	})
	require.NoError(t, err)
	now, err := refund.Clock(s).Now(bg)
	require.NoError(t, err)
	require.Equal(t, at(7), now)
}
