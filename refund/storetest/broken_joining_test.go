package storetest

import (
	"context"
	"maps"

	"github.com/orderfsm/orderfsm/order"
)

// begin opens a transaction as a host does.
func (b *broken) begin() (ctx context.Context, end func(commit bool) error) {
	if !b.is("joined takes no lock") {
		b.lock <- struct{}{}
	}
	b.data.mu.Lock()
	defer b.data.mu.Unlock()
	b.data.before = maps.Clone(b.data.orders)
	tx := &brokenTx{joined: true}
	return context.WithValue(bg, brokenKey{}, tx), func(commit bool) error {
		b.data.mu.Lock()
		if !commit && !b.is("joined writes stay") || b.is("joined writes are lost") {
			b.data.orders = b.data.before
		}
		b.data.before = nil
		b.data.mu.Unlock()
		if commit || b.is("joined after roll-back") {
			for _, f := range tx.after {
				f(bg)
			}
		}
		if !b.is("joined takes no lock") {
			<-b.lock
		}
		return nil
	}
}

func (b *broken) joinedUpdate(
	ctx context.Context, tx *brokenTx, id string, fn func(context.Context, *order.Order) error,
) error {
	if tx.failed && b.is("joined failure is the end") {
		return errTest
	}
	busy := tx.busy
	tx.busy = id
	defer func() { tx.busy = busy }()
	err := b.change(ctx, id, fn)
	tx.failed = tx.failed || err != nil
	return err
}

// committed returns an order as others see it.
func (b *broken) committed(id string) (*order.Order, bool) {
	b.data.mu.Lock()
	before := b.data.before
	b.data.mu.Unlock()
	if before == nil || b.is("joined writes show at once") {
		return b.load(id)
	}
	o, ok := before[b.key(id)]
	return o.Clone(), ok
}
