package sim

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// What the Services of every run are set up with.
const (
	callTimeout = 30 * time.Second
	lease       = time.Minute
	quiet       = 2 * time.Minute
	gatewayName = "bank"
)

// world is one run: the machines, the provider, and a clock that only moves when nobody can act.
//
// Every task has a goroutine of its own, but only one of them runs at a time: each call to store or gateway
// gives the token back and asks to go on at a later virtual time. Nothing here needs a lock.
type world struct {
	plan    *Plan
	bug     *bug // a deliberate one; nil
	machine *order.Machine

	now   time.Duration
	queue queue
	back  chan struct{} // the running task gives the token back
	cur   *task         // who has it

	procs  []*proc
	mem    *memstore.Store
	store  refund.Store // mem behind the faults
	gate   refund.RefundGateway
	prov   *provider
	check  *checker
	honest bool // the faults are over

	lineDown, diskDown time.Duration // until when
	stats              Stats
	broken             *Violation
	trace              io.Writer
}

// epoch is when every run begins.
func epoch() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// proc is a process: one Service, which knows nothing of the others, and a clock.
type proc struct {
	id    int
	svc   *refund.Service
	off   time.Duration // how wrong its clock is
	up    bool
	tasks []*task
}

// task is one command or step, carried out by a process.
type task struct {
	w      *world
	proc   *proc
	op     *Op
	base   int // the number of its first call in op.Faults
	calls  int
	resume chan struct{}
	dead   bool // its process has been killed
	done   bool

	commits  int  // changes of an order that it committed
	misled   bool // a fault hid from it what it committed
	failHook bool // the hook of the running transaction fails
	leasedTo time.Duration
	calling  bool // it is in a call to the provider, until deadline
	deadline time.Duration
	claim    *refund.Notification // what it is about, where it delivers one
}

func newWorld(p *Plan, b *bug, trace io.Writer) (*world, error) {
	m, err := order.NewMachine()
	if err != nil {
		return nil, err
	}
	w := &world{plan: p, bug: b, machine: m, back: make(chan struct{}), mem: memstore.New(), trace: trace}
	w.prov = newProvider(w)
	w.check = newChecker(w)
	w.store, w.gate = &disk{w.mem, w}, &line{w}
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
		Now:         func() time.Time { return epoch().Add(w.now + p.off) },
		CallTimeout: callTimeout, Lease: lease, Quiet: quiet, SetupBackoff: 3 * time.Minute, AlertAfter: time.Hour,
		NewRefundNo: func() string { made++; return fmt.Sprintf("N%d-%d-%d", p.id, w.now, made) },
		Backoff:     w.backoff,
		Hooks: refund.Hooks{
			InTx: func(context.Context, *order.Order, order.Transition) error {
				if w.cur != nil && w.cur.failHook {
					return errFault
				}
				return nil
			},
			Conflict: func(context.Context, refund.Conflict) { w.stats.Conflicts++ },
			Stuck:    func(context.Context, refund.Stuck) { w.stats.Stuck++ },
		},
	})
	p.svc, p.up = svc, true
	return err
}

// backoff doubles from 5 s to 2 min, with jitter from the seed.
func (w *world) backoff(_ string, attempts int) time.Duration {
	d := min(5*time.Second<<min(attempts-1, 5), 2*time.Minute)
	return d - time.Duration(mix(w.plan.Seed, uint64(w.now), uint64(attempts))%uint64(d/5)) //nolint:gosec // positive
}

// after has do called when d has passed.
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

// step gives the token to t until t gives it back.
func (w *world) step(t *task) {
	if t.done {
		return
	}
	before := w.cur
	w.cur = t
	t.resume <- struct{}{}
	<-w.back
	w.cur = before
}

// spawn starts a task on a process that is up, p if possible. It reports false if none is.
func (w *world) spawn(p int, op *Op, base int, run func(ctx context.Context, t *task)) bool {
	for i := range w.procs {
		on := w.procs[(p+i)%len(w.procs)]
		if !on.up {
			continue
		}
		t := &task{w: w, proc: on, op: op, base: base, resume: make(chan struct{})}
		on.tasks = append(on.tasks, t)
		go t.live(run)
		w.step(t)
		return true
	}
	return false
}

func (t *task) live(run func(ctx context.Context, t *task)) {
	defer func() { // also where the process was killed: by runtime.Goexit, which no recover stops
		if p := recover(); p != nil {
			t.w.fail("panic", "%v\n%s", p, debug.Stack())
		}
		t.done = true
		t.proc.tasks = slices.DeleteFunc(t.proc.tasks, func(o *task) bool { return o == t })
		t.w.back <- struct{}{}
	}()
	<-t.resume
	run(virtual{context.Background()}, t)
}

// sleep gives the token away for d. If the process is killed meanwhile, killed is called (it may be nil) and
// sleep does not return.
func (t *task) sleep(d time.Duration, killed func()) {
	t.w.queue.push(t.w.now+max(0, d), t, nil)
	t.w.back <- struct{}{}
	<-t.resume
	if t.dead {
		if killed != nil {
			killed()
		}
		runtime.Goexit()
	}
}

// crash kills the process that t runs on, t first.
func (t *task) crash(down time.Duration) {
	t.dead = true
	t.w.after(0, func() { t.w.kill(t.proc, down) })
	runtime.Goexit()
}

// kill ends a process as kill -9 does. It starts again after down.
func (w *world) kill(p *proc, down time.Duration) {
	if !p.up {
		return
	}
	w.tracef("p%d is killed", p.id)
	w.stats.Crashes++
	p.up = false
	w.unwind(p)
	w.after(down, func() { w.revive(p) })
}

func (w *world) unwind(p *proc) {
	for _, t := range slices.Clone(p.tasks) {
		t.dead = true
		w.step(t)
	}
}

func (w *world) revive(p *proc) {
	if p.up {
		return
	}
	w.tracef("p%d starts", p.id)
	if err := w.boot(p); err != nil {
		w.fail("boot", "%v", err)
	}
}

// fail records that an invariant is broken, unless one is already: the first one explains the others.
func (w *world) fail(rule, format string, args ...any) {
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

// virtual is a context that keeps package context from starting real timers: it says that its own deadline
// is sooner, and it never ends. What takes too long in virtual time is cut off by line.
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
