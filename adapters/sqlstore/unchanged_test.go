package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// TestUpdateOfNothingStored: a change that is too small to be stored, as of a time by a nanosecond, leaves nothing of
// the refund to write. MySQL counts the rows that a statement changed, and not those that it found: to write what is
// there already would look like an order that is gone.
func TestUpdateOfNothingStored(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		require.NoError(t, s.Create(bg, o))
		require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			o.Refunds[0].NextAttemptAt = o.Refunds[0].NextAttemptAt.Add(time.Nanosecond)
			return nil
		}))
		got := requireLegal(t, s, "O-1")
		require.Equal(t, o.Refunds, got.Refunds)
		require.EqualValues(t, 2, got.Version)
	})
}
