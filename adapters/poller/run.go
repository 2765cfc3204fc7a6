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
	// queueLife is how long a list of due refunds is used. Other replicas work on the same
	// refunds: with four replicas on 500 refunds, 1 s made each refund start twice in vain, and
	// 50 ms every third one.
	queueLife = 50 * time.Millisecond
	// listTimeout bounds one call to the store's Due.
	listTimeout = 30 * time.Second
)

// run is one Run. Its fields belong to the goroutine of Run.
type run struct {
	p       *Poller
	process func(d refund.DueRefund) result
	results chan result   // has room for all refunds in flight, so that a send never blocks
	due     chan struct{} // holds a token from a wake until loop has received it

	lanes    map[string]*lane
	held     holds
	queue    []refund.DueRefund // listed and not started
	listedAt time.Time          // of the oldest list that queue has refunds of
	except   []string           // the gateways that the last list left out

	nextList time.Time
	idle     time.Duration // the wait after the next list without new refunds
}

// result is the result of one Process.
type result struct {
	d        refund.DueRefund
	next     refund.ProcessResult
	err      error
	panicked bool
}

func newRun(calls context.Context, p *Poller) *run {
	return &run{
		p:        p,
		process:  func(d refund.DueRefund) result { return p.process(calls, d) },
		results:  make(chan result, p.opt.Concurrency),
		due:      make(chan struct{}, 1),
		lanes:    map[string]*lane{},
		held:     holds{byOrder: map[string]map[string]*hold{}},
		nextList: p.opt.Now(),
		idle:     p.opt.IdleMin,
	}
}

// loop runs until ctx ends.
func (r *run) loop(ctx context.Context) {
	for ctx.Err() == nil {
		r.fill(ctx)
		next, stop := r.untilNext(ctx)
		select {
		case <-next.Done():
		case res := <-r.results:
			r.end(res)
		case <-r.due:
			r.idle, r.nextList = r.p.opt.IdleMin, r.p.opt.Now()
		}
		stop()
	}
}

// wake makes loop list the due refunds at once. The Service calls it when a refund has become due.
func (r *run) wake() {
	select {
	case r.due <- struct{}{}:
	default: // loop has not received the last token yet
	}
}

// drain waits until nothing is in flight: without a limit until calls ends, and then for at most
// StopTimeout.
func (r *run) drain(calls context.Context) error {
	for r.p.countInFlight() > 0 && calls.Err() == nil {
		select {
		case res := <-r.results:
			r.end(res)
		case <-calls.Done():
		}
	}
	if r.p.countInFlight() == 0 {
		return nil
	}
	limit, stop := context.WithTimeout(context.WithoutCancel(calls), r.p.opt.StopTimeout)
	defer stop()
	for r.p.countInFlight() > 0 {
		select {
		case res := <-r.results:
			r.end(res)
		case <-limit.Done():
			return fmt.Errorf("stop poller: %d refunds in flight: %w",
				r.p.countInFlight(), ErrLeftBehind)
		}
	}
	return nil
}

// untilNext ends with ctx, at the time of the next list, or at an earlier start of a queued refund.
// If there is no free place, it ends with ctx only: a result comes first.
//
// It is a context, not a timer with a channel. Such timers make the race detector crash in tests
// with testing/synctest, those of hosts too, if two of a bubble fire at the same instant
// (https://go.dev/issue/78156).
func (r *run) untilNext(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.free() == 0 {
		return context.WithCancel(ctx)
	}
	at := r.nextList
	for _, d := range r.queue {
		if l := r.lane(d.Gateway); l.inFlight < l.limit && l.next.Before(at) {
			at = l.next
		}
	}
	return context.WithTimeout(ctx, min(max(0, at.Sub(r.p.opt.Now())), r.p.opt.IdleMax))
}

// free returns how many more refunds may be in flight.
func (r *run) free() int { return r.p.opt.Concurrency - r.p.countInFlight() }

// fill starts queued refunds, and lists more if it is time to.
func (r *run) fill(ctx context.Context) {
	now := r.p.opt.Now()
	if len(r.queue) > 0 && now.Sub(r.listedAt).Abs() >= queueLife {
		r.queue, r.nextList = nil, now
	}
	r.start(now)
	if r.free() > 0 && reached(r.nextList, now, r.p.opt.IdleMax) {
		r.list(ctx, now)
		r.start(now)
	}
}

// start starts the queued refunds of gateways that have a free place.
func (r *run) start(now time.Time) {
	r.queue = slices.DeleteFunc(r.queue, func(d refund.DueRefund) bool {
		if r.p.isInFlight(d.Ref) {
			return true // listed twice
		}
		l := r.lane(d.Gateway)
		if r.free() == 0 || !l.ready(now) {
			return false
		}
		l.start(now)
		r.p.noteStart(d)
		go func() {
			res := result{d: d, err: errGoexit}
			defer func() { r.results <- res }() // also if a hook ends the goroutine
			res = r.process(d)
		}()
		return true
	})
}

// list lists the due refunds. When it is called, queue holds only refunds of gateways without a
// free place.
func (r *run) list(ctx context.Context, now time.Time) {
	r.except = r.busy(now)
	// The list may contain refunds that are held or in flight. They must not hide others.
	limit := r.p.opt.Batch + r.held.expire(now) + r.p.countInFlight()
	due, err := r.p.list(ctx, limit, r.except)
	if ctx.Err() != nil {
		return // stopped, not failed
	}
	r.p.noteList(ctx, now, err)
	if err != nil {
		r.pause(now)
		return
	}
	fresh := slices.DeleteFunc(slices.Clone(due), func(d refund.DueRefund) bool {
		return r.held.contain(d, now) || r.p.isInFlight(d.Ref)
	})
	rand.Shuffle(len(fresh), func(i, k int) { //nolint:gosec // spreads load
		fresh[i], fresh[k] = fresh[k], fresh[i]
	})
	if len(r.queue) == 0 {
		r.listedAt = now
	}
	r.queue = append(r.queue, fresh...)
	if len(fresh) > 0 {
		r.idle = r.p.opt.IdleMin // more work is likely to follow
	}
	r.pause(now)
	if len(due) >= limit {
		r.nextList = now // the store may have more
	}
	for _, name := range r.except {
		l := r.lane(name)
		if l.inFlight < l.limit && l.next.Before(r.nextList) && !r.isQueued(name) {
			r.nextList = l.next
		}
	}
}

// pause postpones the next list. Each pause is longer than the one before.
func (r *run) pause(now time.Time) {
	r.nextList = now.Add(jitter(r.idle))
	r.idle = min(2*r.idle, r.p.opt.IdleMax)
}

// end records the result of a refund.
func (r *run) end(res result) {
	now := r.p.opt.Now()
	r.p.noteEnd(res)
	l := r.lane(res.d.Gateway)
	l.inFlight--
	l.rest(now, res.next.Err)
	switch {
	case res.err != nil:
		r.held.add(res.d, now, holdError)
		r.queue = nil
		r.pause(now) // the store may be down, and other refunds would fail too
		return
	case res.next.State == order.StateApproved:
		r.held.add(res.d, now, holdAgain)
	case r.held.releaseOthers(res.d.Ref):
		r.nextList = now // they may have waited for this one
	}
	if slices.Contains(r.except, res.d.Gateway) && !r.isQueued(res.d.Gateway) {
		r.nextList = now // the gateway has a free place, and the last list left it out
	}
}

func (r *run) isQueued(gateway string) bool {
	return slices.ContainsFunc(r.queue, func(d refund.DueRefund) bool {
		return d.Gateway == gateway
	})
}

// jitter returns d less up to a fifth at random, so that replicas do not list in step.
func jitter(d time.Duration) time.Duration {
	if fifth := int64(d / 5); fifth > 0 {
		d -= time.Duration(rand.Int64N(fifth)) //nolint:gosec // spreads load, guards nothing
	}
	return d
}

// list calls Due of the Service. A panic of the store becomes an error.
func (p *Poller) list(
	ctx context.Context, limit int, except []string,
) (due []refund.DueRefund, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			due, err = nil, fmt.Errorf("list due refunds: store panicked: %v", v)
		}
	}()
	return p.svc.Due(ctx, limit, except)
}

// errGoexit is the error of a refund if code of the host ended the goroutine that processed it.
var errGoexit = errors.New("runtime.Goexit was called")

// process calls Process of the Service. It runs in a goroutine that Run waits for.
func (p *Poller) process(ctx context.Context, d refund.DueRefund) (res result) {
	res.d, res.err = d, errGoexit
	defer func() {
		if v := recover(); v != nil {
			res.panicked = true
			res.err = fmt.Errorf("process refund %s of order %s: panicked: %v",
				d.RefundNo, d.OrderID, v)
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
