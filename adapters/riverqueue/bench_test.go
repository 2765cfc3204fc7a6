package riverqueue_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// BenchmarkRefunds settles approved refunds with a provider that answers at once. Give it -benchtime 2000x.
func BenchmarkRefunds(b *testing.B) {
	for _, bench := range []struct {
		workers  int
		cooldown time.Duration
	}{
		{riverqueue.MaxWorkers, river.FetchCooldownDefault},
		{riverqueue.MaxWorkers, 10 * time.Millisecond},
		{50, river.FetchCooldownDefault},
	} {
		b.Run(fmt.Sprintf("workers=%d/cooldown=%s", bench.workers, bench.cooldown), func(b *testing.B) {
			settled := make(chan struct{}, b.N)
			s := benchShop(b, freshDSN(b), settled)
			for i := range b.N {
				s.approve(strconv.Itoa(i))
			}
			b.ResetTimer()
			s.start(riverqueue.Options{}, func(c *river.Config) {
				c.FetchCooldown, c.FetchPollInterval = bench.cooldown, 0
				c.Queues[riverqueue.Queue] = river.QueueConfig{MaxWorkers: bench.workers}
			})
			for range b.N {
				<-settled
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refunds/s")
		})
	}
}

// BenchmarkApprove is how long it takes from Approve until the refund is settled, one at a time, where the client
// looks every second, and where PostgreSQL wakes it. Give it -benchtime 60x.
func BenchmarkApprove(b *testing.B) {
	for _, listens := range []bool{false, true} {
		b.Run(fmt.Sprintf("listens=%t", listens), func(b *testing.B) {
			settled := make(chan struct{}, b.N)
			dsn := freshDSN(b)
			s := benchShop(b, dsn, settled)
			if listens {
				s.listens(dsn)
			}
			s.start(riverqueue.Options{}, func(c *river.Config) { c.FetchCooldown, c.FetchPollInterval = 0, 0 })
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for i := range b.N {
				p := s.ask(strconv.Itoa(i))
				begin := b.Elapsed()
				if _, err := s.svc.Approve(bg, p); err != nil {
					b.Fatal(err)
				}
				<-settled
				took = append(took, b.Elapsed()-begin)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
		})
	}
}

func benchShop(b *testing.B, dsn string, settled chan<- struct{}) *shop {
	b.Helper()
	return newShop(b, dsn, &bank{}, refund.Options{Hooks: refund.Hooks{
		After: func(_ context.Context, _ *order.Order, t order.Transition) {
			if t.To == order.StateRefunded {
				settled <- struct{}{}
			}
		},
	}})
}
