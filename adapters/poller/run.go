package poller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

const (
	// queueLife is how long a list of what is due is worked from: other replicas work on the same refunds. With four of
	// them on 500 refunds, 1 s had each refund begun twice in vain, and 50 ms every third.
	queueLife = 50 * time.Millisecond
	// lookTimeout bounds the store's answer to a look.
	lookTimeout = 30 * time.Second
)

// run is one Run. What it holds belongs to the goroutine of Run.
type run struct {
	p    *Poller
	call func(d refund.DueRefund) result
	done chan result   // has room for all in flight, so that none of them ever waits
	due  chan struct{} // holds a token from a wake until loop has received it

	lanes   map[string]*lane
	held    holds
	queue   []refund.DueRefund // listed and not started
	listed  time.Time          // when the oldest of them was
	without []string           // the gateways that the list left out

	nextLook time.Time
	idle     time.Duration // the wait after the next look that finds nothing
}

// result is what came of one refund.
type result struct {
	d        refund.DueRefund
	next     refund.ProcessResult
	err      error
	panicked bool
}

func newRun(calls context.Context, p *Poller) *run {
	return &run{
		p:        p,
		call:     func(d refund.DueRefund) result { return p.process(calls, d) },
		done:     make(chan result, p.opt.Concurrency),
		due:      make(chan struct{}, 1),
		lanes:    map[string]*lane{},
		held:     holds{byOrder: map[string]map[string]*hold{}},
		nextLook: p.opt.Now(),
		idle:     p.opt.IdleMin,
	}
}

// loop runs until ctx ends.
func (r *run) loop(ctx context.Context) {
	for ctx.Err() == nil {
		r.fill(ctx)
		fired, stop := r.timer()
		select {
		case <-ctx.Done():
		case res := <-r.done:
			r.finished(res)
		case <-r.due:
			r.idle, r.nextLook = r.p.opt.IdleMin, r.p.opt.Now()
		case <-fired:
		}
		stop()
	}
}

// wake makes loop list what is due at once. The Service calls it when a refund has become due.
func (r *run) wake() {
	select {
	case r.due <- struct{}{}:
	default: // loop has not received the last one yet
	}
}

// drain waits for what is in flight: without end as long as calls lives, and then for StopTimeout.
func (r *run) drain(calls context.Context) error {
	for r.p.inFlight() > 0 && calls.Err() == nil {
		select {
		case res := <-r.done:
			r.finished(res)
		case <-calls.Done():
		}
	}
	if r.p.inFlight() == 0 {
		return nil
	}
	fired, stop := r.p.opt.NewTimer(r.p.opt.StopTimeout)
	defer stop()
	for r.p.inFlight() > 0 {
		select {
		case res := <-r.done:
			r.finished(res)
		case <-fired:
			return fmt.Errorf("stop poller: %d refunds in flight: %w", r.p.inFlight(), ErrLeftBehind)
		}
	}
	return nil
}

// timer fires when there is something to do for which nobody gives a sign.
func (r *run) timer() (fired <-chan time.Time, stop func()) {
	if r.free() == 0 {
		return nil, func() {}
	}
	at := r.nextLook
	for _, d := range r.queue {
		if l := r.lane(d.Gateway); l.inFlight < l.most && l.next.Before(at) {
			at = l.next
		}
	}
	return r.p.opt.NewTimer(min(max(0, at.Sub(r.p.opt.Now())), r.p.opt.IdleMax))
}

func (r *run) free() int { return r.p.opt.Concurrency - r.p.inFlight() }

// fill starts what can be started, and looks for more when it is time to.
func (r *run) fill(ctx context.Context) {
	now := r.p.opt.Now()
	if len(r.queue) > 0 && now.Sub(r.listed).Abs() >= queueLife {
		r.queue, r.nextLook = nil, now
	}
	r.start(now)
	if r.free() > 0 && reached(r.nextLook, now, r.p.opt.IdleMax) {
		r.look(ctx, now)
		r.start(now)
	}
}

// start starts what the queue has for gateways that have room.
func (r *run) start(now time.Time) {
	r.queue = slices.DeleteFunc(r.queue, func(d refund.DueRefund) bool {
		if r.p.flies(d.Ref) {
			return true // listed twice
		}
		l := r.lane(d.Gateway)
		if r.free() == 0 || !l.ready(now) {
			return false
		}
		l.take(now)
		r.p.took(d)
		go func() {
			res := result{d: d, err: errEnded}
			defer func() { r.done <- res }() // also if a hook ends the goroutine
			res = r.call(d)
		}()
		return true
	})
}

// look lists what is due. The queue holds only refunds of gateways without room when it is called.
func (r *run) look(ctx context.Context, now time.Time) {
	r.without = r.busy(now)
	limit := r.p.opt.Batch + r.held.expire(now) + r.p.inFlight() // what the list may hold in vain hides nothing
	due, err := r.p.list(ctx, limit, r.without)
	if ctx.Err() != nil {
		return // stopped, not failed
	}
	r.p.looked(ctx, now, err)
	if err != nil {
		r.pause(now)
		return
	}
	fresh := slices.DeleteFunc(slices.Clone(due), func(d refund.DueRefund) bool {
		return r.held.keeps(d, now) || r.p.flies(d.Ref)
	})
	rand.Shuffle(len(fresh), func(i, k int) { fresh[i], fresh[k] = fresh[k], fresh[i] }) //nolint:gosec // spreads load
	if len(r.queue) == 0 {
		r.listed = now
	}
	r.queue = append(r.queue, fresh...)
	if len(fresh) > 0 {
		r.idle = r.p.opt.IdleMin // work breeds work
	}
	r.pause(now)
	if len(due) >= limit {
		r.nextLook = now // there is more where this came from
	}
	for _, name := range r.without {
		if l := r.lane(name); l.inFlight < l.most && l.next.Before(r.nextLook) && !r.queued(name) {
			r.nextLook = l.next
		}
	}
}

// pause puts the next look off, ever further.
func (r *run) pause(now time.Time) {
	r.nextLook = now.Add(jitter(r.idle))
	r.idle = min(2*r.idle, r.p.opt.IdleMax)
}

// finished takes in what came of a refund.
func (r *run) finished(res result) {
	now := r.p.opt.Now()
	r.p.landed(res)
	l := r.lane(res.d.Gateway)
	l.inFlight--
	l.rest(now, res.next.Err)
	switch {
	case res.err != nil:
		r.held.add(res.d, now, holdError)
		r.queue = nil
		r.pause(now) // it may be the store: other refunds would fare no better
		return
	case res.next.State == order.StateApproved:
		r.held.add(res.d, now, holdAgain)
	case r.held.freeOthers(res.d.Ref):
		r.nextLook = now // they may have waited for this one
	}
	if slices.Contains(r.without, res.d.Gateway) && !r.queued(res.d.Gateway) {
		r.nextLook = now // it has room again, and the last list left it out
	}
}

func (r *run) queued(gateway string) bool {
	return slices.ContainsFunc(r.queue, func(d refund.DueRefund) bool { return d.Gateway == gateway })
}

// jitter is d less up to a fifth at random, so that replicas do not look in step.
func jitter(d time.Duration) time.Duration {
	if fifth := int64(d / 5); fifth > 0 {
		d -= time.Duration(rand.Int64N(fifth)) //nolint:gosec // spreads load, guards nothing
	}
	return d
}

// list is the store's list; a panic in it is an error.
func (p *Poller) list(ctx context.Context, limit int, without []string) (due []refund.DueRefund, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			due, err = nil, fmt.Errorf("list due refunds: store panicked: %v", v)
		}
	}()
	return p.svc.Due(ctx, limit, without)
}

// errEnded is what came of a refund if the host's code ended the goroutine that processed it.
var errEnded = errors.New("runtime.Goexit was called")

// process runs in a goroutine of its own, which the run waits for.
func (p *Poller) process(ctx context.Context, d refund.DueRefund) (res result) {
	res.d, res.err = d, errEnded
	defer func() {
		if v := recover(); v != nil {
			res.err, res.panicked = fmt.Errorf("process refund %s of order %s: panicked: %v", d.RefundNo, d.OrderID, v), true
			p.opt.Logger.ErrorContext(ctx, "processing a refund panicked",
				slog.String("order_id", d.OrderID), slog.String("refund_no", d.RefundNo),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			return
		}
		if res.err != nil && ctx.Err() == nil {
			p.opt.Logger.ErrorContext(ctx, "refund could not be processed, trying again",
				slog.String("order_id", d.OrderID), slog.String("refund_no", d.RefundNo),
				slog.Any("error", res.err))
		}
	}()
	res.next, res.err = p.svc.Process(ctx, d.Ref)
	return res
}
