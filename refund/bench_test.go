package refund_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// BenchmarkLifecycle is register, request, approve, process (lease and record), refunded: one whole
// order.
func BenchmarkLifecycle(b *testing.B) {
	newService := func(b *testing.B) *refund.Service {
		m, err := order.NewMachine(order.Options{})
		require.NoError(b, err)
		s, err := refund.NewService(m, memstore.New(), refundtest.New(), refund.Options{})
		require.NoError(b, err)
		return s
	}
	report := func(b *testing.B, start time.Time) {
		//nolint:forbidigo // a benchmark measures
		b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "orders/s")
	}
	b.Run("Serial", func(b *testing.B) {
		s := newService(b)
		b.ReportAllocs()
		b.ResetTimer()
		start := time.Now() //nolint:forbidigo // a benchmark measures
		for i := range b.N {
			lifecycle(b, s, i)
		}
		report(b, start)
	})
	b.Run("Parallel", func(b *testing.B) {
		s := newService(b)
		var n atomic.Int64
		b.ReportAllocs()
		b.ResetTimer()
		start := time.Now() //nolint:forbidigo // a benchmark measures
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				lifecycle(b, s, int(n.Add(1)))
			}
		})
		report(b, start)
	})
}

func lifecycle(b *testing.B, s *refund.Service, i int) {
	id, number := fmt.Sprintf("O%d", i), fmt.Sprintf("R%d", i)
	_, err := s.Register(
		bg, refund.RegisterParams{OrderID: id, Gateway: "bank", Currency: "CNY", Total: 100},
	)
	if err != nil {
		b.Fatal(err)
	}
	if _, err = s.Request(
		bg,
		refund.RequestParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: buyer,
		},
	); err != nil {
		b.Fatal(err)
	}
	r, err := s.ApproveAndSend(
		bg,
		refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: seller,
		},
	)
	if err != nil || r.State != order.StateRefunded {
		b.Fatal(r.State, err)
	}
}
