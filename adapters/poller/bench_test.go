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
)

// instant is a provider that pays without taking time.
type instant struct{}

func (instant) Refund(_ context.Context, req refund.Request) (refund.Result, error) {
	return result(refund.OutcomeSucceeded, req), nil
}

func (instant) Query(_ context.Context, req refund.Request) (refund.Result, error) {
	return refund.Result{Outcome: refund.OutcomeNotFound, RefundNo: req.RefundNo}, nil
}

// newBench runs a Poller on the real clock; settled is sent to for every refund that is settled.
func newBench(b *testing.B, room int) (svc *refund.Service, run func(), settled chan string) {
	b.Helper()
	settled = make(chan string, room)
	store := memstore.New()
	m, err := order.NewMachine(order.Options{})
	require.NoError(b, err)
	svc, err = refund.NewService(m, store, instant{}, refund.Options{
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
	_, err := svc.Register(bg, refund.RegisterParams{OrderID: ref.OrderID, Gateway: "g", Currency: "CNY", Total: 100})
	require.NoError(b, err)
	_, err = svc.Request(bg, refund.RequestParams{Ref: ref, Amount: 100, Actor: "buyer:1"})
	require.NoError(b, err)
	_, err = svc.Approve(bg, approval(ref, 100))
	require.NoError(b, err)
}

// BenchmarkBacklog is refunds per second from a backlog: the Poller's own cost, with storage in memory.
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

// BenchmarkApproveToSettled is the latency from Approve to the settled refund, one at a time, when idle.
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
