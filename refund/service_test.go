package refund_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestQueues(t *testing.T) {
	e := newEnv(t)
	first := e.approved("R1", 1000)
	e.clock.Advance(time.Second)
	second := e.approved("R2", 2000)
	e.clock.Advance(time.Second)
	_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1("R3"), Amount: 3000, Actor: buyer})
	require.NoError(t, err)

	due, err := e.svc.Due(bg, 10, nil)
	require.NoError(t, err)
	require.Equal(
		t, []refund.Ref{first, second}, refs(due), "longest due first, only approved ones",
	)
	due, err = e.svc.Due(bg, 1, nil)
	require.NoError(t, err)
	require.Equal(t, []refund.Ref{first}, refs(due))

	page, err := e.svc.ListRefunds(
		bg, refund.Filter{States: []order.State{order.StateRefundRequested}},
	)
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	require.Equal(t, e.refund("R3"), page.Entries[0].Refund)
	require.Nil(t, page.Next)

	o, err := e.svc.Order(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, e.order(), o)
	_, err = e.svc.Order(bg, "O2")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	require.ErrorContains(t, err, "O2")

	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = e.svc.Due(ctx, 10, nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.svc.ListRefunds(ctx, refund.Filter{})
	require.ErrorIs(t, err, context.Canceled)
}

// TestEndedContext: no command changes anything once its ctx has ended.
func TestEndedContext(t *testing.T) {
	ctx, cancelCtx := context.WithCancel(bg)
	cancelCtx()
	for from, calls := range map[order.State][]call{
		order.StatePaid:            {request(4000, "r")},
		order.StateRefundRequested: {approve(4000), reject("no"), cancel(false)},
		order.StateFailed:          {retry, abandon, resolve(refund.ResolutionPaid, "e")},
	} {
		for _, c := range calls {
			t.Run(c.name, func(t *testing.T) {
				e := newEnv(t)
				e.into(from)
				before, asked := e.order(), called(e.bank)
				_, err := c.do(ctx, e.svc)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, before, e.order())
				require.Equal(t, asked, called(e.bank))
			})
		}
	}
}

// ledger is a Scheduler that records its calls, and whether they were inside the Update.
type ledger struct {
	store  *memstore.Store
	jobs   []refund.Ref
	at     []time.Time
	inside []bool
}

func (l *ledger) Schedule(ctx context.Context, ref refund.Ref, at time.Time) error {
	l.jobs, l.at, l.inside = append(l.jobs, ref), append(l.at, at), append(
		l.inside, l.store.Joined(ctx),
	)
	return nil
}

func TestSchedulerIsCalledInsideTheUpdate(t *testing.T) {
	var jobs ledger
	e := newEnv(t, func(e *env, o *refund.Options) {
		jobs.store = e.store
		o.Scheduler = &jobs
	})
	e.into(order.StateRefundRequested)
	require.Empty(t, jobs.jobs)
	ref, start := o1("R1"), e.clock.Now()
	_, err := approve(4000).do(bg, e.svc)
	require.NoError(t, err)
	_, err = approve(4000).do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, []refund.Ref{ref}, jobs.jobs, "once for one approval")

	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(ref)
	e.clock.Advance(time.Hour)
	_, err = retry.do(bg, e.svc)
	require.NoError(t, err)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(ref)
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	e.hint()
	require.Equal(t, []refund.Ref{ref, ref, ref}, jobs.jobs, "approved, retried, adopted")
	require.Equal(t, []time.Time{start, start.Add(time.Hour), start.Add(time.Hour)}, jobs.at)
	require.Equal(t, []bool{true, true, true}, jobs.inside)
}

// TestHooksGetCopies: a hook's changes of its order have no effect.
func TestHooksGetCopies(t *testing.T) {
	spoil := func(o *order.Order) {
		o.Total, o.State, o.Gateway = 1, "spoilt", "spoilt"
		for i := range o.Refunds {
			o.Refunds[i].Amount, o.Refunds[i].State = 1, "spoilt"
		}
		for i := range o.History {
			o.History[i].Event = "spoilt"
		}
	}
	called := map[string]int{}
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].Guard = func(_ context.Context, o *order.Order, _ order.Transition) error {
			called["guard"]++
			spoil(o)
			return nil
		}
		o.Hooks[0].InTx = func(_ context.Context, o *order.Order, t order.Transition) error {
			called["in_tx"]++
			if t.To != o.Refund(t.RefundNo).State {
				return errors.New("not the order as it will be")
			}
			spoil(o)
			return nil
		}
		o.Hooks[0].After = func(_ context.Context, o *order.Order, _ order.Transition) {
			called["after"]++
			spoil(o)
		}
	})
	e.into(order.StateRefunded)
	require.Equal(
		t, map[string]int{"guard": 2, "in_tx": 3, "after": 3}, called,
		"the provider's word is no decision to veto",
	)
	o := e.order()
	require.EqualValues(t, 4000, o.Refunded)
	require.EqualValues(t, 4000, e.bank.PaidTotal("O1"))
}

func TestHooksAreOptional(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Hooks = nil })
	e.into(order.StateRefunded)
	e.bank.NextQuery(refundtest.Answer(isClosed))
	n := success("R1", 4000)
	n.Result.Outcome = refund.OutcomeClosed
	require.NoError(t, e.svc.HandleNotification(bg, n), "a conflict")
	require.NoError(t, e.svc.HandleNotification(bg, success("R9", 1)), "an unknown refund")
	ref := e.approved("R2", 1000)
	e.bank.NextRefund(refundtest.Fail(&refund.SetupError{Err: errLost}))
	e.clock.Advance(48 * time.Hour)
	require.ErrorIs(t, e.process(ref).Err, refund.ErrSetup, "a set-up fault, and stuck")
}

// TestAfterWaitsForTheOuterCommit: a command joins a transaction. The After hooks run when that
// commits, and not at all after a rollback.
func TestAfterWaitsForTheOuterCommit(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails %v", fails), func(t *testing.T) {
			var calls []string
			e := newEnv(t, func(e *env, o *refund.Options) {
				o.Hooks[0].After = func(_ context.Context, o *order.Order, _ order.Transition) {
					calls = append(calls, o.ID)
				}
				o.Hooks[0].InTx = func(
					ctx context.Context, o *order.Order, _ order.Transition,
				) error {
					if o.ID != "O1" {
						return nil
					}
					// The host's rule: a refund of O1 asks for one of O2, in the same transaction.
					_, err := e.svc.Request(
						ctx,
						refund.RequestParams{
							Ref: refund.Ref{OrderID: "O2", RefundNo: "R2"}, Amount: 1, Actor: buyer,
						},
					)
					require.NoError(e.t, err)
					require.Empty(e.t, calls, "nothing is committed yet")
					if fails {
						return errLost
					}
					return nil
				}
			})
			e.register()
			_, err := e.svc.Register(
				bg,
				refund.RegisterParams{OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 10},
			)
			require.NoError(t, err)
			_, err = request(4000, "r").do(bg, e.svc)
			o2, getErr := e.svc.Order(bg, "O2")
			require.NoError(t, getErr)
			if fails {
				require.ErrorIs(t, err, errLost)
				require.Empty(t, calls)
				require.Empty(t, o2.Refunds)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{"O2", "O1"}, calls)
			require.Len(t, o2.Refunds, 1)
		})
	}
}

// TestMachineNotMade: a machine that is not from NewMachine has no table, and NewService returns an
// error.
func TestMachineNotMade(t *testing.T) {
	e := newEnv(t)
	_, err := refund.NewService(&order.Machine{}, e.store, e.bank, refund.Options{})
	var invalid *order.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "machine", invalid.Field)
}

// TestDefaults: the wall clock, truncated as every store keeps it, and slog.Default.
func TestDefaults(t *testing.T) {
	e := newEnv(t)
	e.svc = e.service(e.bank, refund.Options{})
	e.register()
	r, err := request(4000, "r").do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, time.UTC, r.RequestedAt.Location())
	require.Zero(t, r.RequestedAt.Nanosecond()%1000)
	//nolint:forbidigo // it is the default
	require.WithinDuration(t, time.Now(), r.RequestedAt, time.Hour)

	local := e.clock.Now().In(time.FixedZone("UTC+8", 8*3600)).Add(999)
	e.svc = e.service(e.bank, refund.Options{Now: refundtest.NewClock(local).Now})
	r, err = approve(4000).do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, e.clock.Now(), r.ApprovedAt)
}

// TestTypedErrors: errors.As finds each through two wraps, with its fields.
func TestTypedErrors(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("b: %w", fmt.Errorf("a: %w", err)) }
	var setup *refund.SetupError
	require.ErrorAs(t, wrap(&refund.SetupError{Gateway: "g", Err: errLost}), &setup)
	require.Equal(t, "g", setup.Gateway)
	require.EqualError(t, setup, `set-up of gateway "g": connection reset`)
	var later *refund.BusyError
	require.ErrorAs(t, wrap(&refund.BusyError{After: time.Minute, Err: errLost}), &later)
	require.Equal(t, time.Minute, later.After)
	require.EqualError(t, later, "retry in 1m0s: connection reset")
	var mismatch *refund.MismatchError
	require.ErrorAs(t, wrap(&refund.MismatchError{Field: "amount", Want: "1", Got: "2"}), &mismatch)
	require.EqualError(t, mismatch, `answer does not match: amount is "2", want "1"`)
	require.NotErrorIs(t, wrap(setup), refund.ErrBusy)
	require.NotErrorIs(t, wrap(later), refund.ErrSetup)
	require.NotErrorIs(t, wrap(mismatch), refund.ErrSetup)
}

// TestRefundedAtIsTruncated: the provider's date is kept to the microsecond. The payment is booked
// also if no store could keep its date.
func TestRefundedAtIsTruncated(t *testing.T) {
	good := time.Date(2026, 1, 3, 8, 0, 0, 123456789, time.FixedZone("UTC+8", 8*3600))
	for _, tc := range []struct{ said, want time.Time }{
		{good, time.Date(2026, 1, 3, 0, 0, 0, 123456000, time.UTC)},
		{time.Time{}, time.Time{}},
		// milliseconds taken for seconds: the year 57976
		{time.Unix(1767398400000, 0), time.Time{}},
	} {
		e := newEnv(t)
		e.bank.NextRefund(refundtest.Pay().Rewrite(func(r *refund.Result) {
			r.RefundedAt = tc.said
		}))
		require.Equal(t, order.StateRefunded, e.process(e.approved("R1", 4000)).State)
		require.Equal(t, tc.want, e.refund("R1").RefundedAt)
	}
}

func TestApproveAndSend(t *testing.T) {
	p := refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller}
	e := newEnv(t)
	e.into(order.StateRefundRequested)
	wrong := p
	wrong.Amount = 3999
	r, err := e.svc.ApproveAndSend(bg, wrong)
	require.ErrorIs(t, err, order.ErrConflict)
	require.Zero(t, r)
	require.Empty(t, called(e.bank), "nothing is sent that is not approved")

	r, err = e.svc.ApproveAndSend(bg, p)
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, r.State)
	e.clock.Advance(time.Minute)
	r, err = e.svc.ApproveAndSend(bg, p)
	require.NoError(t, err)
	require.Equal(t, order.StateRefunded, r.State)
	again, err := e.svc.ApproveAndSend(bg, p)
	require.NoError(t, err)
	require.Equal(t, r, again)
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank))

	e.approved("R2", 1000)
	failing := &flakyStore{Store: e.store}
	s, err := refund.NewService(e.machine, failing, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.bank.NextRefund(refundtest.AsUsual().After(failing.down))
	r, err = s.ApproveAndSend(bg, refund.ApproveParams{Ref: o1("R2"), Amount: 1000, Actor: seller})
	require.NoError(t, err)
	require.Equal(
		t, order.StateApproved, r.State, "an outcome that could not be recorded is not claimed",
	)
	require.Equal(t, order.StateApproved, e.refund("R2").State)
}
