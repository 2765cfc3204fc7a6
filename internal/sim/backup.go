package sim

import (
	"context"
	"maps"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// backup is the book at some time, and what the checks knew of it then.
type backup struct {
	orders                     []*order.Order
	accepted, byPerson, byHand map[string]bool
	noted                      map[alert]bool
}

// backUp copies the book, for op to restore.
func (w *world) backUp(op *Op) {
	c := w.check
	b := &backup{
		accepted: maps.Clone(c.accepted), byPerson: maps.Clone(c.byPerson),
		byHand: maps.Clone(c.byHand),
		noted:  maps.Clone(c.noted),
	}
	for _, paid := range w.plan.Orders {
		o, err := refund.LoadOrder(context.Background(), w.mem, paid.ID)
		if err != nil {
			w.fail("backup", "%v", err)
		}
		b.orders = append(b.orders, o)
	}
	w.backups[op] = b
}

// restore replaces the book by a backup, while all processes are down.
func (w *world) restore(b *backup) {
	w.tracef("the book is restored from a backup")
	for _, p := range w.procs {
		w.kill(p, tick)
	}
	w.mem = memstore.New()
	for _, o := range b.orders {
		if err := w.mem.Create(context.Background(), o); err != nil {
			w.fail("restore", "%v", err)
		}
	}
	w.disk.swap()
	w.check.forget(b)
}

// swap goes on with another store, which has none of what was under way.
func (d *disk) swap() {
	d.inner = d.w.mem
	if b := d.w.bug; b != nil && b.under != nil {
		d.inner = b.under(d.w, d.inner)
	}
	clear(d.marks)
	clear(d.held)
}

// forget makes the checks know no more than the restored book does.
func (c *checker) forget(b *backup) {
	c.calm, c.restored = false, true
	c.accepted, c.byPerson, c.byHand, c.noted = b.accepted, b.byPerson, b.byHand, b.noted
	clear(c.asked)
	clear(c.agreed)
	clear(c.flights)
	for no := range c.versions {
		c.versions[no]++
		c.eras[no]++
	}
}
