package refundtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// Step is what happens to one call. It is a value: its methods return a changed copy. The zero Step is
// [AsUsual].
type Step struct {
	op, number string // which calls it is for; empty for any

	moves     refund.Outcome // what the refund becomes at the provider; OutcomeUnknown where it stays
	whenAsked bool           // what was accepted is paid at the next query
	answer    *refund.Result // replaces the ledger's
	rewrite   func(*refund.Result)
	err       error

	before, after  func(ctx context.Context)
	ignoresContext bool
}

// AsUsual is what happens without a script: for [Step.Before], [Step.After], [Step.ThenFail] and [Step.Rewrite].
func AsUsual() Step { return Step{} }

// Pay pays at once and says so.
func Pay() Step { return Step{moves: refund.OutcomeSucceeded} }

// Accept takes the refund on its way: it is accepted until [Gateway.Settle] or [Gateway.End].
func Accept() Step { return Step{moves: refund.OutcomeAccepted} }

// PayWhenAsked takes the refund on its way, and has paid it when it is asked about next.
func PayWhenAsked() Step { return Step{moves: refund.OutcomeAccepted, whenAsked: true} }

// Close takes the refund and ends it without paying, as WeChat's REFUNDCLOSE.
func Close() Step { return Step{moves: refund.OutcomeClosed} }

// Abnormal takes the refund, and its money cannot reach the buyer, as WeChat's CHANGE.
func Abnormal() Step { return Step{moves: refund.OutcomeAbnormal} }

// Decline is a definite no with the provider's code. Nothing is paid or remembered: the next call with the
// number can succeed. At a query it is the answer, whatever the ledger holds.
func Decline(code string) Step {
	return Answer(refund.Result{Outcome: refund.OutcomeDeclined, Code: code})
}

// Answer does nothing and answers with res, whatever the ledger holds: for example not-found of a refund that
// the provider has, or a status that nobody knows (OutcomeUnknown with a code). RefundNo, OrderID and Amount
// are those of the call where res has none; for wrong ones there is [Step.Rewrite] too.
func Answer(res refund.Result) Step { return Step{answer: &res} }

// Fail does nothing and returns err: the outcome is unknown. A nil err is an error of this package.
func Fail(err error) Step { return Step{answer: &refund.Result{}}.ThenFail(err) }

// SetupFault is a call that fails because of the gateway's set-up: a [*refund.SetupError].
func SetupFault() Step {
	return Fail(&refund.SetupError{Err: errors.New("the certificate has expired")})
}

// Busy is a provider that wants no call at all before after has passed: a [*refund.BusyError]
// about the account. For one about the refund alone use [Fail].
func Busy(after time.Duration) Step {
	return Fail(&refund.BusyError{After: after, Account: true, Err: errors.New("too many calls")})
}

// Hang does nothing and gives no answer until the caller's context ends.
func Hang() Step { return Fail(nil).Before(Until(nil)) }

// Until waits for release to be closed, or for the context of the call to end; a nil release is never closed. It
// is for [Step.Before] and [Step.After].
func Until(release <-chan struct{}) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
}

// For keeps the step for calls about one refund number.
func (s Step) For(refundNo string) Step {
	s.number = refundNo
	return s
}

// ThenFail does what the step says and returns err instead of the answer. A nil err is an error of this
// package.
func (s Step) ThenFail(err error) Step {
	if err == nil {
		err = errors.New("refundtest: no answer")
	}
	s.err = err
	return s
}

// Rewrite has f change the answer on its way: another amount, another refund's number.
func (s Step) Rewrite(f func(*refund.Result)) Step {
	s.rewrite = f
	return s
}

// Before calls f when the call has arrived and nothing is done yet. Where the call's context has ended
// after it, nothing is done, and the call returns the context's error.
func (s Step) Before(f func(ctx context.Context)) Step {
	s.before = f
	return s
}

// After calls f when the step is done and the answer is not yet given. Where the call's context has ended
// after it, the answer is lost, and the call returns the context's error.
func (s Step) After(f func(ctx context.Context)) Step {
	s.after = f
	return s
}

// IgnoreContext makes the call go on after its context has ended, as with a gateway that ignores
// its context.
func (s Step) IgnoreContext() Step {
	s.ignoresContext = true
	return s
}

// usual reports whether the step leaves to the gateway what is done.
func (s Step) usual() bool { return s.moves == refund.OutcomeUnknown && s.answer == nil }

// on is s for a call that does what t says.
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
	// Request is what was asked, without a Reason where it is no refund.
	Request refund.Request
}

// String returns the operation and the refund number, or for a list the order's ID: "refund R1".
func (c Call) String() string {
	if c.Op == opList {
		return fmt.Sprintf("%s %s", c.Op, c.Request.OrderID)
	}
	return fmt.Sprintf("%s %s", c.Op, c.Request.RefundNo)
}
