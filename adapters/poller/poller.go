package poller

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var (
	// ErrStarted is returned by Run if the Poller was started before.
	ErrStarted = errors.New("poller was started before")
	// ErrLeftBehind is returned by Run if calls were cancelled and did not return within
	// StopTimeout. Their refunds are due again when their leases end.
	ErrLeftBehind = errors.New("calls did not end when they were cancelled")
)

// Poller processes due refunds. Make it with [New]; it is for one Run. It is safe for concurrent
// use.
type Poller struct {
	svc  *refund.Service
	opt  Options
	done chan struct{} // closed when Run returns

	mu          sync.Mutex // guards the fields below
	started     bool
	stopped     bool
	stopListing context.CancelFunc // nil before Run
	cancelCalls context.CancelFunc // cancels the calls in flight; nil before Run
	state       state
}

// New returns a Poller for svc. If options are invalid, it returns an error that names each of them
// ([order.ErrInvalid]).
func New(svc *refund.Service, opt Options) (*Poller, error) {
	opt.setDefaults()
	err := opt.validate()
	if svc == nil {
		err = errors.Join(&order.InvalidError{Field: "service", Problem: "is nil"}, err)
	}
	if err != nil {
		return nil, fmt.Errorf("new poller: %w", err)
	}
	return &Poller{svc: svc, opt: opt, done: make(chan struct{}), state: newState()}, nil
}

// Run processes due refunds until ctx ends or Shutdown is called. It returns when no refund is in
// flight any more. It returns [ErrLeftBehind] if a call is still running StopTimeout after it was
// cancelled, and [ErrStarted] if Run was called before.
//
// When ctx ends, Run cancels the calls in flight. Errors of the store, a provider or a hook do not
// end Run: it logs them, reports them in Stats, and tries again.
func (p *Poller) Run(ctx context.Context) error {
	calls, cancelCalls := context.WithCancel(ctx)
	defer cancelCalls()
	listing, stopListing := context.WithCancel(calls)
	defer stopListing()
	if err := p.start(stopListing, cancelCalls); err != nil {
		return err
	}
	defer close(p.done)
	r := newRun(calls, p)
	defer p.svc.OnDue(r.wake)()
	r.loop(listing)
	return r.drain(calls)
}

func (p *Poller) start(stopListing, cancelCalls context.CancelFunc) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return ErrStarted
	}
	p.started, p.stopListing, p.cancelCalls = true, stopListing, cancelCalls
	if p.stopped {
		stopListing()
	}
	return nil
}

// Shutdown starts nothing new, waits for the refunds in flight, and returns when Run has returned.
// If ctx ends first, Shutdown cancels the calls in flight, which releases their leases, waits at
// most StopTimeout for them, and returns the error of ctx. If Run has not been called yet, Shutdown
// returns at once, and a later Run does nothing.
func (p *Poller) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	stopListing, cancelCalls := p.stopListing, p.cancelCalls
	p.mu.Unlock()
	if stopListing == nil {
		return nil
	}
	stopListing()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	cancelCalls()
	<-p.done
	return fmt.Errorf("shut down poller: %w", ctx.Err())
}
