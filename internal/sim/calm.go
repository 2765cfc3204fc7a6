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
	w.check.stuckListed(w.procs[0])
	w.drain()
	w.settleDown()
}

// The IDs of what runs once all is calm; those of a Plan are smaller.
const (
	calmPoll    = 1 << 20
	calmSync    = calmPoll + 1
	calmResolve = calmPoll + 2
)

// tick is how often the poller looks once all is calm.
const tick = 30 * time.Second

// settleDown polls until no refund is approved. The checks find a refund that never ends.
func (w *world) settleDown() {
	began := w.now
	for round := 0; round < 300 && w.broken == nil; round++ {
		w.prov.settle()
		w.drain()
		w.stepIn(began)
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

// nextDue returns when the first approved refund is due, now that all clocks are right.
func (w *world) nextDue() (first time.Duration, ok bool) {
	for _, paid := range w.plan.Orders {
		o, err := w.mem.Get(context.Background(), paid.ID)
		if err != nil {
			continue
		}
		for i := range o.Refunds {
			r := &o.Refunds[i]
			if r.State != order.StateApproved {
				continue
			}
			at := r.NextAttemptAt.Sub(epoch())
			if isDue(r, epoch().Add(w.now)) {
				at = w.now
			}
			if !ok || at < first {
				first, ok = at, true
			}
		}
	}
	return first, ok
}

// patience is how long a person waits for the alert about a refund that the provider denies for
// good.
const patience = quiet + 4*maxWait

// stepIn is the person who is alerted because the provider denies what it has accepted: it corrects
// the set-up, or records what the provider's statement says.
func (w *world) stepIn(began time.Duration) {
	for _, b := range w.prov.ledger {
		if !w.prov.denies(b.no) {
			continue
		}
		op := w.prov.denials[b.no]
		if w.check.alerts[alert{b.no, true}] == 0 {
			if w.now-began > patience {
				w.fail("denial_unheard", "order %s: %s is denied, and nobody was alerted", b.order, b.no)
			}
			continue
		}
		w.stats.Denied++
		if op.ID%2 == 0 {
			resolve := &Op{ID: calmResolve, Kind: OpResolve, Order: b.order, Refund: b.no}
			w.spawn(0, resolve, 0, w.command)
			w.drain()
		}
		delete(w.prov.denials, b.no)
	}
}

// reconcile compares every order with the provider, as a host does each night. The second time
// there is nothing left to say but what stays odd.
func (w *world) reconcile() {
	for round := range 2 {
		for i, paid := range w.plan.Orders {
			w.spawn(i, &Op{ID: calmSync, Kind: OpSync, Order: paid.ID}, 0,
				func(ctx context.Context, t *task) {
					rep, err := t.proc.svc.Sync(ctx, paid.ID)
					if err != nil {
						w.fail("sync", "order %s: %v", paid.ID, err)
					}
					w.stats.Adopted += len(rep.Adopted)
					for _, d := range rep.Discrepancies {
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
