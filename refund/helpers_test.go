package refund_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

const (
	buyer  order.Actor = "buyer:1"
	seller order.Actor = "staff:1"
)

var bg = context.Background()

// o1 names a refund of order O1.
func o1(number string) refund.Ref { return refund.Ref{OrderID: "O1", RefundNo: number} }

// hookStep is a Guard or an InTx hook.
type hookStep = func(context.Context, *order.Order, order.Transition) error

func failHook(err error) hookStep {
	return func(context.Context, *order.Order, order.Transition) error { return err }
}

func panicHook(with string) hookStep {
	return func(context.Context, *order.Order, order.Transition) error { panic(with) }
}

func newClock() *refundtest.Clock {
	return refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
}

// bank is a provider with a ledger. By default it accepts a refund and reports success at the next
// query.
type bank struct {
	mu      sync.Mutex
	refunds map[string]*payout
	calls   []string // "refund R1", "query R1", in the order of arrival
	// answers are scripted: the first one whose op and number match a call decides it, and is used
	// up.
	script []fault
}

type payout struct {
	orderID string
	amount  int64
	paid    int64 // in all: more than amount is a double payment
	state   refund.Outcome
}

// fault decides one call.
type fault struct {
	op, number string // "refund" or "query"; number is empty for any
	res        refund.Result
	err        error
	pay        bool                      // the refund is carried out before the answer
	block      func(ctx context.Context) // called before anything else
	panics     bool
	asIs       bool // res is returned as it is, without the question's number and amount
}

func newBank() *bank { return &bank{refunds: map[string]*payout{}} }

func (b *bank) next(f ...fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script = append(b.script, f...)
}

func (b *bank) take(op, number string) (fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, op+" "+number)
	for i, f := range b.script {
		if f.op == op && (f.number == "" || f.number == number) {
			b.script = append(b.script[:i:i], b.script[i+1:]...)
			return f, true
		}
	}
	return fault{}, false
}

func (b *bank) pay(req refund.Request) *payout {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.refunds[req.RefundNo]
	if p == nil {
		p = &payout{
			orderID: req.OrderID, amount: req.Amount, paid: req.Amount,
			state: refund.OutcomeAccepted,
		}
		b.refunds[req.RefundNo] = p
	}
	return p
}

func (b *bank) answer(f fault, number, orderID string, amount int64) (refund.Result, error) {
	if f.panics {
		panic("bank panics")
	}
	if f.err != nil {
		return refund.Result{}, f.err
	}
	if !f.asIs {
		f.res.RefundNo, f.res.OrderID, f.res.Amount = number, orderID, amount
	}
	return f.res, nil
}

func (b *bank) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	if err := ctx.Err(); err != nil {
		return refund.Result{}, err
	}
	if f, ok := b.take("refund", req.RefundNo); ok {
		if f.block != nil {
			f.block(ctx)
		}
		if f.pay {
			b.pay(req)
		}
		return b.answer(f, req.RefundNo, req.OrderID, req.Amount)
	}
	p := b.pay(req)
	return refund.Result{
		Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, OrderID: p.orderID,
		Amount:           p.amount,
		ProviderRefundID: "bank-" + req.RefundNo,
	}, nil
}

func (b *bank) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	if err := ctx.Err(); err != nil {
		return refund.Result{}, err
	}
	if f, ok := b.take("query", req.RefundNo); ok {
		if f.block != nil {
			f.block(ctx)
		}
		return b.answer(f, req.RefundNo, req.OrderID, req.Amount)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.refunds[req.RefundNo]
	if p == nil {
		return refund.Result{Outcome: refund.OutcomeNotFound, RefundNo: req.RefundNo}, nil
	}
	if p.state == refund.OutcomeAccepted {
		p.state = refund.OutcomeSucceeded
	}
	return refund.Result{
		Outcome: p.state, RefundNo: req.RefundNo, OrderID: p.orderID, Amount: p.amount,
		ProviderRefundID: "bank-" + req.RefundNo,
	}, nil
}

// paid is what the buyer of an order really got.
func (b *bank) paid(orderID string) (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.refunds {
		if p.orderID == orderID && p.state != refund.OutcomeClosed {
			sum += p.paid
		}
	}
	return sum
}

func (b *bank) set(number string, state refund.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refunds[number].state = state
}

func (b *bank) called() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.calls...)
}

// env is a service on a memory store with a bank, and what its hooks got.
type env struct {
	t       *testing.T
	clock   *refundtest.Clock
	store   *memstore.Store
	bank    *bank
	machine *order.Machine
	svc     *refund.Service

	mu            sync.Mutex
	after         []order.Transition
	discrepancies []refund.Discrepancy
	stuck         []refund.Stuck
	setup         []error
	unknown       []refund.Notification
}

// newEnv builds an env. Backoff is a constant minute, Lease a minute, QuietPeriod two; change may
// alter the options.
func newEnv(t *testing.T, change ...func(*env, *refund.Options)) *env {
	t.Helper()
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	e := &env{t: t, clock: newClock(), store: memstore.New(), bank: newBank(), machine: m}
	opt := refund.Options{
		Now:     e.clock.Now,
		Backoff: func(string, int) time.Duration { return time.Minute },
		Hooks:   []refund.Hooks{e.hooks()},
	}
	for _, c := range change {
		c(e, &opt)
	}
	e.svc = e.service(e.bank, opt)
	return e
}

func (e *env) service(g refund.RefundGateway, opt refund.Options) *refund.Service {
	e.t.Helper()
	s, err := refund.NewService(e.machine, e.store, g, opt)
	require.NoError(e.t, err)
	return s
}

func (e *env) hooks() refund.Hooks {
	locked := func(f func()) { e.mu.Lock(); defer e.mu.Unlock(); f() }
	return refund.Hooks{
		After: func(_ context.Context, _ *order.Order, t order.Transition) {
			locked(func() { e.after = append(e.after, t) })
		},
		Discrepancy: func(_ context.Context, c refund.Discrepancy) {
			locked(func() { e.discrepancies = append(e.discrepancies, c) })
		},
		Stuck: func(_ context.Context, s refund.Stuck) {
			locked(func() { e.stuck = append(e.stuck, s) })
		},
		Setup: func(_ context.Context, err *refund.SetupError) {
			locked(func() { e.setup = append(e.setup, err) })
		},
		UnknownNotification: func(_ context.Context, n refund.Notification) {
			locked(func() { e.unknown = append(e.unknown, n) })
		},
	}
}

// register adds the paid order O1 of 100 yuan.
func (e *env) register() {
	e.t.Helper()
	_, err := e.svc.Register(
		bg, refund.RegisterParams{OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000},
	)
	require.NoError(e.t, err)
}

// approved registers O1 and brings refund no to approved.
func (e *env) approved(number string, amount int64) refund.Ref {
	e.t.Helper()
	if _, err := e.store.Get(bg, "O1"); errors.Is(err, refund.ErrOrderNotFound) {
		e.register()
	}
	_, err := e.svc.Request(
		bg, refund.RequestParams{Ref: o1(number), Amount: amount, Reason: "r", Actor: buyer},
	)
	require.NoError(e.t, err)
	_, err = e.svc.Approve(bg, refund.ApproveParams{Ref: o1(number), Amount: amount, Actor: seller})
	require.NoError(e.t, err)
	return o1(number)
}

func (e *env) process(ref refund.Ref) refund.ProcessResult {
	e.t.Helper()
	next, err := e.svc.Process(bg, ref)
	require.NoError(e.t, err)
	return next
}

// order returns O1 after checking that it is sound.
func (e *env) order() *order.Order {
	e.t.Helper()
	o, err := refund.LoadOrder(bg, e.store, "O1")
	require.NoError(e.t, err)
	require.NoError(e.t, e.machine.Verify(o))
	return o
}

func (e *env) refund(number string) order.Refund {
	e.t.Helper()
	r := e.order().Refund(number)
	require.NotNil(e.t, r, "refund %s", number)
	return *r
}

// run processes everything due, moving the clock on, until nothing is approved any more.
func (e *env) run() {
	e.t.Helper()
	for range 100 {
		due, err := e.store.Due(
			bg, refund.DueQuery{Now: e.clock.Now().Add(24 * time.Hour), Limit: 100},
		)
		require.NoError(e.t, err)
		if len(due) == 0 {
			return
		}
		for _, ref := range refs(due) {
			next := e.process(ref)
			if wait := next.At.Sub(e.clock.Now()); wait > 0 && !next.At.IsZero() {
				e.clock.Advance(wait)
				e.process(ref)
			}
		}
	}
	e.t.Fatal("still approved after 100 rounds")
}

// steps processes ref n times, each time when it is due.
func (e *env) steps(ref refund.Ref, n int) {
	e.t.Helper()
	for range n {
		if wait := e.refund(ref.RefundNo).NextAttemptAt.Sub(e.clock.Now()); wait > 0 {
			e.clock.Advance(wait)
		}
		e.process(ref)
	}
}

// events lists the history of a refund as "event from>to".
func (e *env) events(number string) (events []string) {
	for _, t := range e.order().History {
		if t.RefundNo == number {
			events = append(events, fmt.Sprintf("%s %s>%s", t.Event, t.From, t.To))
		}
	}
	return events
}

// submissions are the calls that sent refund no.
func (b *bank) submissions(number string) (calls []string) {
	for _, c := range b.called() {
		if c == "refund "+number {
			calls = append(calls, c)
		}
	}
	return calls
}
