package poller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// MaxCount is as far as Stats counts in the store.
const MaxCount = 1000

// Stats tell how a Poller is doing.
type Stats struct {
	// InFlight is how many refunds this Poller is processing.
	InFlight int
	// OldestInFlight is since when the oldest of them is; zero where there is none.
	OldestInFlight time.Time
	// Processed counts the calls of Process that returned, Ended those that left a refund which is not
	// approved any more, Errors those that failed, Panics those of them that panicked; since Run.
	Processed, Ended, Errors, Panics int64
	// LookedAt is when the store last told what is due; zero before that.
	LookedAt time.Time
	// LookError is why it does not tell at the moment; nil where it does.
	LookError error

	// Due is how many refunds are due in the store now, for all replicas, up to MaxCount.
	Due int
	// OldestDue is since when the oldest of them is, UTC; zero where there is none. Its age is the figure to
	// alert on: it stays small as long as the pollers keep up.
	OldestDue time.Time
	// Stuck is how many refunds have no outcome although they were approved AlertAfter ago, up to MaxCount.
	// See [refund.Service.Stuck].
	Stuck int
}

// Stats asks the store for the counts, which takes some cheap queries, and adds what this Poller knows
// itself. If the store fails, its figures are zero and the error is returned with the others.
func (p *Poller) Stats(ctx context.Context) (Stats, error) {
	st := p.own()
	due, err := p.svc.Due(ctx, MaxCount, nil)
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
	for n < MaxCount {
		page, err := p.svc.Stuck(ctx, f)
		if err != nil {
			return 0, err
		}
		n += len(page.Entries)
		if f.After = page.Next; f.After == nil {
			break
		}
	}
	return min(n, MaxCount), nil
}

// state is what a Poller counts; Poller.mu guards it.
type state struct {
	counts  Stats // without those of the store
	flights map[refund.Ref]time.Time
}

func newState() state { return state{flights: map[refund.Ref]time.Time{}} }

func (p *Poller) own() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.state.counts
	st.InFlight = len(p.state.flights)
	for _, since := range p.state.flights {
		if st.OldestInFlight.IsZero() || since.Before(st.OldestInFlight) {
			st.OldestInFlight = since
		}
	}
	return st
}

func (p *Poller) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.state.flights)
}

func (p *Poller) flies(ref refund.Ref) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.state.flights[ref]
	return ok
}

func (p *Poller) took(d refund.DueRefund) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.flights[d.Ref] = p.opt.Now()
}

// landed counts what came of a refund.
func (p *Poller) landed(res result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.state.flights, res.d.Ref)
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

// looked notes how a look went and tells when that changes.
func (p *Poller) looked(ctx context.Context, now time.Time, err error) {
	p.mu.Lock()
	c := &p.state.counts
	before := c.LookError
	c.LookError = err
	if err == nil {
		c.LookedAt = now
	}
	p.mu.Unlock()
	switch {
	case err != nil && before == nil:
		p.opt.Logger.ErrorContext(ctx, "due refunds could not be listed, trying again", slog.Any("error", err))
	case err == nil && before != nil:
		p.opt.Logger.InfoContext(ctx, "due refunds are listed again")
	}
}
