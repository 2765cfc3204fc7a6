package sim

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

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
	cancel context.CancelFunc
	dead   bool // its process has been killed
	done   bool

	commits int  // changes of an order that it committed
	misled  bool // a fault hid from it what it committed
	doubt   bool // the store returned an error that leaves the commit open
	hook    hookFault
	lease   leased
	fact    bool // the provider has answered, and nothing was recorded since
	report  *report
	failed  bool // its last update
	heard   heard
	busy    *refund.BusyError // what the provider answered last, if it was that
	busyAt  time.Time         // when, on the process's clock
	stuck   int               // how often the Stuck hook was called
	leases  int               // how many it has committed
	due     []refund.Ref      // what was due when it listed that

	loaded   *order.Order // what the first Update of a step found
	loadedAt time.Time    // when, on the process's clock
	evidence bool         // it has proof that the refund has not been paid

	calling  bool // it is in a call to the provider, until deadline
	deadline time.Duration
	claim    *refund.Notification // the notification that it delivers, if any
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
		var ctx context.Context
		ctx, t.cancel = context.WithCancel(context.Background())
		on.tasks = append(on.tasks, t)
		w.begins(job{t, virtual{ctx}, run})
		w.step(t)
		return true
	}
	return false
}

// job is a task that begins.
type job struct {
	t   *task
	ctx context.Context
	run func(ctx context.Context, t *task)
}

// begins hands a task to a goroutine that has ended one, whose stack has grown already, or to a new
// one.
func (w *world) begins(j job) {
	var jobs chan job
	if n := len(w.idle); n > 0 {
		w.idle, jobs = w.idle[:n-1], w.idle[n-1]
	} else {
		jobs = make(chan job)
		go func() {
			for j := range jobs {
				j.live(jobs)
			}
		}()
	}
	jobs <- j
}

// live carries a task out. Then its goroutine waits for more jobs, unless the process was killed.
func (j job) live(jobs chan job) {
	t, ended := j.t, false
	defer func() { // also if the process was killed: by runtime.Goexit, which no recover stops
		if p := recover(); p != nil {
			t.w.fail("panic", "%v\n%s", p, debug.Stack())
		}
		t.cancel()
		t.done = true
		t.proc.tasks = slices.DeleteFunc(t.proc.tasks, func(o *task) bool { return o == t })
		if ended {
			t.w.idle = append(t.w.idle, jobs)
		}
		t.w.back <- struct{}{}
	}()
	<-t.resume
	j.run(j.ctx, t)
	t.w.check.left(t)
	ended = true
}

// sleep gives the token away for d. If the process is killed meanwhile, killed is called (it may be
// nil) and sleep does not return.
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

// leased is the newest lease that a task has committed.
type leased struct {
	no       string
	until    time.Duration // on the right clock
	approved time.Time     // what the row said
	excess   bool          // the order had more refunds than it has room for
	accepted bool          // the provider had accepted the refund, as the book knew
	era      int           // of the refund
	version  int           // likewise
}

// heard is the last answer of the provider to a task.
type heard struct {
	refund.Result
	no      string
	era     int  // of the refund when the question was put
	version int  // likewise
	denied  bool // it denies what the provider has accepted
	stale   bool // the refund has changed since the question
	noted   bool // the book knew that a person was alerted
}

// hookFault makes a hook in the running transaction fail.
type hookFault struct {
	kind  FaultKind
	skip  int // how many calls go well before
	fired bool
}

// arm prepares for the hooks of an Update.
func (h *hookFault) arm(c *trip) {
	*h = hookFault{}
	if FaultHook <= c.f.Kind && c.f.Kind <= FaultHookExit {
		h.kind = c.f.Kind
		if c.chance(4) {
			h.skip = 1
		}
	}
}

func (h *hookFault) disarm() { h.kind = 0 }

// call is the hook.
func (h *hookFault) call() error {
	if h.kind == 0 {
		return nil
	}
	if h.skip > 0 {
		h.skip--
		return nil
	}
	h.fired = true
	switch h.kind { //nolint:exhaustive // arm sets no other
	case FaultHookPanic:
		panic("the hook panics")
	case FaultHookExit:
		runtime.Goexit()
	}
	return errFault
}
