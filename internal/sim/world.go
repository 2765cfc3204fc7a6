package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// The options of the Services of every run.
const (
	callTimeout = 30 * time.Second
	lease       = time.Minute
	quiet       = 2 * time.Minute
	maxWait     = 10 * time.Minute
	alertAfter  = time.Hour
	gatewayName = "bank"
)

// world is one run: the machines, the provider, and a clock that only moves when nobody can act.
//
// Every task has its own goroutine, but only one of them runs at a time: each call to store or
// gateway gives the token back and asks to go on at a later virtual time. Nothing here needs a
// lock.
type world struct {
	plan    *Plan
	bug     *bug // a deliberate one; nil
	machine *order.Machine

	now   time.Duration
	queue queue
	back  chan struct{} // the running task gives the token back
	cur   *task         // who has it
	idle  []chan job    // goroutines that wait for a task

	procs   []*proc
	backups map[*Op]*backup
	mem     *memstore.Store
	disk    *disk        // mem behind the faults
	store   refund.Store // disk, or a deliberate bug before it
	gate    refund.RefundGateway
	prov    *provider
	check   *checker
	honest  bool // the faults are over

	lineDown, diskDown time.Duration // until when
	stats              Stats
	broken             *Violation
	trace              io.Writer
}

// epoch is when every run begins.
func epoch() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func newWorld(p *Plan, b *bug, trace io.Writer) (*world, error) {
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	w := &world{
		plan: p, bug: b, machine: m, back: make(chan struct{}), mem: memstore.New(), trace: trace,
		backups: map[*Op]*backup{},
	}
	w.prov = newProvider(w)
	w.check = newChecker(w)
	d := newDisk(w)
	w.disk = d
	w.store, w.gate = d, &line{w}
	if p.StoreClock {
		w.store = clockedDisk{d}
	}
	if b != nil && b.under != nil {
		d.inner = b.under(w, d.inner)
	}
	if b != nil && b.store != nil {
		w.store = b.store(w, w.store)
	}
	if b != nil && b.gate != nil {
		w.gate = b.gate(w, w.gate)
	}
	for i := range p.Procs {
		w.procs = append(w.procs, &proc{id: i})
		if err := w.boot(w.procs[i]); err != nil {
			return nil, err
		}
	}
	for _, o := range p.Orders {
		_, err := w.procs[0].svc.Register(context.Background(), refund.RegisterParams{
			OrderID: o.ID, Gateway: gatewayName, Currency: "CNY", Total: o.Total, PaidAt: epoch(),
		})
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

// boot starts a process.
func (w *world) boot(p *proc) error {
	made := 0
	svc, err := refund.NewService(w.machine, w.store, w.gate, refund.Options{
		Logger:      slog.New(slog.DiscardHandler),
		Now:         func() time.Time { return w.clock(p) },
		CallTimeout: callTimeout, Lease: lease, QuietPeriod: quiet, MaxWait: maxWait,
		SetupBackoff: 3 * time.Minute, AlertAfter: alertAfter,
		NewRefundNo: func() string { made++; return fmt.Sprintf("N%d-%d-%d", p.id, w.now, made) },
		Backoff:     w.backoff,
		Hooks: []refund.Hooks{{
			InTx: func(context.Context, *order.Order, order.Transition) error {
				if w.cur == nil {
					return nil
				}
				return w.cur.hook.call()
			},
			Discrepancy: func(_ context.Context, c refund.Discrepancy) {
				w.misbehave()
				w.stats.Conflicts++
				w.check.discrepancy(w.cur, c)
			},
			Stuck: func(context.Context, refund.Stuck) {
				w.stats.Stuck++
				w.cur.stuck++
				w.misbehave()
			},
			After: func(context.Context, *order.Order, order.Transition) { w.misbehave() },
		}},
	})
	p.svc, p.up = svc, true
	return err
}

// clock is the time by the clock of a process.
func (w *world) clock(p *proc) time.Time { return epoch().Add(w.now + p.off) }

// misbehave is a hook that panics or ends its goroutine, now and then.
func (w *world) misbehave() {
	if !w.plan.BadHooks || w.honest || w.cur == nil {
		return
	}
	switch mix(w.plan.Seed, uint64(w.now)) % 8 { //nolint:gosec // no negative numbers
	case 0:
		panic("the hook panics")
	case 1:
		w.tracef("the hook ends its goroutine")
		runtime.Goexit()
	}
}

// backoff doubles from 5 s to 2 min, with jitter from the seed.
func (w *world) backoff(_ string, attempts int) time.Duration {
	h := mix(w.plan.Seed, uint64(w.now), uint64(attempts)) //nolint:gosec // no negative numbers
	if w.plan.BadHooks && !w.honest {
		switch h >> 32 % 8 {
		case 0:
			panic("Backoff panics")
		case 1:
			return -time.Hour
		case 2:
			return math.MaxInt64
		}
	}
	d := min(5*time.Second<<min(attempts-1, 5), 2*time.Minute)
	return d - time.Duration(h%uint64(d/5)) //nolint:gosec // positive
}

// after calls do when d has passed.
func (w *world) after(d time.Duration, do func()) { w.queue.push(w.now+max(0, d), nil, do) }

// run lets everything happen that is due until then, in the order of its time.
func (w *world) run(until time.Duration) {
	for w.broken == nil {
		e, ok := w.queue.pop(until)
		if !ok {
			w.now = max(w.now, until)
			return
		}
		w.now = max(w.now, e.at)
		if e.t != nil {
			w.step(e.t)
		} else {
			e.do()
		}
	}
}

// drain runs until nothing is left that would happen.
func (w *world) drain() {
	for w.broken == nil {
		e, ok := w.queue.first()
		if !ok {
			return
		}
		w.run(e)
	}
}

// fail records that an invariant is broken, unless one is already: the first one explains the
// others. Rules that the deliberate bug ignores do not count.
func (w *world) fail(rule, format string, args ...any) {
	if w.bug != nil && slices.Contains(w.bug.ignore, rule) {
		return
	}
	if w.broken == nil {
		w.broken = &Violation{Rule: rule, Detail: fmt.Sprintf(format, args...), At: w.now}
		w.tracef("VIOLATION %s", w.broken)
	}
}

func (w *world) tracef(format string, args ...any) {
	if w.trace == nil {
		return
	}
	who := ""
	if t := w.cur; t != nil {
		who = fmt.Sprintf(" p%d #%d", t.proc.id, t.op.ID)
	}
	fmt.Fprintf(w.trace, "%14v%s %s\n", w.now.Round(time.Microsecond), who, fmt.Sprintf(format, args...))
}

// virtual is a context that keeps package context from starting real timers: it says that its own
// deadline is sooner, and it never ends. What takes too long in virtual time is cut off by line.
type virtual struct{ context.Context }

func (virtual) Deadline() (time.Time, bool) { return time.Unix(0, 0), true }

// mix makes a number that depends on all of the others (splitmix64).
func mix(seed uint64, more ...uint64) uint64 {
	h := seed
	for _, m := range more {
		h += m + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
