package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// disk is a Store that breaks as the running task's Op says.
type disk struct {
	inner refund.Store
	w     *world
	marks map[string]int       // by order, which update its row was last written by
	last  int                  // the newest of all updates
	held  map[string]*heldBack // by order, the COMMIT that is still to be executed
}

func newDisk(w *world) *disk {
	return &disk{inner: w.mem, w: w, marks: map[string]int{}, held: map[string]*heldBack{}}
}

// clockedDisk is a disk with a clock for all processes.
type clockedDisk struct{ *disk }

// Now implements [refund.Clock].
func (d clockedDisk) Now(context.Context) (time.Time, error) { return epoch().Add(d.w.now), nil }

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
func (d *disk) reach(ctx context.Context, c *trip) error {
	c.t.calling = false
	c.t.sleep(c.out, nil)
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case c.f.Kind == FaultCrashBefore:
		c.t.crash(c.f.For)
	case c.f.Kind == FaultBefore || c.f.Kind.isGatewayOnly():
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
	if c.f.Kind == FaultGone {
		c.t.cancel()
	}
	if err == nil && c.f.Kind == FaultAfter {
		c.t.misled = true
		return errFault
	}
	return err
}

// Update implements [refund.Store].
func (d *disk) Update(
	ctx context.Context, id string, fn func(ctx context.Context, o *order.Order) error,
) error {
	c := d.w.begin("update")
	err := d.update(ctx, c, id, fn)
	d.w.check.remembered(c.t, err)
	return err
}

func (d *disk) update(
	ctx context.Context, c *trip, id string, fn func(ctx context.Context, o *order.Order) error,
) error {
	if err := d.reach(ctx, c); err != nil {
		c.t.fact = c.t.fact && ctx.Err() != nil
		return err
	}
	c.t.fact = false
	d.release(id)
	c.t.hook.arm(c)
	u := &change{t: c.t, id: id, at: d.w.now}
	defer d.unwound(u)
	// The caller's context times out in real time; the simulation's own clock is the one that
	// counts.
	ctx = context.WithoutCancel(ctx)
	err := d.inner.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		u.was = o.Clone()
		u.was.History = d.history(ctx, id)
		if c.f.Kind == FaultRerun {
			_ = fn(ctx, o.Clone()) // a deadlock, say: all that it did is undone
		}
		if err := fn(ctx, o); err != nil {
			return err
		}
		if err := d.w.check.bookable(o); err != nil {
			return err
		}
		u.is = o.Clone()
		u.is.History = append(u.was.History[:len(u.was.History):len(u.was.History)], o.History...)
		switch c.f.Kind {
		case FaultRollback:
			return errFault
		case FaultCrashInside:
			c.t.crash(c.f.For)
		case FaultLostUndone, FaultLostHeld:
			return errLost
		}
		return nil
	})
	c.t.hook.disarm()
	u.ended = true
	d.w.check.looked(u)
	return d.leave(c, d.commit(c, u, err))
}

// Get implements [refund.Store].
func (d *disk) Get(ctx context.Context, id string) (o *order.Order, err error) {
	if d.w.cur == nil {
		return d.inner.Get(context.WithoutCancel(ctx), id)
	}
	c := d.w.begin("get")
	if err = d.reach(ctx, c); err != nil {
		return nil, err
	}
	o, err = d.inner.Get(context.WithoutCancel(ctx), id)
	if err = d.leave(c, err); err != nil {
		return nil, err
	}
	return o, nil
}

// History implements [refund.Store].
func (d *disk) History(
	ctx context.Context, id string, after int64, limit int) ([]order.Transition, error,
) {
	return d.inner.History(context.WithoutCancel(ctx), id, after, limit)
}

// history is the whole history of an order that is there.
func (d *disk) history(ctx context.Context, id string) []order.Transition {
	o, err := refund.LoadOrder(context.WithoutCancel(ctx), d.inner, id)
	if err != nil {
		return nil
	}
	return o.History
}

// Create implements [refund.Store].
func (d *disk) Create(ctx context.Context, o *order.Order) error { return d.inner.Create(ctx, o) }

// Due implements [refund.Store].
func (d *disk) Due(ctx context.Context, q refund.DueQuery) ([]refund.DueRefund, error) {
	c := d.w.begin("due")
	if err := d.reach(ctx, c); err != nil {
		return nil, err
	}
	due, err := d.inner.Due(context.WithoutCancel(ctx), q)
	c.t.due = d.w.check.due(q.Now)
	return due, d.leave(c, err)
}

// ListRefunds implements [refund.Store].
func (d *disk) ListRefunds(ctx context.Context, f refund.Filter) (refund.Page, error) {
	return d.inner.ListRefunds(ctx, f)
}
