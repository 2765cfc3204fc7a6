package refund_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestDeniedAfterAcceptance: the provider accepted the refund, with a number that is in the book.
// Later it does not know the refund (another merchant's certificate, a slow replica), or refuses
// it. The money may have moved: nothing is sent, fails or is released, and a person is alerted
// once.
func TestDeniedAfterAcceptance(t *testing.T) {
	for _, denied := range []refund.Result{isNotFound, declined("ORDERNOTEXIST")} {
		t.Run(string(denied.Outcome), func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 6000)
			e.process(ref)
			require.Equal(t, "provider-R1", e.refund("R1").ProviderRefundID)
			require.NotZero(t, e.refund("R1").AcceptedAt)
			for range 6 {
				e.bank.NextQuery(refundtest.Answer(denied))
			}
			e.steps(ref, 1)
			require.Empty(t, e.discrepancies, "it may only lag behind")
			require.GreaterOrEqual(
				t, e.refund("R1").NextAttemptAt.Sub(e.clock.Now()), 2*time.Minute,
			)
			e.steps(ref, 4)
			require.Len(t, e.discrepancies, 1, "one alert")
			require.Equal(t, order.StateApproved, e.discrepancies[0].Book)
			require.Equal(t, order.StateApproved, e.refund("R1").State)
			require.Equal(t, []string{"refund R1"}, submissions(e.bank, "R1"))

			_, err := e.svc.Abandon(
				bg, refund.AbandonParams{Ref: o1("R1"), Evidence: "x", Actor: seller},
			)
			require.ErrorIs(t, err, order.ErrTransition)
			rep, err := e.svc.Sync(bg, "O1") // it gets the last denial
			require.NoError(t, err)
			require.Len(t, rep.Discrepancies, 1)

			e.run() // the provider answers correctly again
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.EqualValues(t, 6000, e.bank.PaidTotal("O1"))
			require.Equal(t, []string{"refund R1"}, submissions(e.bank, "R1"))
		})
	}
}

// TestLaggingProvider: the provider shows an accepted refund only after a while. Nobody is alerted,
// and the refund is not sent again.
func TestLaggingProvider(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 6000)
	e.process(ref)
	e.bank.NextQuery(refundtest.Answer(isNotFound))
	e.steps(ref, 1)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.Empty(t, e.discrepancies)
	require.Equal(t, []string{"refund R1"}, submissions(e.bank, "R1"))
}

// TestResolvedAndPaidByTheProvider: the operator paid by bank transfer and resolved the refund as
// paid. Then the provider pays too, and reports it in one way or another. A person is alerted once.
func TestResolvedAndPaidByTheProvider(t *testing.T) {
	sync := func(e *env) {
		_, err := e.svc.Sync(bg, "O1")
		require.NoError(e.t, err)
	}
	notification := func(e *env) {
		require.NoError(e.t, e.svc.HandleNotification(bg, success("R1", 6000)))
	}
	for name, ways := range map[string][]func(*env){
		"sync": {sync, sync, notification}, "notification": {notification, notification, sync},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 6000)) // accepted
			_, err := e.svc.Resolve(bg, refund.ResolveParams{
				Ref: o1("R1"), Resolution: refund.ResolutionPaid, Evidence: "bank transfer 77",
				Actor: seller,
			})
			require.NoError(t, err)
			require.Zero(t, e.refund("R1").ConfirmedAt)
			e.clock.Advance(72 * time.Hour)
			for _, way := range ways {
				way(e)
			}
			require.Len(t, e.discrepancies, 1)
			require.Equal(t, order.StateRefunded, e.discrepancies[0].Book)
			require.Equal(t, refund.OutcomeSucceeded, e.discrepancies[0].Result.Outcome)
			r := e.refund("R1")
			require.Equal(t, e.clock.Now(), r.ConfirmedAt)
			require.EqualValues(t, 6000, e.order().Refunded, "the book counts it once")
			rep, err := e.svc.Sync(bg, "O1")
			require.NoError(t, err)
			require.Empty(t, rep.Discrepancies, "it is known now")
		})
	}
}

// alertedTwice resolves a refund of O1 as paid and lets the provider pay it too, while the store
// fails after the alert. It returns how the store failed.
func (e *env) alertedTwice(log *slog.Logger) error {
	e.t.Helper()
	e.process(e.approved("R8", 10)) // accepted
	_, err := e.svc.Resolve(bg, refund.ResolveParams{
		Ref: o1("R8"), Resolution: refund.ResolutionPaid, Evidence: "x", Actor: seller,
	})
	require.NoError(e.t, err)
	store := &flakyStore{Store: e.store}
	hooks := e.hooks()
	conflict := hooks.Discrepancy
	hooks.Discrepancy = func(ctx context.Context, c refund.Discrepancy) {
		conflict(ctx, c)
		store.fail(errStore)
	}
	s, err := refund.NewService(
		e.machine, store, e.bank,
		refund.Options{Now: e.clock.Now, Hooks: []refund.Hooks{hooks}, Logger: log},
	)
	require.NoError(e.t, err)
	before := len(e.discrepancies)
	require.NoError(e.t, s.HandleNotification(bg, success("R8", 10)))
	require.Len(e.t, e.discrepancies, before+1)
	require.Zero(e.t, e.refund("R8").ConfirmedAt)
	return store.err
}

// TestAlertIsNotLost: the process dies after a contradiction was booked and before the hook was
// called, or before the refund was marked. The next answer alerts again.
func TestAlertIsNotLost(t *testing.T) {
	e := newEnv(t)
	require.ErrorIs(t, e.alertedTwice(slog.New(slog.DiscardHandler)), errStore)
	for range 2 {
		_, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
		require.Len(t, e.discrepancies, 2, "again, and then not any more")
		require.NotZero(t, e.refund("R8").ConfirmedAt)
	}
}

// TestPanickingAlertIsRepeated: it may not have reached anybody.
func TestPanickingAlertIsRepeated(t *testing.T) {
	calls := 0
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].Discrepancy = func(context.Context, refund.Discrepancy) {
			if calls++; calls == 1 {
				panic("no network")
			}
		}
	})
	e.process(e.approved("R1", 4000)) // accepted
	_, err := resolve(refund.ResolutionPaid, "bank transfer 77").do(bg, e.svc)
	require.NoError(t, err)
	for range 3 {
		e.hint()
	}
	require.Equal(t, 2, calls)
}

// TestResolveEndsADenial: a person resolves the refund while the hook is called.
func TestResolveEndsADenial(t *testing.T) {
	var e *env
	e = newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].Discrepancy = func(context.Context, refund.Discrepancy) {
			_, err := resolve(refund.ResolutionReturned, "looked it up").do(bg, e.svc)
			require.NoError(e.t, err)
		}
	})
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.bank.NextQuery(refundtest.Answer(isNotFound), refundtest.Answer(isNotFound))
	e.steps(ref, 2)
	r := e.refund("R1")
	require.Equal(t, order.StateFailed, r.State)
	require.NotContains(t, r.Message, "denies")
}

// TestRefusalTimedByAClockYearsAhead: the quiet period begins again on the right clock, and does
// not last for years.
func TestRefusalTimedByAClockYearsAhead(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.NextRefund(refundtest.Fail(errLost), refundtest.Decline("NOTENOUGH"))
	e.process(ref)
	e.clock.Advance(10 * year)
	e.process(ref) // refused
	e.clock.Advance(-10 * year)
	start := e.clock.Now()
	for i := range 4 {
		e.bank.NextQuery(refundtest.Answer(isNotFound))
		e.steps(ref, 1)
		if e.refund("R1").State == order.StateFailed {
			require.Equal(t, "NOTENOUGH", e.refund("R1").Code)
			require.GreaterOrEqual(t, e.clock.Now().Sub(start), 2*time.Minute)
			return
		}
		require.Less(t, i, 3)
	}
}

// TestClosedFromBeforeARetry: the retried refund was accepted, and an outdated query still says
// closed.
func TestClosedFromBeforeARetry(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	e.bank.NextQuery(refundtest.Answer(isClosed))
	e.steps(ref, 1)
	require.Equal(t, order.StateFailed, e.refund("R1").State)
	_, err := retry.do(bg, e.svc)
	require.NoError(t, err)
	e.process(ref) // accepted
	e.bank.NextQuery(refundtest.Answer(isClosed))
	e.steps(ref, 1)
	require.Equal(t, order.StateApproved, e.refund("R1").State)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestStaleAcceptedRevivesNothing: Sync asks while a call is under way, and its answer is delayed.
// In the meantime the provider closes the refund: it fails, is abandoned and replaced. Sync asks
// again before it records its answer.
func TestStaleAcceptedRevivesNothing(t *testing.T) {
	for _, stale := range []refund.Outcome{refund.OutcomeAccepted, refund.OutcomeAbnormal} {
		t.Run(string(stale), func(t *testing.T) {
			e := newEnv(t)
			ref := e.approved("R1", 6000)
			e.process(ref) // accepted
			e.clock.Advance(time.Minute)
			res := refund.Result{Outcome: stale}
			e.bank.NextQuery(refundtest.Answer(res).Before(func(context.Context) {
				e.end("R1", refund.OutcomeClosed)
				require.Equal(t, order.StateFailed, e.process(ref).State)
				_, err := e.svc.Abandon(bg, refund.AbandonParams{Ref: o1("R1"), Actor: seller})
				require.NoError(t, err)
				_, err = e.svc.Request(
					bg, refund.RequestParams{Ref: o1("R2"), Amount: 6000, Actor: buyer},
				)
				require.NoError(t, err)
			}))
			rep, err := e.svc.Sync(bg, "O1")
			require.NoError(t, err)
			require.Empty(t, rep.Discrepancies)
			require.Empty(t, e.discrepancies)
			require.Equal(t, order.StateAbandoned, e.refund("R1").State)
			_, err = e.svc.Approve(
				bg, refund.ApproveParams{Ref: o1("R2"), Amount: 6000, Actor: seller},
			)
			require.NoError(t, err)
			e.run()
			require.EqualValues(t, 6000, e.bank.PaidTotal("O1"))
		})
	}
	t.Run("an attempt's answer", func(t *testing.T) {
		e := newEnv(t)
		ref := e.approved("R1", 6000)
		e.process(ref)
		e.clock.Advance(time.Minute)
		e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
			e.clock.Advance(2 * time.Minute) // beyond the lease
			e.end("R1", refund.OutcomeClosed)
			require.Equal(t, order.StateFailed, e.process(ref).State)
		}))
		require.Equal(t, order.StateFailed, e.process(ref).State)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
		require.Empty(t, e.discrepancies)
	})
	t.Run("asked again, it is so", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateRejected)
		e.console("R1", 4000, refund.OutcomeAccepted)
		o, err := e.store.Get(bg, "O1")
		require.NoError(t, err)
		e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
			require.NoError(t, e.store.Update(bg, o.ID, func(
				_ context.Context, o *order.Order,
			) error {
				o.Refunds[0].Message = "something else has changed"
				return nil
			}))
		}), refundtest.Answer(isAccepted))
		e.hint()
		require.Equal(
			t, order.StateApproved, e.refund("R1").State,
			"nothing that the provider holds is dropped",
		)
		require.Len(t, e.discrepancies, 1)
	})
}

// TestAbandonWithEvidence: a provider that never answers a query cannot hold an amount. Evidence
// does not outweigh an answer.
func TestAbandonWithEvidence(t *testing.T) {
	abandon := func(e *env, evidence string) error {
		_, err := e.svc.Abandon(bg, refund.AbandonParams{
			Ref: o1("R1"), Note: "closed account", Evidence: evidence, Actor: seller,
		})
		return err
	}
	silent := refundtest.Fail(errLost)
	t.Run("silent", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateFailed)
		e.bank.NextQuery(silent, silent)
		err := abandon(e, " ")
		require.ErrorIs(t, err, refund.ErrUnsettled)
		require.ErrorIs(t, err, errLost)
		require.NoError(t, abandon(e, "letter of the bank, 2026-01-05"))
		require.Equal(t, order.StateAbandoned, e.refund("R1").State)
		history := e.order().History
		require.Equal(
			t, "closed account\nunconfirmed by the provider: letter of the bank, 2026-01-05",
			history[len(history)-1].Note,
		)
	})
	for name, answer := range map[string]refund.Result{
		"accepted":          isAccepted,
		"another amount":    {Outcome: refund.OutcomeSucceeded, Amount: 1},
		"paid in the end":   isPaid,
		"money on its way?": isAbnormal,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.into(order.StateFailed)
			e.bank.NextQuery(refundtest.Answer(answer))
			require.ErrorIs(t, abandon(e, "letter of the bank"), refund.ErrUnsettled)
			require.NotEqual(t, order.StateAbandoned, e.refund("R1").State)
		})
	}
	t.Run("nobody waited for the answer", func(t *testing.T) {
		e := newEnv(t)
		e.into(order.StateFailed)
		ctx, cancel := context.WithCancel(bg)
		e.bank.NextQuery(refundtest.Fail(errLost).Before(func(context.Context) { cancel() }))
		_, err := e.svc.Abandon(
			ctx, refund.AbandonParams{Ref: o1("R1"), Evidence: "x", Actor: seller},
		)
		require.ErrorIs(t, err, refund.ErrUnsettled)
		require.Equal(t, order.StateFailed, e.refund("R1").State)
	})
}

// TestMaxRequests: a buyer who requests and cancels in a loop is stopped. The repeat of a request
// is not.
func TestMaxRequests(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.MaxRequests = 2 })
	e.register()
	request := func(number string) error {
		_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1(number), Amount: 1, Actor: buyer})
		return err
	}
	for _, number := range []string{"R1", "R2"} {
		require.NoError(t, request(number))
		_, err := e.svc.Cancel(bg, refund.CancelParams{Ref: o1(number), Actor: buyer})
		require.NoError(t, err)
	}
	before := e.order()
	err := request("R3")
	var limit *refund.LimitError
	require.ErrorAs(t, err, &limit)
	require.ErrorIs(t, err, refund.ErrLimit)
	require.Equal(t, "max_requests", limit.Limit)
	require.Equal(t, before, e.order())
	require.NoError(t, request("R2"))

	_, err = refund.NewService(e.machine, e.store, e.bank, refund.Options{MaxRequests: -1})
	require.ErrorIs(t, err, order.ErrInvalid)
}
