// Package memstore is the reference [refund.Store]. It keeps orders in memory, until the process
// ends. It is for tests and demos, and for reading: package storetest says what a store must do,
// and this store does it in the simplest way.
//
//	svc, err := refund.NewService(machine, memstore.New(), gateway, refund.Options{})
//
// # What it does
//
// It implements the port and the optional interface [refund.Joiner]: a command on another order,
// called with the context of an InTx hook, joins that Update. The store runs one Update at a time.
// Readers see committed orders only and do not wait.
//
// # What it is not for
//
// Do not use it with real money: when the process ends, the store forgets which refunds were sent.
// Several processes cannot share a store.
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
	// writing holds a token while a transaction is open. A wait for it ends with a context, which a
	// wait for a mutex does not.
	writing chan struct{}

	mu     sync.RWMutex // guards the maps
	orders map[string]entry
	owner  map[string]string // refund number → order ID
}

// entry is an order without its history, and the history. A stored entry never changes. The next
// entry of the order may share the array of its history.
type entry struct {
	order   *order.Order
	history []order.Transition
}

// New returns an empty store.
func New() *Store {
	return &Store{
		writing: make(chan struct{}, 1), orders: map[string]entry{}, owner: map[string]string{},
	}
}

// tx is an open transaction.
type tx struct {
	store   *Store
	staged  map[string]entry // what it has written
	busy    map[string]bool  // the orders whose fn is running
	pending []func(context.Context)
	ended   atomic.Bool // a goroutine of a hook may still use its ctx then
}

type txKey struct{ store *Store }

func (s *Store) txFrom(ctx context.Context) *tx {
	t, _ := ctx.Value(txKey{s}).(*tx)
	return t
}

// Joined implements [refund.Joiner]. It reports whether ctx is the ctx of an Update's fn.
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

// Update implements [refund.Store]. With the ctx of an Update's fn, an Update or Create of another
// order joins that transaction: all of it is committed, or nothing. If the inner call fails, it
// changes nothing in the transaction.
func (s *Store) Update(
	ctx context.Context, orderID string, fn func(ctx context.Context, o *order.Order) error,
) error {
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

// stage writes o as the entry that follows before.
func (t *tx) stage(o *order.Order, before entry) error {
	if err := t.checkNumbers(o); err != nil {
		return err
	}
	if err := refund.CheckHistory(o, before.order.Seq); err != nil {
		return err
	}
	after := o.Clone()                                  // the caller may keep o
	history := append(before.history, after.History...) //nolint:gocritic // shares it
	after.History, after.Version = nil, before.order.Version+1
	t.staged[o.ID] = entry{after, history}
	return nil
}

// transact runs fn in the transaction of ctx, or in a new one.
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

// nested runs one command in an open transaction. If it fails, it changes nothing in it.
func (t *tx) nested(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	staged, pending, done := maps.Clone(t.staged), len(t.pending), false
	defer func() {
		if !done { // also if fn panicked or its goroutine ends
			t.staged, t.pending = staged, t.pending[:pending]
		}
	}()
	err := fn(ctx, t)
	done = err == nil
	return err
}

func (s *Store) commit(
	ctx context.Context, t *tx, fn func(ctx context.Context, t *tx) error,
) error {
	if s.writing == nil {
		return errors.New("the store was not made with New")
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

// get returns the order as the transaction sees it. The caller must not change it.
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

// checkNumbers returns an error if another order has one of o's refund numbers, or if o has a
// number twice.
func (t *tx) checkNumbers(o *order.Order) error {
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	for i := range o.Refunds {
		number := o.Refunds[i].No
		owner, taken := t.store.owner[number]
		for id, other := range t.staged {
			if id != o.ID && other.order.Refund(number) != nil {
				owner, taken = id, true
			}
		}
		if taken && owner != o.ID || o.Refund(number) != &o.Refunds[i] {
			return fmt.Errorf("refund number %s of order %s is taken: %w", number, o.ID,
				order.ErrConflict)
		}
	}
	return nil
}

// Get implements [refund.Store]. With the ctx of an Update's fn it returns what that transaction
// has written.
func (s *Store) Get(ctx context.Context, orderID string) (*order.Order, error) {
	e, err := s.read(ctx, orderID)
	return e.order.Clone(), err
}

// History implements [refund.Store]. It reads what Get reads.
func (s *Store) History(
	ctx context.Context, orderID string, after int64, limit int,
) ([]order.Transition, error) {
	e, err := s.read(ctx, orderID)
	if err != nil {
		return nil, err
	}
	// the index of a transition is Seq-1
	page := e.history[min(max(after, 0), int64(len(e.history))):]
	return slices.Clone(page[:min(len(page), max(limit, 0))]), nil
}

func (s *Store) read(ctx context.Context, orderID string) (entry, error) {
	if err := ctx.Err(); err != nil {
		return entry{}, err
	}
	t := s.txFrom(ctx)
	if t == nil || t.ended.Load() { // it may have been rolled back
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
		d := refund.DueRefund{
			Ref: refund.Ref{OrderID: o.ID, RefundNo: r.No}, Gateway: o.Gateway, At: r.NextAttemptAt,
		}
		switch {
		case !d.At.After(q.Now):
			past = append(past, d)
		case !q.Beyond.IsZero() && d.At.After(q.Beyond):
			ahead = append(ahead, d)
		}
	})
	for _, due := range [][]refund.DueRefund{past, ahead} {
		slices.SortFunc(due, func(a, b refund.DueRefund) int {
			return position(a).Compare(position(b))
		})
	}
	return q.Join(past, ahead), nil
}

func position(d refund.DueRefund) refund.Position {
	return refund.Position{RequestedAt: d.At, Ref: d.Ref}
}

// ListRefunds implements [refund.Store].
func (s *Store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if err := ctx.Err(); err != nil {
		return refund.Page{}, err
	}
	var all []refund.Entry
	s.each(func(o *order.Order, r *order.Refund) {
		e := refund.Entry{
			OrderID: o.ID, Gateway: o.Gateway, Currency: o.Currency, Total: o.Total,
			Refunded: o.Refunded, Refund: *r,
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

// each calls f for every committed refund. f must not change it.
func (s *Store) each(f func(o *order.Order, r *order.Refund)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.orders {
		for i := range e.order.Refunds {
			f(e.order, &e.order.Refunds[i])
		}
	}
}
