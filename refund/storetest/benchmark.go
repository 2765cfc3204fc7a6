package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Benchmark measures a store with 1,000 orders and one approved refund each: Get, Due of 100,
// ListRefunds of 50, and Update of a schedule from one goroutine and from several.
func Benchmark(b *testing.B, open func(b *testing.B) refund.Store) {
	e := &env{store: open(b)}
	const orders = 1000
	for i := range orders {
		e.due(b, fmt.Sprintf("O-%d", i), fmt.Sprintf("R-%d", i), e.at(i))
	}
	update := func(b *testing.B, i int) {
		err := e.store.Update(bg, fmt.Sprintf("O-%d", i%orders), func(
			_ context.Context, o *order.Order,
		) error {
			o.Refunds[0].Attempts++
			return nil
		})
		require.NoError(b, err)
	}
	for name, op := range map[string]func(b *testing.B, i int){
		"Get":    func(b *testing.B, i int) { e.get(b, fmt.Sprintf("O-%d", i%orders)) },
		"Update": update,
		"Due": func(b *testing.B, _ int) {
			refs, err := e.store.Due(bg, refund.DueQuery{Now: e.at(orders), Limit: 100})
			require.NoError(b, err)
			require.Len(b, refs, 100)
		},
		"ListRefunds": func(b *testing.B, _ int) {
			page, err := e.store.ListRefunds(bg, refund.Filter{
				States: []order.State{order.StateApproved},
			})
			require.NoError(b, err)
			require.Len(b, page.Entries, 50)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				op(b, i)
			}
		})
	}
	b.Run("UpdateParallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				update(b, i)
			}
		})
	})
}
