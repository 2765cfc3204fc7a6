package refundtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestClockMovesByAdvance(t *testing.T) {
	clock := newClock()
	start := clock.Now()
	clock.Advance(time.Hour)
	clock.Advance(-time.Minute)
	require.Equal(t, start.Add(59*time.Minute), clock.Now())
}

// store is a memstore whose lists fail after some calls.
type store struct {
	*memstore.Store
	due, list int
}

var errBroken = errors.New("broken")

func (s *store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if s.due--; s.due < 0 {
		return nil, errBroken
	}
	return s.Store.Due(ctx, q)
}

func (s *store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if s.list--; s.list < 0 {
		return refund.Page{}, errBroken
	}
	return s.Store.ListRefunds(ctx, f)
}

func passing(
	t *testing.T, s refund.Store, gw refund.RefundGateway, clock *refundtest.Clock,
	wait time.Duration, orders int,
) *refund.Service {
	t.Helper()
	machine, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	svc, err := refund.NewService(machine, s, gw, refund.Options{
		Now: clock.Now, Backoff: func(string, int) time.Duration { return wait },
	})
	require.NoError(t, err)
	for i := range orders {
		id := fmt.Sprintf("O%d", i)
		_, err = svc.Register(ctx, refund.RegisterParams{
			OrderID: id, Gateway: "bank", Currency: "CNY", Total: 100,
		})
		require.NoError(t, err)
		_, err = svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: id, RefundNo: "R" + id}, Amount: 30, Actor: "buyer:1",
		})
		require.NoError(t, err)
		_, err = svc.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: "R" + id}, Amount: 30, Actor: "staff:1",
		})
		require.NoError(t, err)
	}
	return svc
}

// TestPassProcessesWhatIsDue: each time that a refund is due, also at the very end. The clock shows
// the time that has passed.
func TestPassProcessesWhatIsDue(t *testing.T) {
	gw, clock := refundtest.New(), newClock()
	gw.ByDefault(refundtest.Accept())
	svc := passing(t, memstore.New(), gw, clock, time.Hour, 1)
	start := clock.Now()
	require.NoError(t, refundtest.Pass(ctx, clock, svc, 3*time.Hour))
	require.Equal(t, "[refund RO0 query RO0 query RO0 query RO0]", fmt.Sprint(gw.Calls()))
	require.Equal(t, start.Add(3*time.Hour), clock.Now())
	require.NoError(t, refundtest.Pass(ctx, clock, svc, 59*time.Minute))
	require.Len(t, gw.Calls(), 4)
	require.Equal(t, start.Add(3*time.Hour+59*time.Minute), clock.Now())
}

// TestPassReadsAllPages: there are more refunds than a page holds.
func TestPassReadsAllPages(t *testing.T) {
	gw, clock := refundtest.New(), newClock()
	svc := passing(t, memstore.New(), gw, clock, time.Hour, refund.MaxLimit+1)
	require.NoError(t, refundtest.Pass(ctx, clock, svc, 0))
	left, err := svc.Due(ctx, 1, nil)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Len(t, gw.Calls(), refund.MaxLimit+1)
}

func TestPassReturnsErrors(t *testing.T) {
	gw, clock := refundtest.New(), newClock()
	gw.ByDefault(refundtest.Accept())
	require.ErrorContains(t, refundtest.Pass(ctx, clock,
		passing(t, memstore.New(), gw, clock, 0, 1), time.Hour), "after 100 rounds")

	for name, s := range map[string]*store{"list": {due: 9}, "due": {list: 9}} {
		s.Store = memstore.New()
		require.ErrorIs(t, refundtest.Pass(ctx, clock, passing(t, s, gw, clock, time.Hour, 1),
			time.Hour), errBroken, name)
	}
	ended, cancel := context.WithCancel(ctx)
	gw.ByDefault(refundtest.Accept().After(func(context.Context) { cancel() }))
	s := &store{Store: memstore.New(), due: 9, list: 9}
	svc := passing(t, s, gw, clock, time.Hour, 2)
	require.ErrorIs(t, refundtest.Pass(ended, clock, svc, time.Hour), context.Canceled,
		"processing fails")
}
