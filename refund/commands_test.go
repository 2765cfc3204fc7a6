package refund_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// flakyStore fails every Update once fail has been called, before fn runs or (late) after it.
type flakyStore struct {
	refund.Store
	mu   sync.Mutex
	err  error
	late bool
}

func (f *flakyStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *flakyStore) Update(ctx context.Context, id string, fn func(context.Context, *order.Order) error) error {
	f.mu.Lock()
	err, late := f.err, f.late
	f.mu.Unlock()
	if err != nil && !late {
		return err
	}
	return f.Store.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		if e := fn(ctx, o); e != nil {
			return e
		}
		return err
	})
}

// call is a command on refund R1 of order O1.
type call struct {
	name string
	do   func(ctx context.Context, s *refund.Service) (order.Refund, error)
}

func request(amount int64, reason string) call {
	return call{"request", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: amount, Reason: reason, Actor: buyer})
	}}
}

func approve(amount int64) call {
	return call{"approve", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Approve(ctx, refund.ApproveParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: amount, Actor: seller})
	}}
}

func reject(note string) call {
	return call{"reject", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Reject(ctx, refund.RejectParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Actor: seller, Note: note})
	}}
}

func cancel(approved bool) call {
	return call{"cancel", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Cancel(ctx, refund.CancelParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Actor: buyer, EvenIfApproved: approved})
	}}
}

var (
	retry = call{"retry", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Retry(ctx, refund.RetryParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Actor: seller})
	}}
	abandon = call{"abandon", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Abandon(ctx, refund.AbandonParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Actor: seller})
	}}
)

func resolve(as refund.Resolution, evidence string) call {
	return call{"resolve " + string(as), func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Resolve(ctx, refund.ResolveParams{Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Resolution: as, Evidence: evidence, Actor: seller})
	}}
}

// into brings R1 of 4000 to a state.
func (e *env) into(s order.State) {
	e.t.Helper()
	must := func(c call) {
		_, err := c.do(bg, e.svc)
		require.NoError(e.t, err)
	}
	if s == order.StatePaid {
		e.register()
		return
	}
	ref := refund.Ref{OrderID: "O1", RefundNo: "R1"}
	switch s {
	case order.StateRefundRequested, order.StateRejected, order.StateCancelled:
		e.register()
		must(request(4000, "r"))
	default:
		e.approved("R1", 4000)
	}
	switch s {
	case order.StateRejected:
		must(reject("no"))
	case order.StateCancelled:
		must(cancel(false))
	case order.StateRefunded:
		e.run()
	case order.StateAbnormal:
		e.bank.next(fault{op: "refund", pay: true, res: refund.Result{Outcome: refund.OutcomeAbnormal}})
		e.process(ref)
	case order.StateFailed, order.StateAbandoned:
		e.bank.next(fault{op: "refund", res: declined("NOTENOUGH")})
		e.process(ref)
		if s == order.StateAbandoned {
			must(abandon)
		}
	}
	if s != order.StatePaid {
		require.Equal(e.t, s, e.refund("R1").State)
	}
}

var allStates = []order.State{
	order.StatePaid, order.StateRefundRequested, order.StateApproved, order.StateAbnormal, order.StateFailed,
	order.StateRefunded, order.StateRejected, order.StateCancelled, order.StateAbandoned,
}

// TestCommands: every command in every state either moves the refund, repeats its answer, or errs and
// changes nothing.
func TestCommands(t *testing.T) {
	const same = "same" // the answer is given again, without a transition
	type want map[order.State]any
	req, app, rej, can, fai, abn, rfd, aba := order.StateRefundRequested, order.StateApproved, order.StateRejected,
		order.StateCancelled, order.StateFailed, order.StateAbnormal, order.StateRefunded, order.StateAbandoned
	missing, number := refund.ErrRefundNotFound, refund.ErrTransition
	for _, tc := range []struct {
		call
		want want // a state, same, or an error; what is not named is ErrTransition
	}{
		{request(4000, "r"), want{order.StatePaid: req, req: same, app: same, rej: same, can: same, fai: same, abn: same, rfd: same, aba: same}},
		{request(4001, "r"), want{order.StatePaid: req, req: refund.ErrConflict, app: refund.ErrConflict, rej: refund.ErrConflict, can: refund.ErrConflict, fai: refund.ErrConflict, abn: refund.ErrConflict, rfd: refund.ErrConflict, aba: refund.ErrConflict}},
		{approve(4000), want{order.StatePaid: missing, req: app, app: same, fai: same, abn: same, rfd: same, aba: same}},
		{approve(3999), want{order.StatePaid: missing, req: refund.ErrConflict, app: refund.ErrConflict, rej: refund.ErrConflict, can: refund.ErrConflict, fai: refund.ErrConflict, abn: refund.ErrConflict, rfd: refund.ErrConflict, aba: refund.ErrConflict}},
		{reject("no"), want{order.StatePaid: missing, req: rej, rej: same}},
		{reject(""), want{order.StatePaid: missing, req: refund.ErrInvalid, rej: same}},
		{cancel(false), want{order.StatePaid: missing, req: can, can: same}},
		{cancel(true), want{order.StatePaid: missing, req: can, app: can, can: same}},
		{retry, want{order.StatePaid: missing, fai: app}},
		{abandon, want{order.StatePaid: missing, fai: aba, aba: same}},
		{resolve(refund.ResolutionPaid, "e"), want{order.StatePaid: missing, app: rfd, abn: rfd, fai: rfd, rfd: same}},
		{resolve(refund.ResolutionReturned, "e"), want{order.StatePaid: missing, app: fai, abn: fai, fai: same}},
	} {
		for _, from := range allStates {
			t.Run(tc.name+" in "+string(from), func(t *testing.T) {
				e := newEnv(t)
				e.into(from)
				before := e.order()
				r, err := tc.do(bg, e.svc)
				switch w := tc.want[from].(type) {
				case order.State:
					require.NoError(t, err)
					require.Equal(t, w, r.State)
					require.Equal(t, r, e.refund("R1"), "what is returned is what is stored")
					require.Equal(t, before.Seq+1, e.order().Seq)
				case string:
					require.NoError(t, err)
					require.Equal(t, *before.Refund("R1"), r)
					require.Equal(t, before, e.order())
				case error:
					require.ErrorIs(t, err, w)
					require.Equal(t, before, e.order())
				default:
					require.ErrorIs(t, err, number)
					require.Equal(t, before, e.order())
				}
			})
		}
	}
}

func TestRetryTwiceIsOneTransition(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateFailed)
	for range 2 {
		r, err := retry.do(bg, e.svc)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, r.State)
		require.Equal(t, 1, r.Retries)
	}
	_, err := cancel(true).do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrTransition, "it was submitted before it failed")
}

// TestFailedCommandChangesNothing: a veto, a hook error or panic, and a store error leave the order as it was.
func TestFailedCommandChangesNothing(t *testing.T) {
	errHook := errors.New("no")
	commands := map[order.State]call{
		order.StatePaid: request(4000, "r"), order.StateRefundRequested: approve(4000), order.StateFailed: retry,
	}
	for from, c := range commands {
		for _, tc := range []struct {
			name   string
			change func(*refund.Options, *flakyStore)
			want   error
		}{
			{"veto", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].Guard = func(context.Context, *order.Order, order.Transition) error { return errHook }
			}, refund.ErrVetoed},
			{"guard panics", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].Guard = func(context.Context, *order.Order, order.Transition) error { panic("guard") }
			}, refund.ErrHookPanic},
			{"InTx errs", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].InTx = func(context.Context, *order.Order, order.Transition) error { return errHook }
			}, errHook},
			{"InTx panics", func(o *refund.Options, _ *flakyStore) {
				o.Hooks[0].InTx = func(context.Context, *order.Order, order.Transition) error { panic("hook") }
			}, refund.ErrHookPanic},
			{"store errs before", func(_ *refund.Options, s *flakyStore) { s.err = errLost }, errLost},
			{"store errs at commit", func(_ *refund.Options, s *flakyStore) { s.err, s.late = errLost, true }, errLost},
			{"scheduler errs", func(o *refund.Options, _ *flakyStore) { o.Scheduler = brokenScheduler{} }, errLost},
		} {
			if tc.name == "scheduler errs" && from == order.StatePaid {
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
		{"zero", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 0, Actor: buyer}, refund.ErrAmount, ""},
		{"negative", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: -1, Actor: buyer}, refund.ErrAmount, ""},
		{"least", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: math.MinInt64, Actor: buyer}, refund.ErrAmount, ""},
		{"overflow", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: math.MaxInt64, Actor: buyer}, refund.ErrAmount, ""},
		{"more than paid", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 10001, Actor: buyer}, refund.ErrAmount, ""},
		{"number with a space", refund.RequestParams{Ref: refund.Ref{RefundNo: "R 1"}, Amount: 1, Actor: buyer}, refund.ErrInvalid, "refund_no"},
		{"number too long", refund.RequestParams{Ref: refund.Ref{RefundNo: long[:65]}, Amount: 1, Actor: buyer}, refund.ErrInvalid, "refund_no"},
		{"number in Chinese", refund.RequestParams{Ref: refund.Ref{RefundNo: "退款"}, Amount: 1, Actor: buyer}, refund.ErrInvalid, "refund_no"},
		{"no actor", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 1}, refund.ErrInvalid, "actor"},
		{"reason too long", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: long}, refund.ErrInvalid, "reason"},
		{"reason not UTF-8", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: "\xff"}, refund.ErrInvalid, "reason"},
		{"reason with NUL", refund.RequestParams{Ref: refund.Ref{RefundNo: "R"}, Amount: 1, Actor: buyer, Reason: "\x00"}, refund.ErrInvalid, "reason"},
		{"no order", refund.RequestParams{Ref: refund.Ref{OrderID: "nope", RefundNo: "R"}, Amount: 1, Actor: buyer}, refund.ErrOrderNotFound, ""},
		{"refused by the gateway", refund.RequestParams{Ref: refund.Ref{RefundNo: "unlucky"}, Amount: 1, Actor: buyer}, refund.ErrInvalid, "refund_no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			e.register()
			before := e.order()
			if tc.p.OrderID == "" {
				tc.p.OrderID = "O1"
			}
			_, err := e.service(checker{e.bank}, refund.Options{}).Request(bg, tc.p)
			require.ErrorIs(t, err, tc.want)
			var invalid *order.InvalidError
			if errors.As(err, &invalid) {
				require.Equal(t, tc.field, invalid.Field)
			}
			require.Equal(t, before, e.order())
		})
	}
}

// checker is a gateway that could never take the number "unlucky".
type checker struct{ *bank }

func (checker) Check(req refund.Request) error {
	if req.RefundNo == "unlucky" {
		return &order.InvalidError{Field: "refund_no", Problem: "is unlucky"}
	}
	return nil
}

func TestRefundNoOfAnotherOrder(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRefundRequested)
	_, err := e.svc.Register(bg, refund.RegisterParams{OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 10000})
	require.NoError(t, err)
	_, err = e.svc.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O2", RefundNo: "R1"}, Amount: 4000, Reason: "r", Actor: buyer})
	require.ErrorIs(t, err, refund.ErrConflict)
}

func TestRequestMakesNumbers(t *testing.T) {
	e := newEnv(t)
	e.register()
	seen := map[string]bool{}
	for range 50 {
		r, err := e.svc.Request(bg, refund.RequestParams{Ref: refund.Ref{OrderID: "O1"}, Amount: 1, Actor: buyer})
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
	e.bank.next(fault{op: "refund", pay: true, res: refund.Result{Outcome: refund.OutcomeAccepted}, block: func(context.Context) {
		_, err = resolve(refund.ResolutionReturned, "e").do(bg, e.svc)
	}})
	e.process(ref)
	require.ErrorIs(t, err, refund.ErrConflict)
	_, err = resolve(refund.ResolutionReturned, " ").do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrInvalid, "evidence is required")
	_, err = resolve(refund.Resolution("accepted"), "e").do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrInvalid, "only an end can be recorded")
}

func TestAbandonAsksFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		answer fault
		state  order.State
		err    error
	}{
		"never seen":       {fault{op: "query", res: refund.Result{Outcome: refund.OutcomeNotFound}}, order.StateAbandoned, nil},
		"closed":           {fault{op: "query", res: refund.Result{Outcome: refund.OutcomeClosed}}, order.StateAbandoned, nil},
		"no answer":        {fault{op: "query", err: errLost}, order.StateFailed, refund.ErrUnsettled},
		"on its way":       {fault{op: "query", res: refund.Result{Outcome: refund.OutcomeAccepted}}, order.StateApproved, refund.ErrUnsettled},
		"paid after all":   {fault{op: "query", res: refund.Result{Outcome: refund.OutcomeSucceeded}}, order.StateRefunded, refund.ErrUnsettled},
		"neither here nor": {fault{op: "query", res: refund.Result{Outcome: refund.OutcomeAbnormal}}, order.StateAbnormal, refund.ErrUnsettled},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.into(order.StateFailed)
			e.bank.next(tc.answer)
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
		e.bank.next(fault{op: "query", res: refund.Result{Outcome: refund.OutcomeNotFound}, block: func(context.Context) {
			_, err := retry.do(bg, e.svc)
			require.NoError(t, err)
			e.bank.next(fault{op: "refund", res: declined("NOTENOUGH")})
			e.process(refund.Ref{OrderID: "O1", RefundNo: "R1"})
		}})
		_, err := abandon.do(bg, e.svc)
		require.ErrorIs(t, err, refund.ErrConflict)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	})
}
