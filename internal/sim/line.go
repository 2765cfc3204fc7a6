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
func (l *line) Refund(_ context.Context, req refund.Request) (res refund.Result, err error) {
	w := l.w
	w.tracef("refund %s of %d", req.RefundNo, req.Amount)
	c := w.begin("refund")
	defer w.check.asking(c.t, req.OrderID, req.RefundNo)()
	c.t.heard = heard{no: req.RefundNo, era: c.t.lease.era, version: c.t.lease.version}
	defer func() { c.t.hears(res, err) }()
	w.check.submitting(c.t, req)
	if c.f.Kind == FaultLate {
		l.arrive(req, c.f.For)
		c.t.sleep(c.out, nil)
		return refund.Result{}, w.prov.fault()
	}
	if c.f.Kind == FaultNotSent {
		return refund.Result{}, fmt.Errorf("%w: %w", refund.ErrNotSent, w.prov.fault())
	}
	w.check.sending(c.t, req)
	odd := c.chance(2)
	if left := c.t.left(); c.out > left {
		if odd {
			l.arrive(req, c.out)
		}
		c.t.sleep(left, nil)
		return refund.Result{}, context.DeadlineExceeded
	}
	start := w.now
	w.prov.copies[req.RefundNo]++
	c.t.sleep(c.out, func() {
		w.prov.copies[req.RefundNo]--
		if odd {
			l.arrive(req, start+c.out-w.now)
		}
	})
	w.prov.copies[req.RefundNo]--
	if c.f.Kind == FaultResend {
		return l.resend(c, req)
	}
	return l.call(c, func() refund.Result { return w.prov.execute(req) })
}

// arrive puts a copy of a request on its way, whatever happens to the caller.
func (l *line) arrive(req refund.Request, after time.Duration) {
	w := l.w
	w.prov.copies[req.RefundNo]++
	w.after(after, func() {
		w.prov.copies[req.RefundNo]--
		w.prov.execute(req)
	})
}

// resend is a transport that sends a request twice: the first copy has arrived, and its
// answer is lost. A gateway that does so must not take a refusal of the second copy for one of
// the refund.
func (l *line) resend(c *trip, req refund.Request) (refund.Result, error) {
	if err := l.arrived(c); err != nil {
		return refund.Result{}, err
	}
	l.w.prov.execute(req)
	left := c.t.left()
	if c.f.For > left {
		l.arrive(req, c.f.For)
		c.t.sleep(left, nil)
		return refund.Result{}, context.DeadlineExceeded
	}
	l.w.prov.copies[req.RefundNo]++
	c.t.sleep(c.f.For, func() { l.w.prov.copies[req.RefundNo]-- })
	l.w.prov.copies[req.RefundNo]--
	res, err := l.call(c, func() refund.Result { return l.w.prov.execute(req) })
	trusts := l.w.bug != nil && l.w.bug.trustsResent
	if err == nil && res.Outcome == refund.OutcomeDeclined && !trusts {
		return refund.Result{}, fmt.Errorf("the second copy was declined: %w", errFault)
	}
	return res, err
}

// Query implements [refund.RefundGateway].
func (l *line) Query(_ context.Context, req refund.Request) (res refund.Result, err error) {
	l.w.tracef("query %s", req.RefundNo)
	c := l.w.begin("query")
	defer l.w.check.asking(c.t, req.OrderID, req.RefundNo)()
	c.t.asks(req.RefundNo)
	defer func() { c.t.hears(res, err) }()
	if left := c.t.left(); c.out > left {
		c.t.sleep(left, nil)
		return refund.Result{}, context.DeadlineExceeded
	}
	c.t.sleep(c.out, nil)
	return l.call(c, func() refund.Result { return l.w.prov.query(req.RefundNo) })
}

// left is what the task's deadline leaves for a call: the gateway gives up then, as it must. The
// deadline is for all calls that follow one another without the store.
func (t *task) left() time.Duration {
	t.busy = nil
	if !t.calling {
		t.calling, t.deadline = true, t.w.now+callTimeout
	}
	return max(0, t.deadline-t.w.now)
}

// asks notes that a question about a refund is put, and how the refund stands in the book.
func (t *task) asks(no string) {
	t.heard = heard{no: no, era: t.w.check.eras[no], version: t.w.check.versions[no]}
}

// hears notes what came of it.
func (t *task) hears(res refund.Result, err error) {
	if err == nil {
		t.heard.Result, t.fact = res, true
		t.w.check.confirmed(t)
	}
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
	switch c.f.Kind { //nolint:exhaustive // the others are no answers
	case FaultGone:
		c.t.cancel()
	case FaultAfter:
		return refund.Result{}, l.w.prov.fault()
	case FaultMismatch:
		res = refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "someone-else", Amount: res.Amount + 1}
	case FaultGarbage:
		res.Outcome = refund.OutcomeUnknown
	case FaultPanic:
		panic("the gateway panics")
	case FaultSetup:
		return refund.Result{}, &refund.SetupError{Gateway: gatewayName, Err: l.w.prov.fault()}
	case FaultBusy:
		c.t.busy = &refund.BusyError{After: c.f.For, Account: c.chance(2), Err: l.w.prov.fault()}
		c.t.busyAt = l.w.clock(c.t.proc)
		return refund.Result{}, c.t.busy
	}
	l.w.tracef("answer %s: %s %.40q", res.RefundNo, res.Outcome, res.Code)
	return l.w.prov.say(res), nil
}

// arrived returns an error if the call does not reach the provider.
func (l *line) arrived(c *trip) error {
	switch k := c.f.Kind; {
	case k == FaultCrashBefore || k == FaultCrashInside:
		c.t.crash(c.f.For)
	case k == FaultBefore || k.isStoreOnly():
		c.t.sleep(c.ret, nil)
		return l.w.prov.fault()
	}
	if l.w.now < l.w.lineDown {
		return fmt.Errorf("the line is down: %w", l.w.prov.fault())
	}
	return nil
}

// List implements [refund.Lister].
func (l *line) List(_ context.Context, req refund.Request) (all []refund.Result, err error) {
	c := l.w.begin("list")
	c.t.sleep(min(c.out, c.t.left()), nil)
	_, err = l.call(c, func() refund.Result {
		all = l.w.prov.list(req.OrderID)
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
