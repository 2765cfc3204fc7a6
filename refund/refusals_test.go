package refund_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// refusal is a command that is refused: from which state, how, as which error, and in which words.
type refusal struct {
	name string
	from order.State
	do   func(e *env) error
	is   error
	says string
}

// by turns a command into what a refusal does.
func by(c call) func(*env) error {
	return func(e *env) error { _, err := c.do(bg, e.svc); return err }
}

// with is by on a Service with other options, on the same order.
func with(change func(*env, *refund.Options), c call) func(*env) error {
	return func(e *env) error {
		opt := refund.Options{Now: e.clock.Now, Hooks: make([]refund.Hooks, 1)}
		change(e, &opt)
		_, err := c.do(bg, e.service(e.bank, opt))
		return err
	}
}

// after is by, with the provider's next answer to a query.
func after(answer refundtest.Step, c call) func(*env) error {
	return func(e *env) error {
		e.bank.NextQuery(answer)
		return by(c)(e)
	}
}

func requestRefusals() []refusal {
	const paid, requested = order.StatePaid, order.StateRefundRequested
	asking := func(id, number string, actor order.Actor) call {
		return call{"", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
			return s.Request(
				ctx,
				refund.RequestParams{
					Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 1, Actor: actor,
				},
			)
		}}
	}
	return []refusal{
		{
			"request in the provider's name", paid,
			by(asking("O1", "R1", order.ActorProvider)), order.ErrInvalid,
			"request refund R1 of order O1: actor: is reserved for the provider's own answers",
		},
		{
			"request for an order that is not there", paid,
			by(asking("O9", "R1", buyer)), refund.ErrOrderNotFound,
			"request refund R1 of order O9: order O9: order not found",
		},
		{
			"request of another amount", requested, by(request(4001, "r")), order.ErrConflict,
			"request refund R1 of order O1: the number is taken with another amount or reason: conflict",
		},
		{
			"request for another reason", requested, by(request(4000, "other")), order.ErrConflict,
			"request refund R1 of order O1: the number is taken with another amount or reason: conflict",
		},
		{
			"request that is one too many", requested,
			with(func(_ *env, o *refund.Options) { o.MaxRequests = 1 }, asking("O1", "R2", buyer)),
			refund.ErrLimit,
			"request refund R2 of order O1: max_requests: 1 refunds were requested already",
		},
		{
			"request that the gateway could never take", paid,
			func(e *env) error {
				e.bank.SetCheck(checkLuck)
				_, err := asking("O1", "unlucky", buyer).do(
					bg, e.service(e.bank, refund.Options{}),
				)
				return err
			}, order.ErrInvalid, "request refund unlucky of order O1: refund_no: is unlucky",
		},
	}
}

func decisionRefusals() []refusal {
	const (
		paid, requested  = order.StatePaid, order.StateRefundRequested
		approved, failed = order.StateApproved, order.StateFailed
	)
	return []refusal{
		{
			"approve in the provider's name", requested,
			by(call{"", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
				return s.Approve(ctx, refund.ApproveParams{
					Ref: o1("R1"), Amount: 4000, Actor: order.ActorProvider,
				})
			}}), order.ErrInvalid,
			"approve refund R1 of order O1: actor: is reserved for the provider's own answers",
		},
		{
			"approve another amount", requested, by(approve(3999)), order.ErrConflict,
			"approve refund R1 of order O1: amount is 4000, the reviewer saw 3999: conflict",
		},
		{
			"approve a refund that is not there", paid, by(approve(4000)), order.ErrRefundNotFound,
			"approve refund R1 of order O1: refund not found",
		},
		{
			"cancel after the approval", approved, by(cancel(false)), order.ErrTransition,
			"cancel refund R1 of order O1: not allowed in state approved: " +
				"it has been approved in the meantime (possible now: cancel)",
		},
		{
			"resolve without evidence", approved, by(resolve(
				refund.ResolutionReturned, " ",
			)), order.ErrInvalid,
			"resolve refund R1 of order O1: evidence: is required",
		},
		{
			"resolve during a call", approved, func(e *env) error {
				var err error
				e.bank.NextRefund(refundtest.Fail(errLost).Before(func(context.Context) {
					err = by(resolve(refund.ResolutionReturned, "e"))(e)
				}))
				e.process(o1("R1"))
				return err
			}, order.ErrConflict,
			"resolve refund R1 of order O1: " +
				"the provider is being asked until 2026-01-02T03:05:05Z: conflict",
		},
		{
			"abandon a refund that is not there", paid, by(abandon), order.ErrRefundNotFound,
			"abandon refund R1 of order O1: refund not found",
		},
		{
			"abandon without an answer", failed, after(refundtest.Fail(errLost), abandon), errLost,
			"abandon refund R1 of order O1: the provider may still pay: connection reset",
		},
		{
			"abandon what is accepted", failed, after(
				refundtest.Answer(isAccepted), abandon,
			), refund.ErrUnsettled,
			"abandon refund R1 of order O1: it is accepted: the provider may still pay",
		},
		{
			"abandon on an answer about something else", failed,
			after(refundtest.Answer(refund.Result{
				Outcome: refund.OutcomeClosed, Amount: 1,
			}), abandon), refund.ErrMismatch,
			"abandon refund R1 of order O1: the provider may still pay: " +
				`answer does not match: amount is "1", want "4000"`,
		},
		{
			"abandon what was sent again in the meantime", failed,
			func(e *env) error {
				return after(refundtest.Answer(isNotFound).Before(func(context.Context) {
					_, err := retry.do(bg, e.svc)
					require.NoError(e.t, err)
					e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
					e.process(o1("R1"))
				}), abandon)(e)
			}, order.ErrConflict,
			"abandon refund R1 of order O1: it was sent again in the meantime: conflict",
		},
	}
}

func hookRefusals() []refusal {
	const requested, approved = order.StateRefundRequested, order.StateApproved
	return []refusal{
		{
			"a guard's veto", requested, with(func(_ *env, o *refund.Options) {
				o.Hooks[0].Guard = failHook(errLost)
			}, approve(4000)), order.ErrVetoed,
			"approve refund R1 of order O1: vetoed: connection reset",
		},
		{
			"a guard that panics", requested, with(func(_ *env, o *refund.Options) {
				o.Hooks[0].Guard = panicHook("boo")
			}, approve(4000)), refund.ErrHookPanic,
			"hook panicked: approve refund R1 of order O1: guard panicked: boo",
		},
		{
			"a hook that fails", requested, with(func(_ *env, o *refund.Options) {
				o.Hooks[0].InTx = failHook(errLost)
			}, approve(4000)), errLost,
			"approve refund R1 of order O1: in-transaction hook: connection reset",
		},
		{
			"a hook that panics", requested, with(func(_ *env, o *refund.Options) {
				o.Hooks[0].InTx = panicHook("boo")
			}, approve(4000)), refund.ErrHookPanic,
			"approve refund R1 of order O1: in-transaction hook: hook panicked: boo",
		},
		{
			"a scheduler that fails", requested,
			with(
				func(_ *env, o *refund.Options) { o.Scheduler = brokenScheduler{} }, approve(4000),
			),
			errLost,
			"approve refund R1 of order O1: schedule: connection reset",
		},
		{
			"a notification of another amount", approved, func(e *env) error {
				return e.svc.HandleNotification(bg, success("R1", 3999))
			}, refund.ErrMismatch,
			`notification for refund R1 of order O1: answer does not match: amount is "3999", want "4000"`,
		},
		{
			"a notification that cannot be confirmed", approved, func(e *env) error {
				e.bank.NextQuery(refundtest.Fail(errLost))
				return e.svc.HandleNotification(bg, success("R1", 4000))
			}, errLost, "notification for refund R1 of order O1: confirm: connection reset",
		},
	}
}

// wrongChoices are resolutions that do not exist, and events that have their own method.
func wrongChoices() (all []refusal) {
	for _, as := range []refund.Resolution{"", "succeeded", "accepted", "Paid"} {
		all = append(all, refusal{
			fmt.Sprintf("resolve as %q", as), order.StateApproved, by(resolve(as, "e")),
			order.ErrInvalid,
			"resolve refund R1 of order O1: resolution: must be paid or returned",
		})
	}
	for _, ev := range []order.Event{
		order.EventRequestRefund, order.EventApprove, order.EventReject, order.EventCancel,
		order.EventRetry, order.EventAbandon, order.EventSettle, order.EventFail, order.EventHold,
		order.EventAdopt,
	} {
		all = append(all, refusal{
			"fire " + string(ev), order.StateRefundRequested, func(e *env) error {
				p := refund.FireParams{Ref: o1("R1"), Event: ev, Actor: seller}
				_, err := e.svc.Fire(bg, p)
				return err
			}, order.ErrInvalid,
			fmt.Sprintf("fire %s on refund R1 of order O1: "+
				"event: is a core event: use the method of that name", ev),
		})
	}
	return all
}

// TestErrorsNameTheCommandAndTheReason: each refusal has one error value to test for and names the
// refund and the order. It leaves the order unchanged, except for the provider's words.
func TestErrorsNameTheCommandAndTheReason(t *testing.T) {
	all := slices.Concat(requestRefusals(), decisionRefusals(), hookRefusals(), wrongChoices())
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			e := newEnv(t)
			e.into(r.from)
			err := r.do(e)
			require.ErrorIs(t, err, r.is)
			require.EqualError(t, err, r.says)
		})
	}
}

func TestCancelAfterTheApprovalNamesTheWayOut(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateApproved)
	var refused *order.TransitionError
	require.ErrorAs(t, by(cancel(false))(e), &refused)
	require.Equal(t, &order.TransitionError{
		OrderID: "O1", RefundNo: "R1", Event: order.EventCancel, From: order.StateApproved,
		Available: e.machine.Available(e.order(), "R1"),
		Reason:    "it has been approved in the meantime",
	}, refused)
}

// TestLimitErrorsNameTheLimit: also when a refund is sent again after MaxAge.
func TestLimitErrorsNameTheLimit(t *testing.T) {
	e := newLimited(t, refund.Limits{MaxAge: 24 * time.Hour, MaxRefunds: 1})
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(e.approved("R1", 4000))
	second := refund.RequestParams{Ref: o1("R2"), Amount: 1, Actor: buyer}
	_, err := e.svc.Request(bg, second)
	require.EqualError(t, err,
		"request_refund refund R2 of order O1: max_refunds: the provider takes 1 refunds of one order")
	e.clock.Advance(24 * time.Hour)
	before := e.order()
	e.clock.Advance(time.Microsecond)
	_, err = retry.do(bg, e.svc)
	require.EqualError(t, err,
		"retry refund R1 of order O1: max_age: paid 2026-01-02T03:04:05Z, refundable for 24h0m0s")
	require.ErrorIs(t, err, refund.ErrLimit)
	var limit *refund.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "O1", limit.OrderID)
	require.Equal(t, "R1", limit.RefundNo)
	require.Equal(t, before, e.order())
	e.clock.Advance(-time.Microsecond)
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err, "on the last day")
}

func TestZeroLimitsAllowEverything(t *testing.T) {
	e := newLimited(t, refund.Limits{})
	first, second := e.approved("R1", 1000), e.approved("R2", 1000)
	e.process(first)
	e.process(second)
	require.Equal(t, []string{"refund R1", "refund R2"}, called(e.bank))
	e.clock.Advance(10 * 365 * 24 * time.Hour)
	e.approved("R3", 1000)
}

// TestMaxAgeNeedsPaidAt: an order without a day of payment has no age.
func TestMaxAgeNeedsPaidAt(t *testing.T) {
	e := newEnv(t)
	e.register()
	e.bank.SetLimits(refund.Limits{MaxAge: time.Hour})
	s := e.service(e.bank, refund.Options{Now: e.clock.Now})
	_, err := request(4000, "r").do(bg, s)
	require.NoError(t, err)
}

// TestMaxRefundsCountsRefundsAtTheProvider: rejected, cancelled and abandoned refunds do not count.
func TestMaxRefundsCountsRefundsAtTheProvider(t *testing.T) {
	ends := []order.State{order.StateRejected, order.StateCancelled, order.StateAbandoned}
	for _, state := range ends {
		e := newEnv(t)
		e.into(state)
		e.bank.SetLimits(refund.Limits{MaxRefunds: 1})
		s := e.service(e.bank, refund.Options{Now: e.clock.Now})
		p := refund.RequestParams{Ref: o1("R2"), Amount: 1, Actor: buyer}
		_, err := s.Request(bg, p)
		require.NoError(t, err, state)
	}
}
