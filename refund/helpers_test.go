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

// exactly makes a step answer res as it is, also if a field is zero.
func exactly(s refundtest.Step, res refund.Result) refundtest.Step {
	return s.Rewrite(func(r *refund.Result) { *r = res })
}

// panics is for the Before and After of a step.
func panics(context.Context) { panic("bank panics") }

// called returns the calls that reached the provider: "refund R1", "query R1".
func called(bank *refundtest.Gateway) (calls []string) {
	for _, c := range bank.Calls() {
		calls = append(calls, c.String())
	}
	return calls
}

// submissions returns the calls that sent a refund.
func submissions(bank *refundtest.Gateway, number string) (calls []string) {
	for _, c := range called(bank) {
		if c == "refund "+number {
			calls = append(calls, c)
		}
	}
	return calls
}

// env is a service on a memory store with a bank, and what its hooks got. The bank accepts a refund
// and pays it at the next query. The service does not see the optional interfaces of the bank.
type env struct {
	t       *testing.T
	clock   *refundtest.Clock
	store   *memstore.Store
	bank    *refundtest.Gateway
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
	e.svc = e.service(e.bank.Plain(), opt)
	return e
}

func newBank() *refundtest.Gateway {
	bank := refundtest.New()
	bank.ByDefault(refundtest.PayWhenAsked())
	return bank
}

// end ends a refund at the provider.
func (e *env) end(number string, as refund.Outcome) {
	e.t.Helper()
	require.NoError(e.t, e.bank.End(number, as))
}

// console makes a refund of O1 at the provider, past the shop.
func (e *env) console(number string, amount int64, state refund.Outcome) {
	e.t.Helper()
	require.NoError(e.t, e.bank.RefundInConsole("O1", number, amount))
	if state != refund.OutcomeAccepted {
		e.end(number, state)
	}
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
