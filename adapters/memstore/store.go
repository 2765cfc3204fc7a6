// Package memstore is the reference [refund.Store]: orders in memory, gone when the process ends. It is for
// tests and demos, and for reading: storetest says what a store must do, this one does it plainly.
//
//	svc, err := refund.NewService(machine, memstore.New(), gateway, refund.Options{})
//
// # What it does
//
// All of the port, and the optional interface [refund.Joiner]: a command on another order,
// called with the context of an InTx hook, joins that Update. One Update runs at a time in the whole store. Readers
// see committed orders only and wait for nobody.
//
// # What it is not for
//
// Money: a process that ends forgets which refunds it has sent. Several processes do not share one.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var (
	_ refund.Store  = (*Store)(nil)
	_ refund.Joiner = (*Store)(nil)
)

// Store keeps orders in memory. Make it with [New]; it is safe for concurrent use.
type Store struct {
	writing chan struct{} // holds a token while a transaction is open; unlike a mutex it can be waited for with a context

	mu     sync.RWMutex // guards the maps
	orders map[string]entry
	owner  map[string]string // refund number → order ID
}

// entry is an order without its history, and the history. Neither is written to once it is stored, but the
// history may be appended to behind its end.
type entry struct {
	order   *order.Order
	history []order.Transition
}

// New returns an empty store.
func New() *Store {
	return &Store{writing: make(chan struct{}, 1), orders: map[string]entry{}, owner: map[string]string{}}
}

// tx is an open transaction: what it has written and who waits for its commit.
type tx struct {
	store   *Store
	staged  map[string]entry
	busy    map[string]bool // orders whose fn is running
	pending []func(context.Context)
	ended   atomic.Bool // its ctx may outlive it, in a goroutine that a hook started
}

type txKey struct{ store *Store }

func (s *Store) txFrom(ctx context.Context) *tx {
	t, _ := ctx.Value(txKey{s}).(*tx)
	return t
}

// Joined implements [refund.Joiner]: ctx is that of an Update's fn.
func (s *Store) Joined(ctx context.Context) bool { return s.txFrom(ctx) != nil }

// AfterCommit implements [refund.Joiner].
func (s *Store) AfterCommit(ctx context.Context, f func(ctx context.Context)) bool {
	t := s.txFrom(ctx)
	if t == nil || t.ended.Load() {
		return false
	}
	t.pending = append(t.pending, f)
	return true
}

// Update implements [refund.Store]. With the ctx of an Update's fn, an Update or Create of another order
// joins that transaction: all of it is committed, or nothing. If it fails, it leaves nothing in that.
func (s *Store) Update(ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error) error {
	return s.transact(ctx, func(ctx context.Context, t *tx) error {
		if t.busy[orderID] {
			return fmt.Errorf("update order %s: nested in an update of the same order", orderID)
		}
		before, err := t.get(orderID)
		if err != nil {
			return err
		}
		t.busy[orderID] = true
		defer delete(t.busy, orderID)
		after := before.order.Clone()
		if err := fn(ctx, after); err != nil {
			return err
		}
		if after.ID != orderID {
			return fmt.Errorf("update order %s: the ID was changed: %w", orderID, order.ErrInvalid)
		}
		if before.order.Equal(after) {
			return nil
		}
		if err := t.stage(after, before); err != nil {
			return fmt.Errorf("update order %s: %w", orderID, err)
		}
		return nil
	})
}

// Create implements [refund.Store].
func (s *Store) Create(ctx context.Context, o *order.Order) error {
	return s.transact(ctx, func(_ context.Context, t *tx) error {
		if _, err := t.get(o.ID); err == nil {
			return fmt.Errorf("create order %s: %w", o.ID, refund.ErrExists)
		}
		if err := t.stage(o, entry{order: &order.Order{}}); err != nil {
			return fmt.Errorf("create order %s: %w", o.ID, err)
		}
		return nil
	})
}

// stage writes o as what follows before.
func (t *tx) stage(o *order.Order, before entry) error {
	if err := t.checkNumbers(o); err != nil {
		return err
	}
	if err := refund.CheckHistory(o, before.order.Seq); err != nil {
		return err
	}
	after := o.Clone()                                  // what the caller keeps of the order reaches nothing
	history := append(before.history, after.History...) //nolint:gocritic // behind the end of what others see
	after.History, after.Version = nil, before.order.Version+1
	t.staged[o.ID] = entry{after, history}
	return nil
}

// transact runs fn in the transaction that ctx carries, or else in a new one.
func (s *Store) transact(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t := s.txFrom(ctx); t != nil {
		if t.ended.Load() {
			return errors.New("the transaction of this context has ended")
		}
		return t.nested(ctx, fn)
	}
	t := &tx{store: s, staged: map[string]entry{}, busy: map[string]bool{}}
	if err := s.commit(ctx, t, fn); err != nil {
		return err
	}
	for _, f := range t.pending {
		f(context.WithoutCancel(ctx))
	}
	return nil
}

// nested runs one command in a transaction that goes on: one that fails leaves nothing in it.
func (t *tx) nested(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	staged, pending, done := maps.Clone(t.staged), len(t.pending), false
	defer func() {
		if !done { // also if fn panicked, or its goroutine ends
			t.staged, t.pending = staged, t.pending[:pending]
		}
	}()
	err := fn(ctx, t)
	done = err == nil
	return err
}

func (s *Store) commit(ctx context.Context, t *tx, fn func(ctx context.Context, t *tx) error) error {
	if s.writing == nil {
		return errors.New("a store that New has not made")
	}
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		t.ended.Store(true)
		<-s.writing
	}()
	if err := fn(context.WithValue(ctx, txKey{s}, t), t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range t.staged {
		s.orders[id] = e
		for i := range e.order.Refunds {
			s.owner[e.order.Refunds[i].No] = id
		}
	}
	return nil
}

// get returns the order as the transaction sees it; it must not be written to.
func (t *tx) get(orderID string) (entry, error) {
	if e, ok := t.staged[orderID]; ok {
		return e, nil
	}
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	if e, ok := t.store.orders[orderID]; ok {
		return e, nil
	}
	return entry{}, fmt.Errorf("order %s: %w", orderID, refund.ErrOrderNotFound)
}

// checkNumbers refuses a refund number that another order has, or that stands twice.
func (t *tx) checkNumbers(o *order.Order) error {
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	for i := range o.Refunds {
		no := o.Refunds[i].No
		owner, taken := t.store.owner[no]
		for id, other := range t.staged {
			if id != o.ID && other.order.Refund(no) != nil {
				owner, taken = id, true
			}
		}
		if taken && owner != o.ID || o.Refund(no) != &o.Refunds[i] {
			return fmt.Errorf("refund number %s of order %s is taken: %w", no, o.ID, refund.ErrConflict)
		}
	}
	return nil
}

// Get implements [refund.Store]. With the ctx of an Update's fn it sees what that transaction has written.
func (s *Store) Get(ctx context.Context, orderID string) (*order.Order, error) {
	e, err := s.read(ctx, orderID)
	return e.order.Clone(), err
}

// History implements [refund.Store]. It sees what Get sees.
func (s *Store) History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error) {
	e, err := s.read(ctx, orderID)
	if err != nil {
		return nil, err
	}
	page := e.history[min(max(after, 0), int64(len(e.history))):] // a transition's index is its Seq less one
	return slices.Clone(page[:min(len(page), max(limit, 0))]), nil
}

func (s *Store) read(ctx context.Context, orderID string) (entry, error) {
	if err := ctx.Err(); err != nil {
		return entry{}, err
	}
	t := s.txFrom(ctx)
	if t == nil || t.ended.Load() { // what an ended one wrote may have been rolled back
		t = &tx{store: s}
	}
	return t.get(orderID)
}

// Due implements [refund.Store].
func (s *Store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var past, ahead []refund.DueRefund
	s.each(func(o *order.Order, r *order.Refund) {
		if r.State != order.StateApproved || slices.Contains(q.Except, o.Gateway) {
			return
		}
		d := refund.DueRefund{Ref: refund.Ref{OrderID: o.ID, RefundNo: r.No}, Gateway: o.Gateway, At: r.NextAttemptAt}
		switch {
		case !d.At.After(q.Now):
			past = append(past, d)
		case !q.Beyond.IsZero() && d.At.After(q.Beyond):
			ahead = append(ahead, d)
		}
	})
	for _, due := range [][]refund.DueRefund{past, ahead} {
		slices.SortFunc(due, func(a, b refund.DueRefund) int {
			return refund.Position{RequestedAt: a.At, OrderID: a.OrderID, RefundNo: a.RefundNo}.Compare(
				refund.Position{RequestedAt: b.At, OrderID: b.OrderID, RefundNo: b.RefundNo})
		})
	}
	return q.Join(past, ahead), nil
}

// ListRefunds implements [refund.Store].
func (s *Store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if err := ctx.Err(); err != nil {
		return refund.Page{}, err
	}
	var all []refund.Entry
	s.each(func(o *order.Order, r *order.Refund) {
		e := refund.Entry{
			OrderID: o.ID, Gateway: o.Gateway, Currency: o.Currency, Total: o.Total, Refunded: o.Refunded, Refund: *r,
		}
		if matches(f, e) {
			all = append(all, e)
		}
	})
	slices.SortFunc(all, func(a, b refund.Entry) int { return a.Position().Compare(b.Position()) })
	page := refund.Page{Entries: all}
	if n := f.PageSize(); len(all) > n {
		page.Entries = all[:n:n]
		next := all[n-1].Position()
		page.Next = &next
	}
	return page, nil
}

func matches(f refund.Filter, e refund.Entry) bool {
	at := e.Refund.RequestedAt
	return (len(f.States) == 0 || slices.Contains(f.States, e.Refund.State)) &&
		(f.Gateway == "" || f.Gateway == e.Gateway) &&
		strings.Contains(e.OrderID, f.OrderIDContains) &&
		(f.From.IsZero() || !at.Before(f.From)) &&
		(f.To.IsZero() || at.Before(f.To)) &&
		(f.After == nil || e.Position().Compare(*f.After) > 0)
}

// each calls f for every committed refund. f must not write.
func (s *Store) each(f func(o *order.Order, r *order.Refund)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.orders {
		for i := range e.order.Refunds {
			f(e.order, &e.order.Refunds[i])
		}
	}
}
