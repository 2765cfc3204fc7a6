package poller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// maxCount is the highest count of refunds in the store that Stats returns.
const maxCount = 1000

// Stats are the figures of a Poller and of its store.
type Stats struct {
	// InFlight is how many refunds this Poller is processing.
	InFlight int
	// OldestInFlight is when the oldest of them started, or zero.
	OldestInFlight time.Time
	// Processed counts the calls of Process that returned, since Run. Ended counts those of them
	// after which the refund is not approved any more, Errors those that failed, and Panics the
	// failed ones that panicked.
	Processed, Ended, Errors, Panics int64
	// ListedAt is when this Poller last listed the due refunds, or zero.
	ListedAt time.Time
	// ListError is the error of the last list, or nil if it succeeded.
	ListError error

	// Due is how many refunds in the store are due now, for all replicas, up to 1000.
	Due int
	// OldestDue is since when the oldest of them is due, UTC, or zero. Alert on its age, which
	// stays small as long as the pollers keep up.
	OldestDue time.Time
	// Stuck is how many refunds have no outcome AlertAfter after their approval, up to 1000.
	// See [refund.Service.Stuck].
	Stuck int
}

// Stats returns the figures of this Poller and, by some cheap queries, those of the store. If the
// store fails, its figures are zero, and Stats returns the error with the other figures.
func (p *Poller) Stats(ctx context.Context) (Stats, error) {
	st := p.counts()
	due, err := p.svc.Due(ctx, maxCount, nil)
	if err != nil {
		return st, fmt.Errorf("poller stats: %w", err)
	}
	stuck, err := p.countStuck(ctx)
	if err != nil {
		return st, fmt.Errorf("poller stats: %w", err)
	}
	st.Due, st.Stuck = len(due), stuck
	if len(due) > 0 {
		st.OldestDue = due[0].At
	}
	return st, nil
}

func (p *Poller) countStuck(ctx context.Context) (n int, err error) {
	f := refund.Filter{Limit: refund.MaxLimit}
	for n < maxCount {
		page, err := p.svc.Stuck(ctx, f)
		if err != nil {
			return 0, err
		}
		n += len(page.Entries)
		if f.After = page.Next; f.After == nil {
			break
		}
	}
	return min(n, maxCount), nil
}

// state is what a Poller counts. Poller.mu guards it.
type state struct {
	counts   Stats // without the figures of the store
	inFlight map[refund.Ref]time.Time
}

func newState() state { return state{inFlight: map[refund.Ref]time.Time{}} }

// counts returns the figures of this Poller.
func (p *Poller) counts() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.state.counts
	st.InFlight = len(p.state.inFlight)
	for _, since := range p.state.inFlight {
		if st.OldestInFlight.IsZero() || since.Before(st.OldestInFlight) {
			st.OldestInFlight = since
		}
	}
	return st
}

func (p *Poller) countInFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.state.inFlight)
}

func (p *Poller) isInFlight(ref refund.Ref) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.state.inFlight[ref]
	return ok
}

// noteStart records that a refund is in flight.
func (p *Poller) noteStart(d refund.DueRefund) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.inFlight[d.Ref] = p.opt.Now()
}

// noteEnd records the result of a refund.
func (p *Poller) noteEnd(res result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.state.inFlight, res.d.Ref)
	c := &p.state.counts
	c.Processed++
	switch {
	case res.panicked:
		c.Panics++
		c.Errors++
	case res.err != nil:
		c.Errors++
	case res.next.State != order.StateApproved:
		c.Ended++
	}
}

// noteList records whether a list succeeded, and logs when that changes.
func (p *Poller) noteList(ctx context.Context, now time.Time, err error) {
	p.mu.Lock()
	c := &p.state.counts
	before := c.ListError
	c.ListError = err
	if err == nil {
		c.ListedAt = now
	}
	p.mu.Unlock()
	switch {
	case err != nil && before == nil:
		p.opt.Logger.ErrorContext(ctx, "due refunds could not be listed, trying again",
			slog.Any("error", err))
	case err == nil && before != nil:
		p.opt.Logger.InfoContext(ctx, "due refunds are listed again")
	}
}
