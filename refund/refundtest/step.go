package refundtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderfsm/orderfsm/refund"
)

// Step says what happens to one call. It is a value: its methods return a changed copy. The zero
// Step is [AsUsual].
type Step struct {
	op, number string // the calls that it is for; empty for any

	moves     refund.Outcome // the new state of the refund; OutcomeUnknown leaves it as it is
	whenAsked bool           // the refund is paid at the next query
	answer    *refund.Result // replaces the answer from the ledger
	rewrite   func(*refund.Result)
	err       error

	before, after  func(ctx context.Context)
	ignoresContext bool
}

// AsUsual does what happens without a script. It is for [Step.Before], [Step.After],
// [Step.ThenFail] and [Step.Rewrite].
func AsUsual() Step { return Step{} }

// Pay pays the refund and answers that it succeeded.
func Pay() Step { return Step{moves: refund.OutcomeSucceeded} }

// Accept accepts the refund. It stays accepted until [Gateway.End].
func Accept() Step { return Step{moves: refund.OutcomeAccepted} }

// PayWhenAsked accepts the refund and pays it at the next query.
func PayWhenAsked() Step { return Step{moves: refund.OutcomeAccepted, whenAsked: true} }

// Close accepts the refund and ends it without payment, as WeChat's REFUNDCLOSE.
func Close() Step { return Step{moves: refund.OutcomeClosed} }

// Abnormal accepts the refund, and its money cannot be delivered to the buyer, as WeChat's CHANGE.
func Abnormal() Step { return Step{moves: refund.OutcomeAbnormal} }

// Decline refuses the refund with the provider's code. Nothing is paid or recorded: the next call
// with the number can succeed. A query gets this answer too, whatever the ledger holds.
func Decline(code string) Step {
	return Answer(refund.Result{Outcome: refund.OutcomeDeclined, Code: code})
}

// Answer does nothing and answers with res, whatever the ledger holds: for example not-found for a
// refund that the provider has, or an unknown status (OutcomeUnknown with a code). If RefundNo,
// OrderID or Amount of res is zero, the value of the call is used. To answer with zero values, use
// [Step.Rewrite].
func Answer(res refund.Result) Step { return Step{answer: &res} }

// Fail does nothing and returns err: the outcome is unknown. If err is nil, it returns an error of
// this package. A [*refund.SetupError] and a [*refund.BusyError] have a meaning for the Service.
func Fail(err error) Step { return Step{answer: &refund.Result{}}.ThenFail(err) }

// Hang does nothing and does not answer until the caller's context ends.
func Hang() Step { return Fail(nil).Before(Until(nil)) }

// Until returns a function that waits until release is closed or the context of the call ends. If
// release is nil, it waits for the context. It is for [Step.Before] and [Step.After].
func Until(release <-chan struct{}) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
}

// For limits the step to calls about one refund number.
func (s Step) For(refundNo string) Step {
	s.number = refundNo
	return s
}

// ThenFail does what the step says and returns err instead of the answer. If err is nil, it returns
// an error of this package.
func (s Step) ThenFail(err error) Step {
	if err == nil {
		err = errors.New("refundtest: no answer")
	}
	s.err = err
	return s
}

// Rewrite calls f, which may change the answer: for example its amount or its refund number.
func (s Step) Rewrite(f func(*refund.Result)) Step {
	s.rewrite = f
	return s
}

// Before calls f when the call has arrived and nothing is done yet. If the context of the call has
// ended when f returns, nothing is done, and the call returns the context's error.
func (s Step) Before(f func(ctx context.Context)) Step {
	s.before = f
	return s
}

// After calls f when the step is done and before the answer is returned. If the context of the call
// has ended when f returns, the answer is lost, and the call returns the context's error.
func (s Step) After(f func(ctx context.Context)) Step {
	s.after = f
	return s
}

// IgnoreContext lets the call continue after its context has ended, as a gateway does that ignores
// its context.
func (s Step) IgnoreContext() Step {
	s.ignoresContext = true
	return s
}

// usual reports whether the step leaves it to the gateway what is done.
func (s Step) usual() bool { return s.moves == refund.OutcomeUnknown && s.answer == nil }

// on returns s for a call that does what t says.
func (s Step) on(t Step) Step {
	s.moves, s.whenAsked, s.answer = t.moves, t.whenAsked, t.answer
	if s.err == nil {
		s.err = t.err
	}
	if s.rewrite == nil {
		s.rewrite = t.rewrite
	}
	if s.before == nil {
		s.before = t.before
	}
	if s.after == nil {
		s.after = t.after
	}
	s.ignoresContext = s.ignoresContext || t.ignoresContext
	return s
}

// Call is one call that reached the provider.
type Call struct {
	// Op is "refund", "query" or "list".
	Op string
	// Request is the request of the call.
	Request refund.Request
}

// String returns the operation and the refund number, or the order's ID for a list: "refund R1".
func (c Call) String() string {
	if c.Op == opList {
		return fmt.Sprintf("%s %s", c.Op, c.Request.OrderID)
	}
	return fmt.Sprintf("%s %s", c.Op, c.Request.RefundNo)
}
