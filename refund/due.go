package refund

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// DueQuery selects approved refunds that are due: those whose NextAttemptAt is at or before Now, and those whose
// NextAttemptAt is after Beyond, because a clock that was wrong wrote it. They are listed by NextAttemptAt, then
// order ID, then refund number.
type DueQuery struct {
	Now time.Time
	// Beyond bounds what a right clock can have written. It is not before Now. If zero, nothing is too far ahead.
	Beyond time.Time
	// Limit is the most refunds to list; > 0. A fifth of it, rounded up, is kept for the refunds after Beyond, if there
	// are so many: neither kind hides the other for good. A Limit of 1 lists one after Beyond only if there is no other.
	Limit int
	// Except are the gateways whose refunds are left out. An engine can send nothing to them at the moment, and their
	// backlog must not hide what is due for the others. The Limit counts what is left.
	Except []string
}

// Join returns the list of a query from its two parts, each in order and of at least Limit refunds if there are so many:
// past are due at Now, ahead are after Beyond. It is for implementors of [Store].
func (q DueQuery) Join(past, ahead []DueRefund) []DueRefund {
	limit := max(q.Limit, 0)
	kept := 0
	if limit > 1 {
		kept = min((limit+4)/5, len(ahead))
	}
	past = past[:min(len(past), limit-kept)]
	return slices.Concat(past, ahead[:min(len(ahead), limit-len(past))])
}

// DueRefund is an approved refund that is due, with what an engine needs to be fair between gateways.
type DueRefund struct {
	Ref
	// Gateway of the order.
	Gateway string
	// At is since when it is due, UTC. It lies in the future if it was written by a clock that was wrong.
	At time.Time
}

// Due lists the approved refunds that [Service.Process] can move now, without those of the gateways in except: the ones
// that have been due longest first, and those whose next attempt lies further ahead than a right clock can have put it
// last; see [DueQuery]. It lists at most limit, which must be above 0 ([ErrInvalid]).
func (s *Service) Due(ctx context.Context, limit int, except []string) ([]DueRefund, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("list due refunds: %w", &order.InvalidError{Field: "limit", Problem: "must be above 0"})
	}
	now := s.now()
	due, err := s.store.Due(ctx, DueQuery{Now: now, Beyond: now.Add(s.longestWait()), Limit: limit, Except: except})
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return due, nil
}

// Stuck pages through the refunds that have been approved for AlertAfter or longer and still have no
// outcome, and those that were approved in the future, by a clock that is wrong: those that the Stuck hook tells of,
// whether or not it was heard. They go on being asked about.
//
// f narrows the selection; its States are set here. A page may hold fewer refunds than its limit,
// even none, and still have a Next.
func (s *Service) Stuck(ctx context.Context, f Filter) (Page, error) {
	now := s.now()
	f.States = []order.State{order.StateApproved}
	p, err := s.store.ListRefunds(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list stuck refunds: %w", err)
	}
	p.Entries = slices.DeleteFunc(p.Entries, func(e Entry) bool { return !s.isStuck(e.Refund.ApprovedAt, now) })
	return p, nil
}
