package sim

import (
	"errors"
	"time"
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

// chance is true once in n times, always the same for the same call.
func (c *trip) chance(n uint64) bool {
	op, call := uint64(c.t.op.ID), uint64(c.t.base+c.t.calls) //nolint:gosec // no negative numbers
	return mix(c.t.w.plan.Seed, op, call, n)%n == 0
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
