package poller_test

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// store is a memstore that counts lists and returns errors on demand. A list of 1000 is one of
// Stats: it is not counted and never fails by onList.
type store struct {
	*memstore.Store
	onRefunds error         // returned by ListRefunds
	twice     bool          // Due returns everything twice
	beyond    time.Duration // if > 0, Due also returns what is further ahead than that
	bare      bool          // no commit is reported

	mu       sync.Mutex
	lists    []time.Time
	onList   func(ctx context.Context) error // before a list; may panic
	onUpdate func(orderID string) error      // before an Update; may panic
}

func (s *store) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	if q.Limit == 1000 {
		return s.Store.Due(ctx, q)
	}
	if err := s.list(ctx); err != nil {
		return nil, err
	}
	due, err := s.Store.Due(ctx, q)
	if s.beyond > 0 && err == nil {
		all, err := s.Store.Due(ctx, refund.DueQuery{
			Now: q.Now.AddDate(100, 0, 0), Limit: math.MaxInt32, Except: q.Except,
		})
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

func (s *store) list(ctx context.Context) error {
	s.mu.Lock()
	s.lists = append(s.lists, now())
	onList := s.onList
	s.mu.Unlock()
	if onList == nil {
		return nil
	}
	return onList(ctx)
}

func (s *store) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	s.mu.Lock()
	onUpdate := s.onUpdate
	s.mu.Unlock()
	if onUpdate != nil {
		if err := onUpdate(id); err != nil {
			return err
		}
	}
	return s.Store.Update(ctx, id, fn)
}

func (s *store) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	if s.onRefunds != nil {
		return refund.Page{}, s.onRefunds
	}
	return s.Store.ListRefunds(ctx, f)
}

func (s *store) AfterCommit(ctx context.Context, f func(context.Context)) bool {
	return !s.bare && s.Store.AfterCommit(ctx, f)
}

func (s *store) failLists(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onList = nil
	if f != nil {
		s.onList = func(context.Context) error { return f() }
	}
}

func (s *store) failUpdates(f func(orderID string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onUpdate = f
}

// listed returns how often the Poller has listed.
func (s *store) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lists)
}

// fail returns errLost.
func fail() error { return errLost }
