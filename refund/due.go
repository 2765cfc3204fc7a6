package refund

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// DueQuery selects approved refunds: those whose NextAttemptAt is at or before Now, and those whose
// NextAttemptAt is after Beyond, because a wrong clock wrote it. They are listed by NextAttemptAt,
// then order ID, then refund number.
type DueQuery struct {
	Now time.Time
	// Beyond is the latest time that a right clock can have written, and not before Now. If zero,
	// there is no such bound.
	Beyond time.Time
	// Limit is the largest number of refunds to list; > 0. A fifth of it, rounded up, is kept for
	// refunds after Beyond, so that neither kind hides the other. If Limit is 1, a refund after
	// Beyond is listed only if there is no other.
	Limit int
	// Except lists gateways whose refunds are left out, before Limit is applied. An engine that can
	// send nothing to them at the moment uses it, so that their backlog does not hide the others.
	Except []string
}

// Join returns the list of q from its two parts, for implementors of [Store]. past is due at Now,
// and ahead is after Beyond. Each is sorted and holds at least Limit refunds if there are as many.
func (q DueQuery) Join(past, ahead []DueRefund) []DueRefund {
	limit := max(q.Limit, 0)
	kept := 0
	if limit > 1 {
		kept = min((limit+4)/5, len(ahead))
	}
	past = past[:min(len(past), limit-kept)]
	return slices.Concat(past, ahead[:min(len(ahead), limit-len(past))])
}

// DueRefund is a refund that is due, with what an engine needs to be fair between gateways.
type DueRefund struct {
	Ref
	// Gateway of the order.
	Gateway string
	// At is since when it is due, UTC. It is in the future if a wrong clock wrote it.
	At time.Time
}

// Due lists at most limit approved refunds that [Service.Process] can move now, without those of
// the gateways in except. The refund that has been due longest comes first; see [DueQuery]. It
// returns [order.ErrInvalid] if limit is not above 0.
func (s *Service) Due(ctx context.Context, limit int, except []string) ([]DueRefund, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("list due refunds: %w", invalid("limit", "must be above 0"))
	}
	now := s.now()
	due, err := s.store.Due(ctx, DueQuery{
		Now: now, Beyond: now.Add(s.longestWait()), Limit: limit, Except: except,
	})
	if err != nil {
		return nil, fmt.Errorf("list due refunds: %w", err)
	}
	return due, nil
}

// Stuck pages through the approved refunds that have had no outcome for AlertAfter or longer, and
// those whose approval a wrong clock wrote in the future. They are those of the Stuck hook. The
// Service goes on asking about them.
//
// f narrows the selection; Stuck sets its States. A page may hold fewer refunds than its limit,
// even none, and still have a Next.
func (s *Service) Stuck(ctx context.Context, f Filter) (Page, error) {
	now := s.now()
	f.States = []order.State{order.StateApproved}
	p, err := s.store.ListRefunds(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list stuck refunds: %w", err)
	}
	p.Entries = slices.DeleteFunc(p.Entries, func(e Entry) bool {
		return !s.isStuck(e.Refund.ApprovedAt, now)
	})
	return p, nil
}
