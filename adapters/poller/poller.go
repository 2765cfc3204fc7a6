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
	// ErrStarted is a second Run of one Poller.
	ErrStarted = errors.New("poller was started before")
	// ErrLeftBehind is a stop that did not wait any longer for calls that were cancelled and did not return.
	// The refunds are due again when their leases end.
	ErrLeftBehind = errors.New("calls did not end when they were cancelled")
)

// Poller processes what is due. Make it with [New]; it is for one Run. Its methods are safe for concurrent use.
type Poller struct {
	svc   *refund.Service
	opt   Options
	ended chan struct{} // closed when Run returns

	mu       sync.Mutex // guards what follows
	started  bool
	stopped  bool
	stopLook context.CancelFunc // ends the looking for more; nil before Run
	cutCalls context.CancelFunc // ends the calls in flight; nil before Run
	state    state
}

// New returns a Poller for svc, or an error that names every wrong option ([refund.ErrInvalid]).
func New(svc *refund.Service, opt Options) (*Poller, error) {
	opt.setDefaults()
	err := opt.validate()
	if svc == nil {
		err = errors.Join(&order.InvalidError{Field: "service", Problem: "is nil"}, err)
	}
	if err != nil {
		return nil, fmt.Errorf("new poller: %w", err)
	}
	return &Poller{svc: svc, opt: opt, ended: make(chan struct{}), state: newState()}, nil
}

// Run processes what is due until ctx ends or Shutdown is called, and returns once nothing is in flight any
// more: nil, or [ErrLeftBehind] where a call was still running StopTimeout after it was cancelled. A Poller
// runs once; another Run is [ErrStarted].
//
// When ctx ends, the calls in flight are cancelled. Trouble with the store, a provider or a hook does not end
// Run: it is logged, told by Stats, and tried again.
func (p *Poller) Run(ctx context.Context) error {
	calls, cutCalls := context.WithCancel(ctx)
	defer cutCalls()
	look, stopLook := context.WithCancel(calls)
	defer stopLook()
	if err := p.start(stopLook, cutCalls); err != nil {
		return err
	}
	defer close(p.ended)
	r := newRun(calls, p)
	defer p.svc.OnDue(r.wake)()
	r.loop(look)
	return r.drain(calls)
}

func (p *Poller) start(stopLook, cutCalls context.CancelFunc) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return ErrStarted
	}
	p.started, p.stopLook, p.cutCalls = true, stopLook, cutCalls
	if p.stopped {
		stopLook()
	}
	return nil
}

// Shutdown takes nothing new, waits for what is in flight to finish, and returns when Run has returned. When
// ctx ends before, it cancels the calls in flight, which releases their leases, waits for that, for
// StopTimeout at most, and returns the error of ctx. A Run that was not called yet will do nothing.
func (p *Poller) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = true
	stopLook, cutCalls := p.stopLook, p.cutCalls
	p.mu.Unlock()
	if stopLook == nil {
		return nil
	}
	stopLook()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
	}
	cutCalls()
	<-p.ended
	return fmt.Errorf("shut down poller: %w", ctx.Err())
}
