package poller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// newBench returns a Service and its Poller on the real clock. Each settled refund is sent to
// settled.
func newBench(b *testing.B, room int) (svc *refund.Service, run func(), settled chan string) {
	b.Helper()
	settled = make(chan string, room)
	m, err := order.NewMachine(order.Options{})
	require.NoError(b, err)
	svc, err = refund.NewService(m, memstore.New(), refundtest.New(), refund.Options{
		Logger: silent(),
		Hooks: []refund.Hooks{{After: func(_ context.Context, _ *order.Order, t order.Transition) {
			if t.Event == order.EventSettle {
				settled <- t.RefundNo
			}
		}}},
	})
	require.NoError(b, err)
	p, err := poller.New(svc, poller.Options{Batch: 500, Logger: silent()})
	require.NoError(b, err)
	ran := make(chan error, 1)
	b.Cleanup(func() {
		require.NoError(b, p.Shutdown(bg))
		require.NoError(b, <-ran)
	})
	return svc, func() { go func() { ran <- p.Run(bg) }() }, settled
}

func approveForBench(b *testing.B, svc *refund.Service, i int) {
	b.Helper()
	ref := refund.Ref{OrderID: fmt.Sprintf("O%d", i), RefundNo: fmt.Sprintf("R%d", i)}
	request(b, svc, "g", ref)
	_, err := svc.Approve(bg, approval(ref, 100))
	require.NoError(b, err)
}

// BenchmarkBacklog measures how many refunds per second the Poller processes from a backlog, with
// a store and a provider in memory.
func BenchmarkBacklog(b *testing.B) {
	svc, run, settled := newBench(b, b.N)
	for i := range b.N {
		approveForBench(b, svc, i)
	}
	b.ResetTimer()
	run()
	for range b.N {
		<-settled
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refunds/s")
}

// BenchmarkApproveToSettled measures the time from Approve to the settled refund, one at a time.
func BenchmarkApproveToSettled(b *testing.B) {
	svc, run, settled := newBench(b, 1)
	run()
	took := make([]time.Duration, 0, b.N)
	for i := range b.N {
		start := b.Elapsed()
		approveForBench(b, svc, i)
		<-settled
		took = append(took, b.Elapsed()-start)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
