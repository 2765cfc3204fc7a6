package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// broken is a small store with one bug.
type broken struct {
	bug  string
	lock chan struct{}
	data *data
}

type data struct {
	mu     sync.Mutex
	orders map[string]*order.Order
	before map[string]*order.Order // what others see while a transaction is open; else nil
}

func newBroken(bug string) *broken {
	return &broken{
		bug: bug, lock: make(chan struct{}, 1), data: &data{orders: map[string]*order.Order{}},
	}
}

func (b *broken) reopen() *broken {
	if b.is("second handle has its own data") {
		return newBroken("")
	}
	return &broken{bug: b.bug, lock: b.lock, data: b.data}
}

func (b *broken) is(bug string) bool { return b.bug == bug }

type brokenTx struct {
	after  []func(context.Context)
	joined bool
	busy   string
	failed bool
}

type brokenKey struct{}

func (b *broken) Joined(ctx context.Context) bool {
	tx, _ := ctx.Value(brokenKey{}).(*brokenTx)
	if tx != nil && tx.joined && b.is("joined is not seen") {
		return false
	}
	return (tx != nil || b.is("joined everywhere")) && !b.is("never joined")
}

func (b *broken) AfterCommit(ctx context.Context, f func(context.Context)) bool {
	tx, _ := ctx.Value(brokenKey{}).(*brokenTx)
	switch {
	case tx == nil:
		return false
	case b.is("after commit at once") || tx.joined && b.is("joined after commit at once"):
		f(bg)
	case !b.is("after commit never"):
		tx.after = append(tx.after, f)
	}
	return true
}

func (b *broken) ctxErr(ctx context.Context) error {
	if b.is("ignores contexts") {
		return nil
	}
	return ctx.Err()
}

func (b *broken) load(id string) (*order.Order, bool) {
	b.data.mu.Lock()
	defer b.data.mu.Unlock()
	o, ok := b.data.orders[b.key(id)]
	if ok && !b.is("gives what it keeps") && !b.is("history is shared") {
		o = o.Clone()
	}
	return o, ok
}

func (b *broken) key(id string) string {
	if b.is("one order for all") && strings.HasPrefix(id, "O-1") {
		return "O-1"
	}
	return id
}

func (b *broken) save(o *order.Order) {
	if !b.is("keeps what it was given") {
		o = o.Clone()
	}
	for i := range o.Refunds {
		r := &o.Refunds[i]
		switch b.bug {
		case "forgets fields":
			r.DeclinedAt = time.Time{}
		case "texts are cut":
			r.Message = r.Message[:min(len(r.Message), 255)]
		case "codes are short":
			r.Code = r.Code[:min(len(r.Code), 64)]
		case "times lose their fractions":
			r.RequestedAt = r.RequestedAt.Truncate(time.Second)
		}
	}
	if b.is("refunds newest first") && len(o.Refunds) > 1 &&
		o.Refunds[0].RequestedAt.Before(o.Refunds[1].RequestedAt) {
		slices.Reverse(o.Refunds)
	}
	b.data.mu.Lock()
	defer b.data.mu.Unlock()
	b.data.orders[b.key(o.ID)] = o
}

func (b *broken) taken(o *order.Order) bool {
	b.data.mu.Lock()
	defer b.data.mu.Unlock()
	for id, other := range b.data.orders {
		for i := range o.Refunds {
			if id != o.ID && other.Refund(o.Refunds[i].No) != nil {
				return !b.is("numbers are not unique")
			}
		}
	}
	return false
}

func (b *broken) Create(ctx context.Context, o *order.Order) error {
	if err := b.ctxErr(ctx); err != nil {
		return err
	}
	if _, ok := b.load(o.ID); ok && !b.is("create overwrites") && !b.is("one order for all") {
		return refund.ErrExists
	}
	if b.taken(o) {
		return order.ErrConflict
	}
	if err := refund.CheckHistory(o, 0); err != nil && !b.is("history has gaps") {
		return err
	}
	version := o.Version
	if !b.is("version starts at 0") {
		o.Version = 1
	}
	b.save(o)
	if !b.is("keeps what it was given") {
		o.Version = version
	}
	return nil
}

func (b *broken) Get(ctx context.Context, id string) (*order.Order, error) {
	o, err := b.read(ctx, id)
	if err == nil && !b.is("get brings the history") {
		stripped := *o
		stripped.History = nil
		o = &stripped
	}
	return o, err
}

func (b *broken) History(
	ctx context.Context, id string, after int64, limit int,
) (page []order.Transition, err error) {
	o, err := b.read(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, t := range o.History {
		if (t.Seq > after || b.is("history from the beginning")) &&
			(len(page) < limit || b.is("history without limit")) {
			page = append(page, t)
		}
	}
	switch {
	case b.is("history newest first"):
		slices.Reverse(page)
	case b.is("history is shared"):
		return o.History[min(int(after), len(o.History)):min(int(after)+limit, len(o.History))], nil
	}
	return page, nil
}

// read returns the order that Get and History see.
func (b *broken) read(ctx context.Context, id string) (*order.Order, error) {
	if err := b.ctxErr(ctx); err != nil {
		return nil, err
	}
	o, ok := b.load(id)
	if tx, _ := ctx.Value(brokenKey{}).(*brokenTx); tx == nil || b.is("joined sees what was") {
		o, ok = b.committed(id)
	}
	if !ok {
		if b.is("get swallows not-found") {
			return &order.Order{}, nil
		}
		return nil, refund.ErrOrderNotFound
	}
	return o, nil
}

func (b *broken) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	if err := b.ctxErr(ctx); err != nil {
		return err
	}
	if outer, _ := ctx.Value(brokenKey{}).(*brokenTx); outer != nil {
		if outer.joined && (outer.busy != id || b.is("joined nested update runs")) {
			return b.joinedUpdate(ctx, outer, id, fn)
		}
		if b.is("nested update runs") {
			o, _ := b.load(id)
			return fn(ctx, o)
		}
		return fmt.Errorf("nested update of order %s", id)
	}
	tx := &brokenTx{}
	err := b.locked(ctx, func() error {
		return b.change(context.WithValue(ctx, brokenKey{}, tx), id, fn)
	})
	if err == nil || b.is("after commit also on rollback") {
		for _, f := range tx.after {
			f(bg)
		}
	}
	return err
}

func (b *broken) locked(ctx context.Context, f func() error) error {
	if b.is("reads without a lock") || b.is("numbers are checked too early") {
		return f()
	}
	if b.is("waits without the context") {
		ctx = bg
	}
	select {
	case b.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.is("panic leaves the lock") {
		err := f()
		<-b.lock
		return err
	}
	defer func() { <-b.lock }()
	return f()
}

func (b *broken) change(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) (err error) {
	o, ok := b.load(id)
	if !ok {
		if !b.is("update makes missing orders") {
			return refund.ErrOrderNotFound
		}
		o = &order.Order{ID: id}
	}
	before := o.Clone()
	o = o.Clone()
	if o.History = nil; b.is("update loads the history") {
		o.History = before.Clone().History
	}
	past := before.History
	// whole appends the history that fn left to the stored one, once.
	whole := func() *order.Order {
		if !b.is("update loads the history") && !b.is("history of the last update") {
			o.History, past = append(past, o.History...), nil
		}
		return o
	}
	if b.is("numbers are checked too early") && b.taken(o) {
		return order.ErrConflict
	}
	if b.is("swallows panics") {
		defer func() { _ = recover() }()
	}
	if b.is("commits on panic") {
		defer func() { b.save(whole()) }()
	}
	runtime.Gosched()
	if err := fn(ctx, o); err != nil {
		switch b.bug {
		case "commits on error", "joined failure stays":
			b.save(whole())
		case "swallows fn's error":
			return nil
		}
		return err
	}
	runtime.Gosched()
	if err := b.ctxErr(ctx); err != nil && !b.is("ignores a context at commit") {
		return err
	}
	if !b.is("numbers are checked too early") && b.taken(o) {
		return order.ErrConflict
	}
	err = refund.CheckHistory(o, before.Seq)
	if err != nil && !b.is("history has gaps") && !b.is("update loads the history") {
		return err
	}
	if !b.is("version stands still") {
		o.Version = before.Version + 1
	}
	switch b.bug {
	case "update commits nothing":
		return nil
	case "update forgets the gateway":
		o.Gateway = before.Gateway
	case "update ignores schedules":
		if len(o.History) == 0 {
			return nil
		}
	}
	b.save(whole())
	return nil
}
