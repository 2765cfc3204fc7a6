package sqlstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// updates is a store that counts its Updates.
type updates struct {
	*sqlstore.Store
	n *atomic.Int64
}

// Update implements [refund.Store].
func (u updates) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	u.n.Add(1)
	return u.Store.Update(ctx, id, fn)
}

// BenchmarkHerd runs four pollers on the same due refunds. taken/op is how often a poller began a
// refund that another one had taken since the list. That costs a locking read and never a call to
// the provider. It grows with the length of a list.
//
//	go test -run '^$' -bench Herd -benchtime 500x ./adapters/sqlstore
func BenchmarkHerd(b *testing.B) {
	for _, d := range databases() {
		for _, batch := range []int{32, 128, 512} {
			b.Run(fmt.Sprintf("%s/batch=%d", d.name, batch), func(b *testing.B) {
				benchHerd(b, d, batch)
			})
		}
	}
}

func benchHerd(b *testing.B, d database, batch int) {
	const pollers = 4
	dsn := d.fresh(b)
	s := d.on(b, d.connect(b, dsn))
	require.NoError(b, s.Migrate(bg))
	herdOf(b, s, b.N)
	bank := refundtest.New()
	bank.ByDefault(refundtest.Pay().Before(func(context.Context) { // as over a network
		<-time.NewTimer(20 * time.Millisecond).C
	}))
	var tried atomic.Int64
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	var wg sync.WaitGroup
	var settled atomic.Int64
	b.ResetTimer()
	for range pollers {
		db := d.connect(b, dsn)
		keep(db, 8)
		ended := func(_ context.Context, _ *order.Order, tr order.Transition) {
			if tr.To == order.StateRefunded && settled.Add(1) == int64(b.N) {
				cancel()
			}
		}
		svc, err := refund.NewService(newMachine(b), updates{d.on(b, db), &tried}, bank,
			refund.Options{Hooks: []refund.Hooks{{After: ended}}})
		require.NoError(b, err)
		p, err := poller.New(svc, poller.Options{Batch: batch})
		require.NoError(b, err)
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := p.Run(ctx); err != nil {
				b.Error(err)
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	require.Len(b, bank.Calls(), b.N, "each refund is sent once")
	b.ReportMetric(float64(tried.Load()-2*int64(b.N))/float64(b.N), "taken/op")
}

// herdOf makes n orders with an approved refund each, all due.
func herdOf(b *testing.B, s *sqlstore.Store, n int) {
	b.Helper()
	m := newMachine(b)
	errs := make(chan error, 8)
	for w := range cap(errs) {
		go func() {
			errs <- func() error {
				for i := w; i < n; i += cap(errs) {
					o := newOrder(fmt.Sprintf("O-%d", i))
					for _, f := range []order.Trigger{
						{Event: order.EventRequestRefund, Amount: 100, Actor: "buyer:1", At: at(1)},
						{Event: order.EventApprove, Actor: "staff:1", At: at(2)},
					} {
						f.RefundNo = fmt.Sprintf("R-%d", i)
						if _, err := m.Fire(bg, o, f); err != nil {
							return err
						}
					}
					o.Refunds[0].NextAttemptAt = at(i)
					if err := s.Create(bg, o); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range cap(errs) {
		require.NoError(b, <-errs)
	}
}
