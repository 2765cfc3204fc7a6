package poller_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// patience is how long a test waits for what a slow and busy machine gets done. Nothing shorter decides.
const patience = 3 * time.Minute

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
	orders int // that approve has made
}

// newEnv builds an env whose Poller does not run yet. Backoff is a minute.
func newEnv(t *testing.T, change ...func(*refund.Options, *poller.Options)) *env {
	t.Helper()
	e := &env{t: t, clock: newClock(), store: &store{Store: memstore.New()}, ran: make(chan error, 1)}
	e.bank = newBank(e.clock.now)
	opt := refund.Options{
		Now: e.clock.now, Backoff: func(string, int) time.Duration { return time.Minute },
		CallTimeout: 59 * time.Second, // by the real clock: as long as the lease allows
	}
	popt := poller.Options{Now: e.clock.now, NewTimer: e.clock.newTimer, Logger: silent()}
	for _, c := range change {
		c(&opt, &popt)
	}
	e.svc = newService(t, e.store, e.bank, opt)
	var err error
	e.p, err = poller.New(e.svc, popt)
	require.NoError(t, err)
	return e
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newService(t *testing.T, s refund.Store, g refund.RefundGateway, opt refund.Options) *refund.Service {
	t.Helper()
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	opt.Logger = cmp.Or(opt.Logger, silent())
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
		if !e.t.Failed() { // else it may never return
			require.NoError(e.t, e.shutdown(bg))
		}
	})
}

// shutdown fails if Shutdown does not return.
func (e *env) shutdown(ctx context.Context) error {
	e.t.Helper()
	down := make(chan error, 1)
	go func() { down <- e.p.Shutdown(ctx) }()
	patient, cancel := context.WithTimeout(bg, patience)
	defer cancel()
	select {
	case err := <-down:
		return err
	case <-patient.Done():
		require.FailNow(e.t, "Shutdown does not return")
		return nil
	}
}

// replica builds another Poller on the store of e, with a clock and a bank of its own.
func (e *env) replica(opt refund.Options) *env {
	e.t.Helper()
	other := &env{t: e.t, clock: newClock(), store: e.store, ran: make(chan error, 1)}
	other.bank = newBank(other.clock.now)
	opt.Now = other.clock.now
	other.svc = newService(e.t, other.store, other.bank, opt)
	var err error
	other.p, err = poller.New(other.svc, poller.Options{
		Now: other.clock.now, NewTimer: other.clock.newTimer, Logger: silent(),
	})
	require.NoError(e.t, err)
	return other
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
	for range n {
		e.orders++
		refs = append(refs, approve(e.t, e.svc, gateway, fmt.Sprintf("%s-%05d", gateway, e.orders)))
	}
	return refs
}

func approve(t *testing.T, svc *refund.Service, gateway, id string) refund.Ref {
	t.Helper()
	ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
	request(t, svc, gateway, ref)
	_, err := svc.Approve(bg, approval(ref, 100))
	require.NoError(t, err)
	return ref
}

// request registers an order of 1.00 and asks for all of it.
func request(t *testing.T, svc *refund.Service, gateway string, ref refund.Ref) {
	t.Helper()
	_, err := svc.Register(bg, refund.RegisterParams{OrderID: ref.OrderID, Gateway: gateway, Currency: "CNY", Total: 100})
	require.NoError(t, err)
	_, err = svc.Request(bg, refund.RequestParams{Ref: ref, Amount: 100, Actor: "buyer:1"})
	require.NoError(t, err)
}

func approval(ref refund.Ref, amount int64) refund.ApproveParams {
	return refund.ApproveParams{Ref: ref, Amount: amount, Actor: "staff:1"}
}

// approveOn has n refunds of 0.01 approved on the one order O1.
func (e *env) approveOn(n int) (refs []refund.Ref) {
	e.t.Helper()
	_, err := e.svc.Register(bg, refund.RegisterParams{OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 100})
	require.NoError(e.t, err)
	for i := range n {
		ref := refund.Ref{OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i)}
		_, err := e.svc.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1", RefundNo: ref.RefundNo}, Amount: 1, Actor: "buyer:1"})
		require.NoError(e.t, err)
		_, err = e.svc.Approve(bg, approval(ref, 1))
		require.NoError(e.t, err)
		refs = append(refs, ref)
	}
	return refs
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
	for range 5000 { // hours, at an idle wait each
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
