package poller_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		require.Equal(t, poller.Stats{}, e.stats())
		e.approve("bank", 3)
		start := now()
		pass(time.Hour)
		e.approve("bank", 2)
		st := e.stats()
		require.Equal(t, 5, st.Due)
		require.Equal(t, start, st.OldestDue)
		require.Zero(t, st.Stuck)
		pass(23 * time.Hour)
		require.Equal(t, 3, e.stats().Stuck)
		for range 3 {
			e.approve("bank", 400)
			pass(24 * time.Hour)
		}
		require.Equal(t, 1000, e.stats().Due)
		require.Equal(t, 1000, e.stats().Stuck)
	})
}

// TestStatsReturnTheErrorOfTheStore: the figures of the store are zero then.
func TestStatsReturnTheErrorOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		e.approve("bank", 1)
		ended, cancel := context.WithCancel(bg)
		cancel()
		st, err := e.p.Stats(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, poller.Stats{}, st)
		e.store.onRefunds = errLost
		st, err = e.p.Stats(bg)
		require.ErrorIs(t, err, errLost)
		require.Equal(t, poller.Stats{}, st)
	})
}

func TestOldestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t)
		gate := make(chan struct{})
		defer close(gate)
		e.bank.Choose(func(refundtest.Call) refundtest.Step {
			return refundtest.AsUsual().Before(refundtest.Until(gate))
		})
		start := now()
		e.run()
		for i := range 5 {
			e.approve("bank", 1)
			e.soon(func() bool { return e.total() == i+1 })
			pass(time.Second)
		}
		for range 20 { // the order of a map is random
			oldest := e.stats().OldestInFlight
			require.Less(t, oldest.Sub(start), time.Millisecond)
		}
	})
}
