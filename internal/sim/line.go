package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var errFault = errors.New("simulated fault")

// trip is one call to store or gateway, with what is wrong with it and how long it takes each way.
type trip struct {
	t        *task
	f        Fault
	out, ret time.Duration
}

// begin numbers the next call of the running task.
func (w *world) begin(what string) *trip {
	t := w.cur
	n := t.base + t.calls
	t.calls++
	c := &trip{t: t, out: 5 * time.Millisecond, ret: 5 * time.Millisecond}
	if !w.plan.Even {
		c.out, c.ret = w.latency(t.op.ID, n, 0), w.latency(t.op.ID, n, 1)
	}
	if w.honest {
		return c
	}
	c.f = t.op.fault(n)
	if c.f.Kind != 0 {
		w.stats.Faults++
		w.tracef("%s: %s %v", what, c.f.Kind, c.f.For)
	}
	switch c.f.Kind {
	case FaultSlow:
		c.out += c.f.For
	case FaultPause:
		c.ret += c.f.For
	}
	return c
}

// latency is mostly a few milliseconds, and sometimes seconds.
func (w *world) latency(op, call, way int) time.Duration {
	h := mix(w.plan.Seed, uint64(op), uint64(call), uint64(way)) //nolint:gosec // no negative numbers
	most := uint64(20 * time.Millisecond)
	if h&15 == 0 {
		most = uint64(3 * time.Second)
	}
	return time.Duration(h >> 4 % most) //nolint:gosec // below most
}

// line is the way to the provider: a RefundGateway that breaks as the running task's Op says.
type line struct{ w *world }

var _ refund.Lister = (*line)(nil)
var _ refund.Limiter = (*line)(nil)

// Refund implements [refund.RefundGateway].
func (l *line) Refund(_ context.Context, req refund.Request) (refund.Result, error) {
	w := l.w
	w.tracef("refund %s of %d", req.RefundNo, req.Amount)
	c := w.begin("refund")
	defer w.check.asking(c.t, req.OrderID, req.RefundNo)()
	arrive := func(after time.Duration) { // a copy is on its way, whatever happens to the caller
		w.prov.copies[req.RefundNo]++
		w.after(after, func() {
			w.prov.copies[req.RefundNo]--
			w.prov.execute(req)
		})
	}
	if c.f.Kind == FaultLate {
		arrive(c.f.For)
		c.t.sleep(c.out, nil)
		return refund.Result{}, errFault
	}
	w.check.sending(c.t, req)
	odd := mix(w.plan.Seed, uint64(c.t.op.ID), uint64(c.t.calls))&1 == 1 //nolint:gosec // no negative numbers
	if left := c.t.left(); c.out > left {
		if odd {
			arrive(c.out)
		}
		c.t.sleep(left, nil)
		return refund.Result{}, context.DeadlineExceeded
	}
	start := w.now
	w.prov.copies[req.RefundNo]++
	c.t.sleep(c.out, func() {
		w.prov.copies[req.RefundNo]--
		if odd {
			arrive(start + c.out - w.now)
		}
	})
	w.prov.copies[req.RefundNo]--
	return l.call(c, func() refund.Result { return w.prov.execute(req) })
}

// Query implements [refund.RefundGateway].
func (l *line) Query(_ context.Context, q refund.Query) (refund.Result, error) {
	l.w.tracef("query %s", q.RefundNo)
	c := l.w.begin("query")
	defer l.w.check.asking(c.t, q.OrderID, q.RefundNo)()
	if left := c.t.left(); c.out > left {
		c.t.sleep(left, nil)
		return refund.Result{}, context.DeadlineExceeded
	}
	c.t.sleep(c.out, nil)
	return l.call(c, func() refund.Result { return l.w.prov.query(q.RefundNo) })
}

// left is what the task's deadline leaves for a call: the gateway gives up then, as it must. The deadline is
// for all calls that follow one another without the store.
func (t *task) left() time.Duration {
	if !t.calling {
		t.calling, t.deadline = true, t.w.now+callTimeout
	}
	return max(0, t.deadline-t.w.now)
}

// call carries out what has arrived at the provider, and takes the answer back.
func (l *line) call(c *trip, do func() refund.Result) (refund.Result, error) {
	if err := l.arrived(c); err != nil {
		return refund.Result{}, err
	}
	res := do()
	if c.f.Kind == FaultCrashAfter {
		c.t.crash(c.f.For)
	}
	c.t.sleep(c.ret, nil)
	switch c.f.Kind {
	case FaultAfter:
		return refund.Result{}, errFault
	case FaultMismatch:
		res.RefundNo, res.Amount = "someone-else", res.Amount+1
	case FaultGarbage:
		res.Outcome = refund.OutcomeUnknown
	case FaultPanic:
		panic("the gateway panics")
	case FaultSetup:
		return refund.Result{}, &refund.SetupError{Gateway: gatewayName, Err: errFault}
	case FaultBusy:
		return refund.Result{}, &refund.RetryLater{After: 40 * time.Second, Err: errFault}
	}
	l.w.tracef("answer %s: %s %s", res.RefundNo, res.Outcome, res.Code)
	return res, nil
}

// arrived fails where the call does not get as far as the provider.
func (l *line) arrived(c *trip) error {
	switch c.f.Kind {
	case FaultCrashBefore, FaultCrashInside:
		c.t.crash(c.f.For)
	case FaultBefore, FaultRollback, FaultHook:
		c.t.sleep(c.ret, nil)
		return errFault
	}
	if l.w.now < l.w.lineDown {
		return fmt.Errorf("the line is down: %w", errFault)
	}
	return nil
}

// List implements [refund.Lister].
func (l *line) List(_ context.Context, q refund.Query) (all []refund.Result, err error) {
	c := l.w.begin("list")
	c.t.sleep(min(c.out, c.t.left()), nil)
	_, err = l.call(c, func() refund.Result {
		all = l.w.prov.list(q.OrderID)
		return refund.Result{}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Limits implements [refund.Limiter].
func (l *line) Limits(string) refund.Limits {
	h := l.w.plan.Provider
	return refund.Limits{MaxRefunds: h.Most, MinInterval: h.Spacing}
}

// disk is a Store that breaks as the running task's Op says.
type disk struct {
	inner refund.Store
	w     *world
}

// Joined and AfterCommit forward.
func (d *disk) Joined(ctx context.Context) bool {
	j, ok := d.inner.(refund.Joiner)
	return ok && j.Joined(ctx)
}

func (d *disk) AfterCommit(ctx context.Context, f func(context.Context)) bool {
	j, ok := d.inner.(refund.Joiner)
	return ok && j.AfterCommit(ctx, f)
}

// reach is the way to the store.
func (d *disk) reach(c *trip) error {
	c.t.calling = false
	c.t.sleep(c.out, nil)
	switch c.f.Kind {
	case FaultCrashBefore:
		c.t.crash(c.f.For)
	case FaultBefore, FaultLate, FaultMismatch, FaultGarbage, FaultSetup, FaultBusy, FaultPanic:
		return errFault
	}
	if d.w.now < d.w.diskDown {
		return fmt.Errorf("the store is down: %w", errFault)
	}
	return nil
}

// leave is the way back.
func (d *disk) leave(c *trip, err error) error {
	if c.f.Kind == FaultCrashAfter {
		c.t.crash(c.f.For)
	}
	c.t.sleep(c.ret, nil)
	if err == nil && c.f.Kind == FaultAfter {
		c.t.misled = true
		return errFault
	}
	return err
}

// Update implements [refund.Store].
func (d *disk) Update(ctx context.Context, id string, fn func(ctx context.Context, o *order.Order) error) error {
	c := d.w.begin("update")
	if err := d.reach(c); err != nil {
		return err
	}
	c.t.failHook = c.f.Kind == FaultHook
	var was, is *order.Order
	// The caller's context times out in real time; the simulation's own clock is the one that counts.
	err := d.inner.Update(context.WithoutCancel(ctx), id, func(ctx context.Context, o *order.Order) error {
		was = o.Clone()
		if c.f.Kind == FaultRerun {
			_ = fn(ctx, o.Clone()) // a deadlock, say: all that it did is undone
		}
		if err := fn(ctx, o); err != nil {
			return err
		}
		switch c.f.Kind {
		case FaultRollback:
			return errFault
		case FaultCrashInside:
			c.t.crash(c.f.For)
		}
		is = o
		return nil
	})
	c.t.failHook = false
	if err == nil {
		d.w.check.committed(c.t, was, is)
	}
	return d.leave(c, err)
}

// Get implements [refund.Store].
func (d *disk) Get(ctx context.Context, id string) (o *order.Order, err error) {
	if d.w.cur == nil {
		return d.inner.Get(context.WithoutCancel(ctx), id)
	}
	c := d.w.begin("get")
	if err = d.reach(c); err != nil {
		return nil, err
	}
	o, err = d.inner.Get(context.WithoutCancel(ctx), id)
	if err = d.leave(c, err); err != nil {
		return nil, err
	}
	return o, nil
}

// Create implements [refund.Store].
func (d *disk) Create(ctx context.Context, o *order.Order) error { return d.inner.Create(ctx, o) }

// Due implements [refund.Store].
func (d *disk) Due(ctx context.Context, now time.Time, limit int) ([]refund.Ref, error) {
	c := d.w.begin("due")
	if err := d.reach(c); err != nil {
		return nil, err
	}
	refs, err := d.inner.Due(context.WithoutCancel(ctx), now, limit)
	return refs, d.leave(c, err)
}

// List implements [refund.Store].
func (d *disk) List(ctx context.Context, f refund.Filter) (refund.Page, error) {
	return d.inner.List(ctx, f)
}
