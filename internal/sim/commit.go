package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// errLost undoes what an Update did whose COMMIT is not executed, or not yet.
var errLost = errors.New("the connection is lost")

// errDoubt is returned by a store that cannot prove what became of its COMMIT.
var errDoubt = errors.New("the answer to COMMIT was lost: it may have been executed")

// change is one Update of an order: what it found, and what it left.
type change struct {
	t       *task
	id      string
	was, is *order.Order
	at      time.Duration // when fn was called
	mark    int
	ended   bool // fn returned
	late    bool // it is committed after its task got an error
}

// wrote reports whether there is anything to commit.
func (u *change) wrote() bool { return u.is != nil && !u.is.Equal(u.was) }

// heldBack is a COMMIT that the store has received and not executed yet. Until then the order is
// locked: whoever updates it next waits, and a reader sees the order as it was.
type heldBack struct{ *change }

// commit notes what an Update has committed, or loses the answer to its COMMIT. err is what the
// inner store returned.
func (d *disk) commit(c *trip, u *change, err error) error {
	lost := c.f.Kind == FaultLostDone || c.f.Kind == FaultLostUndone || c.f.Kind == FaultLostHeld
	if err == nil && u.t.hook.fired {
		d.w.fail("hook_ignored", "order %s: a hook failed, and the update is committed",
			u.id)
	}
	switch isLost := errors.Is(err, errLost); {
	case err != nil && !isLost:
		return err
	case !u.wrote(): // there is nothing to commit
		return nil
	}
	d.last++
	u.mark = d.last
	if err == nil {
		d.marks[u.id] = u.mark
		d.w.check.committed(u)
	}
	if !lost {
		return nil
	}
	if c.f.Kind == FaultLostHeld {
		h := &heldBack{u}
		d.held[u.id] = h
		d.w.after(3*c.f.For, func() {
			if d.held[u.id] == h {
				d.release(u.id)
			}
		})
	}
	c.t.sleep(c.f.For, nil)
	return d.prove(u)
}

// prove looks for what became of a COMMIT whose answer was lost. The order's row names the update
// that wrote it last: if it is this one, it was executed. Anything else proves nothing, for others
// may have written since.
func (d *disk) prove(u *change) error {
	var now *order.Order
	err := fmt.Errorf("the store is down: %w", errFault)
	if d.w.now >= d.w.diskDown {
		now, err = d.inner.Get(context.Background(), u.id)
	}
	if err == nil {
		is := d.marks[u.id] == u.mark
		if b := d.w.bug; b != nil && b.proof != nil {
			now.History = d.history(context.Background(), u.id)
			is = b.proof(u.was, u.is, now)
		}
		if is {
			return nil
		}
		err = errLost
	}
	u.late, u.t.misled = true, true
	// The note that a person was alerted follows the command; if it fails, no caller gets the
	// error.
	u.t.doubt = u.t.doubt || u.t.report == nil
	return fmt.Errorf("update order %s: %w: %w", u.id, errDoubt, err)
}

// release executes the COMMIT that is held back for an order.
func (d *disk) release(id string) {
	h := d.held[id]
	if h == nil {
		return
	}
	delete(d.held, id)
	err := d.inner.Update(context.Background(), id, func(_ context.Context, o *order.Order) error {
		version := o.Version
		*o = *h.is.Clone()
		o.Version, o.History = version, o.History[len(h.was.History):]
		return nil
	})
	if err != nil {
		d.w.fail("held_commit", "%v", err)
		return
	}
	d.w.tracef("the store commits order %s after all", id)
	d.marks[id] = h.mark
	d.w.check.committed(h.change)
}

// unwound makes sure that an Update whose goroutine ended within it has committed nothing.
func (d *disk) unwound(u *change) {
	if u.ended || u.was == nil {
		return
	}
	u.t.hook.disarm()
	now, err := d.inner.Get(context.Background(), u.id)
	if err == nil && now.Version != u.was.Version {
		d.w.fail("half_committed", "order %s: the goroutine ended in the update, which is committed",
			u.id)
	}
}
