package wechatv2_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// TestRequestsAboveTheRateAreNotSent checks that a request above the rate is not sent if it cannot
// wait for its turn.
func TestRequestsAboveTheRateAreNotSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.RefundRate, cfg.QueryRate = 0.001, 0.001 // one in a quarter of an hour
	g := newGateway(t, cfg)
	_, err := g.Refund(ctx, request())
	require.NoError(t, err)
	_, err = g.Query(ctx, request())
	require.NoError(t, err, "queries have a rate of their own")
	for range 3 {
		_, err = g.Refund(ctx, request())
		var later *refund.BusyError
		require.ErrorAs(t, err, &later)
		require.Greater(t, later.After, time.Minute, "when its turn would come")
		require.True(t, later.Account, "all refunds share the rate")
		require.LessOrEqual(t, later.After, 1000*time.Second, "what was not sent takes no turn")
		require.ErrorContains(t, err, "configured rate")
		_, err = g.List(ctx, wholeOrder())
		require.ErrorAs(t, err, &later)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = g.Refund(cancelled, request())
	require.Error(t, err)
	require.Equal(t, 1, srv.Calls(wechattest.PathRefund))
	require.Equal(t, 1, srv.Calls(wechattest.PathQuery))
}

// TestRateLeavesTimeForTheCall checks that a request is not sent if its turn comes after half of
// its caller's time.
func TestRateLeavesTimeForTheCall(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	// One in two and a half minutes: less than patience, and more than half of it.
	cfg.QueryRate = 1.0 / 150
	cfg.TotalTimeout = time.Hour
	g := newGateway(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := g.Query(ctx, request())
	require.NoError(t, err)
	_, err = g.Query(ctx, request())
	var later *refund.BusyError
	require.ErrorAs(t, err, &later)
	require.Equal(t, 1, srv.Calls(wechattest.PathQuery))
}

// TestRequestsWaitForTheirTurn checks that requests that can wait are sent: ten in the first burst,
// then one every ten milliseconds.
func TestRequestsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.QueryRate = 100
	g := newGateway(t, cfg)
	for range 15 {
		_, err := g.Query(context.Background(), request())
		require.NoError(t, err)
	}
	require.Equal(t, 15, srv.Calls(wechattest.PathQuery))
}

func TestDefaultRates(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.RefundRate, cfg.QueryRate = 0, 0
	shown := fmt.Sprint(newGateway(t, cfg))
	require.Contains(t, shown, `refund_rate="150" query_rate="300"`)
}
