package refund_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// flakyStore fails every Update after a call of fail: before fn runs or, if late, after it.
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

// down is fail for a step of the bank.
func (f *flakyStore) down(context.Context) { f.fail(errLost) }

func (f *flakyStore) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
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
		return s.Request(
			ctx, refund.RequestParams{Ref: o1("R1"), Amount: amount, Reason: reason, Actor: buyer},
		)
	}}
}

func approve(amount int64) call {
	return call{"approve", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Approve(ctx, refund.ApproveParams{Ref: o1("R1"), Amount: amount, Actor: seller})
	}}
}

func reject(note string) call {
	return call{"reject", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Reject(ctx, refund.RejectParams{Ref: o1("R1"), Actor: seller, Note: note})
	}}
}

func cancel(approved bool) call {
	return call{"cancel", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Cancel(
			ctx, refund.CancelParams{Ref: o1("R1"), Actor: buyer, EvenIfApproved: approved},
		)
	}}
}

var (
	retry = call{"retry", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Retry(ctx, refund.RetryParams{Ref: o1("R1"), Actor: seller})
	}}
	abandon = call{"abandon", func(ctx context.Context, s *refund.Service) (order.Refund, error) {
		return s.Abandon(ctx, refund.AbandonParams{Ref: o1("R1"), Actor: seller})
	}}
)

func resolve(as refund.Resolution, evidence string) call {
	return call{"resolve " + string(as), func(
		ctx context.Context, s *refund.Service,
	) (order.Refund, error) {
		return s.Resolve(
			ctx,
			refund.ResolveParams{Ref: o1("R1"), Resolution: as, Evidence: evidence, Actor: seller},
		)
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
	ref := o1("R1")
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
		e.bank.NextRefund(refundtest.Abnormal())
		e.process(ref)
	case order.StateFailed, order.StateAbandoned:
		e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
		e.process(ref)
		e.clock.Advance(2 * time.Minute) // the quiet period, before it can be abandoned
		if s == order.StateAbandoned {
			must(abandon)
		}
	}
	if s != order.StatePaid {
		require.Equal(e.t, s, e.refund("R1").State)
	}
}

var allStates = []order.State{
	order.StatePaid, order.StateRefundRequested, order.StateApproved, order.StateAbnormal,
	order.StateFailed,
	order.StateRefunded, order.StateRejected, order.StateCancelled, order.StateAbandoned,
}

// TestCommands: every command in every state moves the refund, or returns it as it is, or returns
// an error and changes nothing.
func TestCommands(t *testing.T) {
	const same = "same" // the refund is returned again, without a transition
	type want map[order.State]any
	req, app, rej, can := order.StateRefundRequested, order.StateApproved, order.StateRejected,
		order.StateCancelled
	fai, abn, rfd, aba := order.StateFailed, order.StateAbnormal, order.StateRefunded,
		order.StateAbandoned
	missing, refused := order.ErrRefundNotFound, order.ErrTransition
	for _, tc := range []struct {
		call
		want want // a state, same, or an error; ErrTransition if a state is missing
	}{
		{
			request(4000, "r"),
			want{
				order.StatePaid: req, req: same, app: same, rej: same, can: same, fai: same,
				abn: same, rfd: same, aba: same,
			},
		},
		{
			request(4001, "r"),
			want{
				order.StatePaid: req, req: order.ErrConflict, app: order.ErrConflict,
				rej: order.ErrConflict, can: order.ErrConflict, fai: order.ErrConflict,
				abn: order.ErrConflict, rfd: order.ErrConflict, aba: order.ErrConflict,
			},
		},
		{
			approve(4000),
			want{
				order.StatePaid: missing, req: app, app: same, fai: same, abn: same, rfd: same,
				aba: same,
			},
		},
		{
			approve(3999),
			want{
				order.StatePaid: missing, req: order.ErrConflict, app: order.ErrConflict,
				rej: order.ErrConflict, can: order.ErrConflict, fai: order.ErrConflict,
				abn: order.ErrConflict, rfd: order.ErrConflict, aba: order.ErrConflict,
			},
		},
		{reject("no"), want{order.StatePaid: missing, req: rej, rej: same}},
		{reject(""), want{order.StatePaid: missing, req: order.ErrInvalid, rej: same}},
		{cancel(false), want{order.StatePaid: missing, req: can, can: same}},
		{cancel(true), want{order.StatePaid: missing, req: can, app: can, can: same}},
		{retry, want{order.StatePaid: missing, fai: app}},
		{abandon, want{order.StatePaid: missing, fai: aba, aba: same}},
		{
			resolve(refund.ResolutionPaid, "e"),
			want{order.StatePaid: missing, app: rfd, abn: rfd, fai: rfd, rfd: same},
		},
		{
			resolve(refund.ResolutionReturned, "e"),
			want{order.StatePaid: missing, app: fai, abn: fai, fai: same},
		},
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
					require.ErrorIs(t, err, refused)
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
	require.ErrorIs(t, err, order.ErrTransition, "it was submitted before it failed")
}
