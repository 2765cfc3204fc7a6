package poller_test

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// clock stands still until it is told to move. Timers fire when it has moved far enough.
type clock struct {
	mu      sync.Mutex
	t       time.Time
	pending map[*timer]struct{}
	waits   []time.Duration // of every timer, in order
	armed   chan struct{}   // a token when a timer was started since it was last taken
}

type timer struct {
	at time.Time
	c  chan time.Time
}

func newClock() *clock {
	return &clock{
		t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), pending: map[*timer]struct{}{}, armed: make(chan struct{}, 1),
	}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) newTimer(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.t.Add(d), c: make(chan time.Time, 1)}
	c.waits = append(c.waits, d)
	if d <= 0 {
		t.c <- c.t
		return t.c, func() {}
	}
	c.pending[t] = struct{}{}
	select {
	case c.armed <- struct{}{}:
	default:
	}
	return t.c, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pending, t)
	}
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	for t := range c.pending {
		if !t.at.After(c.t) {
			t.c <- c.t
			delete(c.pending, t)
		}
	}
}

// setBack is what an operator does to a clock: running timers go on as if nothing had happened.
func (c *clock) setBack(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(-d)
	for t := range c.pending {
		t.at = t.at.Add(-d)
	}
}

// waiting reports whether there is a timer that has not fired.
func (c *clock) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

// timers counts all timers that were ever started.
func (c *clock) timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waits)
}

// toNext moves to the moment when the next timer fires.
func (c *clock) toNext() { c.advance(c.untilNext()) }

// untilNext is how long it takes until the next timer fires.
func (c *clock) untilNext() (least time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.pending {
		if d := t.at.Sub(c.t); least == 0 || d < least {
			least = d
		}
	}
	return least
}

// bank is a provider. It pays at once unless answer says otherwise.
type bank struct {
	// answer may replace the answer to a call; op is "refund" or "query".
	answer func(ctx context.Context, op string, req refund.Request) (refund.Result, error)

	mu      sync.Mutex
	now     func() time.Time
	paid    map[string]int // refund number → how often money left: an idempotent provider keeps it at 1
	calls   map[string]int // refund number → calls
	times   []time.Time    // of every call
	in, top int            // calls running now, and at most
}

func newBank(now func() time.Time) *bank {
	return &bank{now: now, paid: map[string]int{}, calls: map[string]int{}}
}

func (b *bank) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return b.call(ctx, "refund", req)
}

func (b *bank) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	return b.call(ctx, "query", refund.Request{Gateway: req.Gateway, OrderID: req.OrderID, RefundNo: req.RefundNo, Amount: req.Amount})
}

func (b *bank) call(ctx context.Context, op string, req refund.Request) (refund.Result, error) {
	b.mu.Lock()
	b.calls[req.RefundNo]++
	b.times = append(b.times, b.now())
	b.in++
	b.top = max(b.top, b.in)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.in--
	}()
	if b.answer != nil {
		if res, err := b.answer(ctx, op, req); err != nil || res.Outcome != refund.OutcomeUnknown {
			return res, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if op == "refund" && b.paid[req.RefundNo] == 0 {
		b.paid[req.RefundNo]++
	}
	if b.paid[req.RefundNo] == 0 {
		return refund.Result{Outcome: refund.OutcomeNotFound}, nil
	}
	return result(refund.OutcomeSucceeded, req), nil
}

func result(o refund.Outcome, req refund.Request) refund.Result {
	return refund.Result{Outcome: o, RefundNo: req.RefundNo, OrderID: req.OrderID, Amount: req.Amount}
}

func (b *bank) pay(no string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paid[no]++
}

func (b *bank) callsOf(no string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[no]
}

func (b *bank) running() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.in
}

func (b *bank) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.times)
}

// store counts and breaks what a memstore does.
type store struct {
	*memstore.Store
	hang   func(ctx context.Context) error // in a look
	onList error                           // of a List
	twice  bool                            // everything is listed twice
	beyond time.Duration                   // if > 0, what lies further ahead than that is listed too
	bare   bool                            // no commit is reported
	mu     sync.Mutex
	looks  int
	onLook func() error               // may fail or panic
	onID   func(orderID string) error // before an Update
}

func (s *store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if q.Limit == poller.MaxCount { // Stats counts, the Poller does not look
		return s.Store.Due(ctx, q)
	}
	s.mu.Lock()
	s.looks++
	f := s.onLook
	s.mu.Unlock()
	if f != nil {
		if err := f(); err != nil {
			return nil, err
		}
	}
	if s.hang != nil {
		if err := s.hang(ctx); err != nil {
			return nil, err
		}
	}
	due, err := s.Store.Due(ctx, q)
	if s.beyond > 0 && err == nil {
		all, err := s.Store.Due(ctx, refund.DueQuery{Now: q.Now.AddDate(100, 0, 0), Limit: math.MaxInt32, Except: q.Except})
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			if d.At.After(q.Now.Add(s.beyond)) && len(due) < q.Limit {
				due = append(due, d)
			}
		}
	}
	if s.twice {
		due = append(due, due...)
	}
	return due, err
}

func (s *store) Update(ctx context.Context, id string, fn func(context.Context, *order.Order) error) error {
	s.mu.Lock()
	f := s.onID
	s.mu.Unlock()
	if f != nil {
		if err := f(id); err != nil {
			return err
		}
	}
	return s.Store.Update(ctx, id, fn)
}

func (s *store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if s.onList != nil {
		return refund.Page{}, s.onList
	}
	return s.Store.ListRefunds(ctx, f)
}

func (s *store) AfterCommit(ctx context.Context, f func(context.Context)) bool {
	return !s.bare && s.Store.AfterCommit(ctx, f)
}

func (s *store) set(onLook func() error, onID func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLook, s.onID = onLook, onID
}

func (s *store) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}
