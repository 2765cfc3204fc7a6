package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// line is the way to the provider: a RefundGateway that breaks as the running task's Op says.
type line struct{ w *world }

var (
	_ refund.Lister  = (*line)(nil)
	_ refund.Limiter = (*line)(nil)
)

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
	res, err := l.call(c, func() refund.Result { return l.w.prov.query(q.RefundNo) })
	c.t.heard = res.Outcome
	return res, err
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
		res = refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "someone-else", Amount: res.Amount + 1}
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
