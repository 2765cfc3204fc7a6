package refund

import (
	"context"
	"slices"
	"sync"

	"github.com/orderfsm/orderfsm/order"
)

// listeners are the functions that OnDue has registered. The zero value is ready for use.
type listeners struct {
	mu  sync.Mutex
	all []*func()
}

// OnDue registers f, which the Service calls each time one of its commands has made a refund due.
// An engine in the same process uses it to process the refund at once. stop removes f, and may be
// called more than once. A call of f that has begun may still be running when stop returns.
//
// The Service calls f after the commit, also if the command joined a transaction of the host (see
// [Joiner]). If the store cannot report that commit, the Service calls f at once. The refund may
// then not be visible yet, so an engine must ask again soon.
//
// f runs in the goroutine of the command. It must not block. Calls may be concurrent. A panic in f
// is logged and does not reach the command. f is not called for refunds that other processes make
// due, and not for the next attempt of a refund: an engine must still ask [Service.Due].
//
// OnDue is safe for concurrent use.
func (s *Service) OnDue(f func()) (stop func()) {
	l := &s.onDue
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, &f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(other *func()) bool { return other == &f })
	}
}

// callOnDue calls the functions of OnDue if u made a refund due.
func (s *Service) callOnDue(ctx context.Context, u *update) {
	isDue := func(t order.Transition) bool { return t.To == order.StateApproved }
	if !slices.ContainsFunc(u.fired, isDue) {
		return
	}
	s.onDue.mu.Lock()
	all := slices.Clone(s.onDue.all)
	s.onDue.mu.Unlock()
	for _, f := range all {
		s.callHook(ctx, "on_due", *f)
	}
}
