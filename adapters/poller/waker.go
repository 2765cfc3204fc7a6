package poller

import (
	"context"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

var _ refund.Scheduler = (*Waker)(nil)

// Waker is the [refund.Scheduler] that makes a [Poller] look at once. Make it with [NewWaker]; it is safe
// for concurrent use. It is for one Poller.
type Waker struct {
	store refund.Joiner // nil where the store cannot tell of a commit
	woken chan struct{} // holds a token from a wake until the Poller has seen it
}

// NewWaker returns a Waker for services on s. If s is a [refund.Joiner], the Poller is woken when the
// transaction has committed.
func NewWaker(s refund.Store) *Waker {
	j, _ := s.(refund.Joiner)
	return &Waker{store: j, woken: make(chan struct{}, 1)}
}

// Schedule implements [refund.Scheduler]. It never fails: a wake that is missed costs a wait of at most
// Options.IdleMax, because the refund is in the store.
func (w *Waker) Schedule(ctx context.Context, _ refund.Ref, _ time.Time) error {
	if w.store != nil && w.store.Joined(ctx) && w.store.AfterCommit(ctx, func(context.Context) { w.wake() }) {
		return nil
	}
	w.wake() // too early, perhaps: the Poller looks again soon
	return nil
}

func (w *Waker) wake() {
	select {
	case w.woken <- struct{}{}:
	default: // it has not seen the last one yet
	}
}
