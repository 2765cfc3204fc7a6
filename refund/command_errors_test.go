package refund_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestFailedCommandChangesNothing: a veto, a hook's error or panic, and a store error leave the
// order unchanged.
func TestFailedCommandChangesNothing(t *testing.T) {
	errHook := errors.New("no")
	commands := map[order.State]call{
		order.StatePaid: request(4000, "r"), order.StateRefundRequested: approve(4000),
		order.StateFailed: retry,
	}
	for from, c := range commands {
		for _, tc := range []struct {
			name   string
			change func(*refund.Options, *flakyStore)
			want   error
		}{
			{"veto", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].Guard = failHook(errHook)
			}, order.ErrVetoed},
			{"guard panics", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].Guard = panicHook("guard")
			}, refund.ErrHookPanic},
			{"InTx fails", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].InTx = failHook(errHook)
			}, errHook},
			{"InTx panics", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].InTx = panicHook("hook")
			}, refund.ErrHookPanic},
			{
				"store fails before", func(_ *refund.Options, s *flakyStore) { s.err = errLost },
				errLost,
			},
			{
				"store fails at commit",
				func(_ *refund.Options, s *flakyStore) { s.err, s.late = errLost, true }, errLost,
			},
			{
				"scheduler fails",
				func(o *refund.Options, _ *flakyStore) { o.Scheduler = brokenScheduler{} }, errLost,
			},
		} {
			if tc.name == "scheduler fails" && from == order.StatePaid {
				continue // nothing is scheduled yet
			}
			t.Run(c.name+"/"+tc.name, func(t *testing.T) {
				e := newEnv(t)
				e.into(from)
				before := e.order()
				calls := len(e.after)
				opt := refund.Options{Now: e.clock.Now, Hooks: []refund.Hooks{e.hooks()}}
				store := &flakyStore{Store: e.store}
				tc.change(&opt, store)
				s, err := refund.NewService(e.machine, store, e.bank, opt)
				require.NoError(t, err)
				_, err = c.do(bg, s)
				require.ErrorIs(t, err, tc.want)
				require.ErrorContains(t, err, "order O1")
				require.Equal(t, before, e.order())
				require.Len(t, e.after, calls, "no After hook for what did not happen")
				_, err = c.do(bg, e.svc)
				require.NoError(t, err, "the same command works afterwards")
			})
		}
	}
}

type brokenScheduler struct{}

func (brokenScheduler) Schedule(context.Context, refund.Ref, time.Time) error { return errLost }

func TestBadInput(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		name  string
		p     refund.RequestParams
		want  error
		field string
	}{
		{
			"zero",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 0, Actor: buyer},
			order.ErrAmount, "",
		},
		{
			"negative",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: -1, Actor: buyer},
			order.ErrAmount, "",
		},
		{
			"least",
			refund.RequestParams{
				Ref: refund.Ref{RefundNo: "R"}, Amount: math.MinInt64, Actor: buyer,
			},
			order.ErrAmount, "",
		},
		{
			"overflow",
			refund.RequestParams{
				Ref: refund.Ref{RefundNo: "R"}, Amount: math.MaxInt64, Actor: buyer,
			},
			order.ErrAmount, "",
		},
		{
			"more than paid",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 10001, Actor: buyer},
			order.ErrAmount, "",
		},
		{
			"number with a space",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "R 1"}, Amount: 1, Actor: buyer},
			order.ErrInvalid, "refund_no",
		},
		{
			"number too long",
			refund.RequestParams{Ref: refund.Ref{RefundNo: long[:65]}, Amount: 1, Actor: buyer},
			order.ErrInvalid, "refund_no",
		},
		{
			"number in Chinese",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "退款"}, Amount: 1, Actor: buyer},
			order.ErrInvalid, "refund_no",
		},
		{
			"no actor",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 1},
			order.ErrInvalid, "actor",
		},
		{
			"reason too long",
			refund.RequestParams{
				Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: long,
			},
			order.ErrInvalid, "reason",
		},
		{
			"reason not UTF-8",
			refund.RequestParams{
				Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: "\xff",
			},
			order.ErrInvalid, "reason",
		},
		{
			"reason with NUL",
			refund.RequestParams{
				Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: "\x00",
			},
			order.ErrInvalid, "reason",
		},
		{
			"no order",
			refund.RequestParams{
				Ref: refund.Ref{OrderID: "nope", RefundNo: "R"}, Amount: 1, Actor: buyer,
			},
			refund.ErrOrderNotFound, "",
		},
		{
			"refused by the gateway",
			refund.RequestParams{Ref: refund.Ref{RefundNo: "unlucky"}, Amount: 1, Actor: buyer},
			order.ErrInvalid, "refund_no",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			e.register()
			before := e.order()
			if tc.p.OrderID == "" {
				tc.p.OrderID = "O1"
			}
			e.bank.SetCheck(checkLuck)
			_, err := e.service(e.bank, refund.Options{}).Request(bg, tc.p)
			require.ErrorIs(t, err, tc.want)
			var invalid *order.InvalidError
			if errors.As(err, &invalid) {
				require.Equal(t, tc.field, invalid.Field)
			}
			require.Equal(t, before, e.order())
		})
	}
}

// checkLuck is the Check of a gateway that could never take the number "unlucky".
func checkLuck(req refund.Request) error {
	if req.RefundNo == "unlucky" {
		return &order.InvalidError{Field: "refund_no", Problem: "is unlucky"}
	}
	return nil
}

func TestRefundNoOfAnotherOrder(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRefundRequested)
	_, err := e.svc.Register(
		bg, refund.RegisterParams{OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 10000},
	)
	require.NoError(t, err)
	_, err = e.svc.Request(
		bg,
		refund.RequestParams{
			Ref: refund.Ref{OrderID: "O2", RefundNo: "R1"}, Amount: 4000, Reason: "r", Actor: buyer,
		},
	)
	require.ErrorIs(t, err, order.ErrConflict)
}

func TestRequestMakesNumbers(t *testing.T) {
	e := newEnv(t)
	e.register()
	seen := map[string]bool{}
	for range 50 {
		r, err := e.svc.Request(
			bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1"}, Amount: 1, Actor: buyer},
		)
		require.NoError(t, err)
		require.Regexp(t, `^rf[a-z2-7]{26}$`, r.No)
		require.False(t, seen[r.No])
		seen[r.No] = true
	}
}

func TestResolveIsRefusedDuringACall(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	var err error
	e.bank.NextRefund(refundtest.PayWhenAsked().Before(func(context.Context) {
		_, err = resolve(refund.ResolutionReturned, "e").do(bg, e.svc)
	}))
	e.process(ref)
	require.ErrorIs(t, err, order.ErrConflict)
	_, err = resolve(refund.ResolutionReturned, " ").do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrInvalid, "evidence is required")
	_, err = resolve(refund.Resolution("accepted"), "e").do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrInvalid, "only an end can be recorded")
}

func TestAbandonAsksFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		answer refundtest.Step
		state  order.State
		err    error
	}{
		"never seen": {
			refundtest.Answer(isNotFound), order.StateAbandoned, nil,
		},
		"closed": {
			refundtest.Answer(isClosed), order.StateAbandoned, nil,
		},
		"no answer": {
			refundtest.Fail(errLost), order.StateFailed, refund.ErrUnsettled,
		},
		"on its way": {
			refundtest.Answer(isAccepted), order.StateApproved, refund.ErrUnsettled,
		},
		"paid after all": {
			refundtest.Answer(isPaid), order.StateRefunded, refund.ErrUnsettled,
		},
		"neither here nor": {
			refundtest.Answer(isAbnormal), order.StateAbnormal, refund.ErrUnsettled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.into(order.StateFailed)
			e.bank.NextQuery(tc.answer)
			_, err := abandon.do(bg, e.svc)
			if tc.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tc.err)
			}
			require.Equal(t, tc.state, e.refund("R1").State)
		})
	}
	t.Run("retried in the meantime", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateFailed)
		e.bank.NextQuery(refundtest.Answer(isNotFound).Before(func(context.Context) {
			_, err := retry.do(bg, e.svc)
			require.NoError(t, err)
			e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
			e.process(o1("R1"))
		}))
		_, err := abandon.do(bg, e.svc)
		require.ErrorIs(t, err, order.ErrConflict)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	})
}
