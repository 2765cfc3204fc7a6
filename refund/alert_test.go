package refund_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestDiscrepancyIsReportedEvenIfTheStoreFails: the answer to COMMIT is lost. The book may know by
// then that the provider paid a refund which a person had resolved as paid. The next answer is not
// new then, so this report is the only one.
func TestDiscrepancyIsReportedEvenIfTheStoreFails(t *testing.T) {
	for _, how := range []string{failsRollback, failsAfter} {
		t.Run(how, func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 4000))
			_, err := resolve(refund.ResolutionPaid, "bank transfer 77").do(bg, e.svc)
			require.NoError(t, err)
			store := &countingStore{Store: e.store, fails: 2, how: how}
			s, err := refund.NewService(e.machine, store, e.bank, refund.Options{
				Now: e.clock.Now, Hooks: []refund.Hooks{e.hooks()},
			})
			require.NoError(t, err)
			require.ErrorIs(t, s.HandleNotification(bg, success("R1", 4000)), errStore)
			require.Len(t, e.discrepancies, 1)
			require.Equal(t, refund.OutcomeSucceeded, e.discrepancies[0].Result.Outcome)
		})
	}
}

// TestNumberOfAnotherOrderIsReportedOnce: the provider lists a refund for this order, but another
// order has its number.
func TestNumberOfAnotherOrderIsReportedOnce(t *testing.T) {
	e := newLister(t)
	_, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O2", Gateway: "bank", Currency: "CNY", Total: 10000,
	})
	require.NoError(t, err)
	_, err = e.svc.Request(bg, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O2", RefundNo: "C1"}, Amount: 1, Actor: buyer,
	})
	require.NoError(t, err)
	e.console("C1", 4000, refund.OutcomeSucceeded)
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, rep.Discrepancies, 1)
	require.ErrorIs(t, rep.Discrepancies[0].Err, order.ErrConflict)
	require.Len(t, e.discrepancies, 1)
	require.ErrorIs(t, e.discrepancies[0].Err, order.ErrConflict)
}

// TestContradictionIsReportedOnce: the operator paid the buyer by other means, as the manual
// advises, and resolved the refund as paid. The provider never changes its answer, and the books
// are compared every night. The hook is called once; every comparison still lists the discrepancy.
func TestContradictionIsReportedOnce(t *testing.T) {
	for _, answer := range []refund.Result{
		isAccepted, isAbnormal, isClosed, declined("NOTENOUGH"),
	} {
		t.Run(string(answer.Outcome), func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 4000))
			_, err := resolve(refund.ResolutionPaid, "bank transfer 77").do(bg, e.svc)
			require.NoError(t, err)
			for range 3 {
				e.bank.NextQuery(refundtest.Answer(answer))
				rep, err := e.svc.Sync(bg, "O1")
				require.NoError(t, err)
				require.Len(t, rep.Discrepancies, 1)
				require.Len(t, e.discrepancies, 1)
			}
			require.Equal(t, order.StateRefunded, e.refund("R1").State)
			require.Equal(t, answer.Outcome, e.discrepancies[0].Result.Outcome)

			rep, err := e.svc.Sync(bg, "O1") // and then it pays
			require.NoError(t, err)
			require.Len(t, rep.Discrepancies, 1, "which the book knew from a person only")
			require.Len(t, e.discrepancies, 2)
			require.Equal(t, refund.OutcomeSucceeded, e.discrepancies[1].Result.Outcome)
		})
	}
}

// TestAnswerAboutSomethingElseIsReportedOnce: a provider that keeps answering with another amount
// raises one alert, and one more when the answer changes.
func TestAnswerAboutSomethingElseIsReportedOnce(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.process(ref)
	for i, amount := range []int64{1, 1, 1, 2} {
		e.bank.NextQuery(refundtest.Answer(refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundNo: "R1", Amount: amount,
		}))
		e.steps(ref, 1)
		require.Len(t, e.discrepancies, 1+i/3)
	}
	require.Equal(t, order.StateApproved, e.refund("R1").State)
}

// TestSetupFaultOfQueriesIsReportedOnce: refunds work and queries do not, because the key may only
// write. A refund that works proves nothing about queries.
func TestSetupFaultOfQueriesIsReportedOnce(t *testing.T) {
	e := newEnv(t)
	for i := range 5 {
		ref := e.approved(fmt.Sprint("R", i), 1000)
		e.bank.NextQuery(refundtest.Fail(&refund.SetupError{Err: errors.New("NOAUTH")}))
		e.process(ref)
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 1)
	e.run() // a query works
	ref := e.approved("R5", 1000)
	e.bank.NextQuery(refundtest.Fail(&refund.SetupError{Err: errors.New("NOAUTH")}))
	e.process(ref)
	e.steps(ref, 1)
	require.Len(t, e.setup, 2, "another fault")
}

// TestSetupFaultOfRefundsIsNotHidden: it is known that lists are not permitted, and lists are rare.
// When refunds begin to fail too, the hook is called again.
func TestSetupFaultOfRefundsIsNotHidden(t *testing.T) {
	e := newLister(t)
	e.bank.NextList(refundtest.Fail(&refund.SetupError{Err: errors.New("not permitted")}))
	_, err := e.svc.Sync(bg, "O1")
	require.ErrorIs(t, err, refund.ErrSetup)
	require.Len(t, e.setup, 1)
	ref := e.approved("R1", 1000)
	for range 3 {
		e.bank.NextRefund(refundtest.Fail(&refund.SetupError{Err: errors.New("expired")}))
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 2)
}
