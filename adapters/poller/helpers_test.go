package poller_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestMain fails if any test leaves a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	bg      = context.Background()
	errLost = errors.New("connection reset")
)

// patience is for what happens at once unless it is broken.
const patience = 20 * time.Second

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

// waiting reports whether there is a timer that has not fired.
func (c *clock) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

// toNext moves to the moment when the next timer fires.
func (c *clock) toNext() {
	c.mu.Lock()
	var least time.Duration
	for t := range c.pending {
		if d := t.at.Sub(c.t); least == 0 || d < least {
			least = d
		}
	}
	c.mu.Unlock()
	c.advance(least)
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

func (b *bank) Query(ctx context.Context, q refund.Query) (refund.Result, error) {
	return b.call(ctx, "query", refund.Request{Gateway: q.Gateway, OrderID: q.OrderID, RefundNo: q.RefundNo, Amount: q.Amount})
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
	mu     sync.Mutex
	looks  int
	onLook func() error               // may fail or panic
	onID   func(orderID string) error // before an Update
}

func (s *store) DueExcept(ctx context.Context, now time.Time, limit int, except []string) ([]refund.DueRefund, error) {
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
	return s.Store.DueExcept(ctx, now, limit, except)
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

// env is a shop, its bank and its Poller, on a clock of their own.
type env struct {
	t      *testing.T
	clock  *clock
	bank   *bank
	store  *store
	svc    *refund.Service
	p      *poller.Poller
	ran    chan error // what Run returned
	cancel context.CancelFunc
}

// newEnv builds an env whose Poller does not run yet. Backoff is a minute.
func newEnv(t *testing.T, change ...func(*refund.Options, *poller.Options)) *env {
	t.Helper()
	e := &env{t: t, clock: newClock(), store: &store{Store: memstore.New()}, ran: make(chan error, 1)}
	e.bank = newBank(e.clock.now)
	waker := poller.NewWaker(e.store)
	opt := refund.Options{
		Now: e.clock.now, Scheduler: waker, Backoff: func(string, int) time.Duration { return time.Minute },
	}
	popt := poller.Options{Waker: waker, Now: e.clock.now, NewTimer: e.clock.newTimer}
	for _, c := range change {
		c(&opt, &popt)
	}
	e.svc = newService(t, e.store, e.bank, opt)
	var err error
	e.p, err = poller.New(e.svc, popt)
	require.NoError(t, err)
	return e
}

func newService(t *testing.T, s refund.Store, g refund.RefundGateway, opt refund.Options) *refund.Service {
	t.Helper()
	m, err := order.NewMachine()
	require.NoError(t, err)
	svc, err := refund.NewService(m, s, g, opt)
	require.NoError(t, err)
	return svc
}

// run starts the Poller; the end of the test stops it.
func (e *env) run() {
	e.t.Helper()
	ctx, cancel := context.WithCancel(bg)
	e.cancel = cancel
	go func() { e.ran <- e.p.Run(ctx) }()
	e.t.Cleanup(func() {
		cancel()
		require.NoError(e.t, e.p.Shutdown(bg))
	})
}

// result returns what Run returned.
func (e *env) result() error {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	select {
	case err := <-e.ran:
		return err
	case <-ctx.Done():
		require.FailNow(e.t, "Run does not return")
		return nil
	}
}

// approve makes n orders with one approved refund each.
func (e *env) approve(gateway string, n int) (refs []refund.Ref) {
	e.t.Helper()
	for i := range n {
		refs = append(refs, approve(e.t, e.svc, gateway, fmt.Sprintf("%s-%d-%d", gateway, e.clock.now().UnixNano(), i)))
	}
	return refs
}

func approve(t *testing.T, svc *refund.Service, gateway, id string) refund.Ref {
	t.Helper()
	_, err := svc.Register(bg, refund.RegisterParams{OrderID: id, Gateway: gateway, Currency: "CNY", Total: 100})
	require.NoError(t, err)
	ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
	requestAndApprove(t, svc, ref, 100)
	return ref
}

func requestAndApprove(t *testing.T, svc *refund.Service, ref refund.Ref, amount int64) {
	t.Helper()
	_, err := svc.Request(bg, refund.RequestParams{OrderID: ref.OrderID, RefundNo: ref.RefundNo, Amount: amount, Actor: "buyer:1"})
	require.NoError(t, err)
	_, err = svc.Approve(bg, refund.ApproveParams{OrderID: ref.OrderID, RefundNo: ref.RefundNo, Amount: amount, Actor: "staff:1"})
	require.NoError(t, err)
}

func (e *env) refund(ref refund.Ref) order.Refund {
	e.t.Helper()
	o, err := e.svc.Order(bg, ref.OrderID)
	require.NoError(e.t, err)
	r := o.Refund(ref.RefundNo)
	require.NotNil(e.t, r)
	return *r
}

// count returns how many of the refunds are in a state.
func (e *env) count(refs []refund.Ref, state order.State) (n int) {
	e.t.Helper()
	for _, ref := range refs {
		if e.refund(ref).State == state {
			n++
		}
	}
	return n
}

func (e *env) stats() poller.Stats {
	e.t.Helper()
	st, err := e.p.Stats(bg)
	require.NoError(e.t, err)
	return st
}

// own is what the Poller knows itself: a store that is asked in vain tells the rest.
func (e *env) own() poller.Stats {
	gone, cancel := context.WithCancel(bg)
	cancel()
	st, err := e.p.Stats(gone)
	require.ErrorIs(e.t, err, context.Canceled)
	return st
}

// idle waits until the Poller waits for a timer and nothing is in flight.
func (e *env) idle() {
	e.t.Helper()
	for !e.clock.waiting() || e.own().InFlight > 0 {
		e.wait(e.clock.armed)
	}
}

// until moves from timer to timer until ok, and returns how far the clock went.
func (e *env) until(ok func() bool) time.Duration {
	e.t.Helper()
	start := e.clock.now()
	for range 100000 {
		e.idle()
		if ok() {
			return e.clock.now().Sub(start)
		}
		e.clock.toNext()
	}
	require.FailNow(e.t, "it does not come to that")
	return 0
}

// soon waits for what happens without the clock.
func (e *env) soon(ok func() bool) {
	e.t.Helper()
	require.Eventually(e.t, ok, patience, time.Millisecond)
}

func (e *env) wait(c <-chan struct{}) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	select {
	case <-c:
	case <-ctx.Done():
		require.FailNow(e.t, "it does not happen")
	}
}
