package poller_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestMain fails if any test leaves a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	bg      = context.Background()
	errLost = errors.New("connection reset")
)

// now returns the time of the bubble that the test runs in, as a store keeps it.
func now() time.Time {
	return time.Now().UTC().Round(0) //nolint:forbidigo // the time of testing/synctest
}

// pass lets d pass, and returns when nothing happens any more at that time.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the time of testing/synctest
	synctest.Wait()
}

// env is a shop, its provider and its Poller. It lives in a bubble of testing/synctest.
type env struct {
	t      *testing.T
	bank   *refundtest.Gateway
	store  *store
	svc    *refund.Service
	p      *poller.Poller
	ran    chan error // what Run returned
	cancel context.CancelFunc
	orders int // made by approve
}

// newEnv returns an env whose Poller does not run yet. Backoff is a minute.
func newEnv(t *testing.T, change ...func(*refund.Options, *poller.Options)) *env {
	t.Helper()
	e := &env{t: t, store: &store{Store: memstore.New()}, bank: refundtest.New()}
	opt := refund.Options{
		Backoff: func(string, int) time.Duration { return time.Minute },
		Hooks:   make([]refund.Hooks, 1),
	}
	popt := poller.Options{Logger: silent()}
	for _, c := range change {
		c(&opt, &popt)
	}
	e.svc = newService(t, e.store, e.bank, opt)
	e.setPoller(e.svc, popt)
	return e
}

// replica returns another Poller on the store of e, with its own provider.
func (e *env) replica(opt refund.Options) *env {
	e.t.Helper()
	other := &env{t: e.t, store: e.store, bank: refundtest.New()}
	other.svc = newService(e.t, other.store, other.bank, opt)
	other.setPoller(other.svc, poller.Options{Now: opt.Now, Logger: silent()})
	return other
}

func (e *env) setPoller(svc *refund.Service, opt poller.Options) {
	e.t.Helper()
	var err error
	e.p, err = poller.New(svc, opt)
	require.NoError(e.t, err)
	e.ran = make(chan error, 1)
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newService(
	t *testing.T, s refund.Store, g refund.RefundGateway, opt refund.Options,
) *refund.Service {
	t.Helper()
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	opt.Logger = cmp.Or(opt.Logger, silent())
	svc, err := refund.NewService(m, s, g, opt)
	require.NoError(t, err)
	return svc
}

// run starts the Poller. The end of the test stops it.
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

// approve makes n orders with one approved refund each.
func (e *env) approve(gateway string, n int) (refs []refund.Ref) {
	e.t.Helper()
	for range n {
		e.orders++
		id := fmt.Sprintf("%s-%05d", gateway, e.orders)
		ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
		request(e.t, e.svc, gateway, ref)
		_, err := e.svc.Approve(bg, approval(ref, 100))
		require.NoError(e.t, err)
		refs = append(refs, ref)
	}
	return refs
}

// request registers an order of 1.00 and requests a refund of all of it.
func request(t testing.TB, svc *refund.Service, gateway string, ref refund.Ref) {
	t.Helper()
	_, err := svc.Register(bg, refund.RegisterParams{
		OrderID: ref.OrderID, Gateway: gateway, Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	_, err = svc.Request(bg, refund.RequestParams{Ref: ref, Amount: 100, Actor: "buyer:1"})
	require.NoError(t, err)
}

func approval(ref refund.Ref, amount int64) refund.ApproveParams {
	return refund.ApproveParams{
		Ref: ref, Amount: amount, Actor: "staff:1",
	}
}

// approveOn approves n refunds of 0.01 on the one order O1.
func (e *env) approveOn(n int) (refs []refund.Ref) {
	e.t.Helper()
	_, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(e.t, err)
	for i := range n {
		ref := refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i)}
		_, err := e.svc.Request(bg, refund.RequestParams{
			Ref: refund.Ref{OrderID: "O1", RefundNo: ref.RefundNo}, Amount: 1, Actor: "buyer:1",
		})
		require.NoError(e.t, err)
		_, err = e.svc.Approve(bg, approval(ref, 1))
		require.NoError(e.t, err)
		refs = append(refs, ref)
	}
	return refs
}

// lease marks a refund as if a process had leased it for a minute and had died.
func (e *env) lease(ref refund.Ref) {
	e.t.Helper()
	until := now().Add(time.Minute)
	require.NoError(e.t, e.store.Update(bg, ref.OrderID,
		func(_ context.Context, o *order.Order) error {
			r := o.Refund(ref.RefundNo)
			r.Attempts, r.Outstanding, r.SubmittedAt = 1, true, now()
			r.LeasedUntil, r.NextAttemptAt = until, until
			return nil
		}))
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

// refunded returns a function that reports whether all the refunds are refunded.
func (e *env) refunded(refs []refund.Ref) func() bool {
	return func() bool { return e.count(refs, order.StateRefunded) == len(refs) }
}

// calls returns how often the provider was called for a refund.
func (e *env) calls(ref refund.Ref) (n int) {
	for _, c := range e.bank.Calls() {
		if c.Request.RefundNo == ref.RefundNo {
			n++
		}
	}
	return n
}

// total returns how often the provider was called.
func (e *env) total() int { return len(e.bank.Calls()) }

func (e *env) stats() poller.Stats {
	e.t.Helper()
	st, err := e.p.Stats(bg)
	require.NoError(e.t, err)
	return st
}

// counts returns the figures of the Poller without those of the store.
func (e *env) counts() poller.Stats {
	ended, cancel := context.WithCancel(bg)
	cancel()
	st, err := e.p.Stats(ended)
	require.ErrorIs(e.t, err, context.Canceled)
	return st
}

// until lets time pass until ok, and returns how much has passed, in steps of 50 ms.
func (e *env) until(ok func() bool) time.Duration {
	e.t.Helper()
	start := now()
	synctest.Wait()
	for !ok() {
		require.Less(e.t, now().Sub(start), 3*time.Hour, "the condition is not met")
		pass(50 * time.Millisecond)
	}
	return now().Sub(start)
}

// soon requires that ok is met at once: within a millisecond, in which no idle wait ends.
func (e *env) soon(ok func() bool) {
	e.t.Helper()
	synctest.Wait()
	for range 1000 {
		if ok() {
			return
		}
		pass(time.Microsecond)
	}
	require.FailNow(e.t, "the condition is not met at once")
}

// answer returns a step that answers with an outcome.
func answer(o refund.Outcome) refundtest.Step {
	return refundtest.Answer(refund.Result{Outcome: o})
}
