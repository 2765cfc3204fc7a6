package sim

import (
	"context"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// calm ends all faults and lets everything that is due happen, until nothing is.
func (w *world) calm() {
	w.honest = true
	w.lineDown, w.diskDown = 0, 0
	w.prov.balance = 1 << 50
	for _, p := range w.procs {
		p.off = 0
		w.revive(p)
	}
	w.tracef("all faults are over")
	w.drain()
	w.settleDown()
}

// The IDs of what runs once all is calm; those of a Plan are smaller.
const (
	calmPoll = 1 << 20
	calmSync = calmPoll + 1
)

// tick is how often the poller looks once all is calm.
const tick = 30 * time.Second

// settleDown polls until nothing is approved any more. A refund that takes for ever is found by the checks.
func (w *world) settleDown() {
	for round := 0; round < 300 && w.broken == nil; round++ {
		w.prov.settle()
		w.drain()
		due, ok := w.nextDue()
		if !ok {
			return
		}
		// What waits for another refund's lease stays due: the poller's own tick moves time on.
		w.now = max(w.now+tick, due)
		w.spawn(round, &Op{ID: calmPoll, Kind: OpPoll}, 0, w.poll)
		w.drain()
	}
}

// nextDue returns when the first approved refund is due.
func (w *world) nextDue() (first time.Duration, ok bool) {
	for _, paid := range w.plan.Orders {
		o, err := w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		for i := range o.Refunds {
			if r := &o.Refunds[i]; r.State == order.StateApproved {
				if at := r.NextAttemptAt.Sub(epoch()); !ok || at < first {
					first, ok = at, true
				}
			}
		}
	}
	return first, ok
}

// reconcile compares every order with the provider, as a host does each night. The second time there is
// nothing left to say but what stays odd.
func (w *world) reconcile() {
	for round := range 2 {
		for i, paid := range w.plan.Orders {
			w.spawn(i, &Op{ID: calmSync, Kind: OpSync, Order: paid.ID}, 0, func(ctx context.Context, t *task) {
				rep, err := t.proc.svc.Sync(ctx, paid.ID)
				if err != nil {
					w.fail("sync", "order %s: %v", paid.ID, err)
				}
				w.stats.Adopted += len(rep.Adopted)
				for _, d := range rep.Differences {
					if round > 0 && !w.prov.odd(d) {
						w.fail("sync", "order %s: still a difference: %+v", paid.ID, d)
					}
				}
			})
			w.drain()
		}
		w.settleDown()
	}
}
