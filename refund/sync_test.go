package refund_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestSyncWithoutList(t *testing.T) {
	e := newEnv(t)
	e.process(e.approved("R1", 1000))
	e.approved("R2", 1000) // never submitted: nobody is asked
	failed := e.approved("R3", 1000)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(failed)

	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, refund.SyncReport{Discrepancies: []refund.Discrepancy{{
		Ref: o1("R1"), Book: order.StateApproved,
		Result: refund.Result{
			Outcome: refund.OutcomeSucceeded, RefundNo: "R1", OrderID: "O1", Amount: 1000,
			ProviderRefundID: "provider-R1",
		},
	}}}, rep)
	require.Equal(t, order.StateRefunded, e.refund("R1").State, "what was learned is booked")
	require.Equal(t, order.StateFailed, e.refund("R3").State)

	e.bank.NextQuery(refundtest.Fail(errLost).For("R3"))
	rep, err = e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, rep.Discrepancies, 1)
	require.ErrorIs(t, rep.Discrepancies[0].Err, errLost)

	_, err = e.svc.Sync(bg, "O2")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
}

// TestSyncOfAResolvedRefund: Sync also asks about a refund that a person resolved as paid, although
// it was never submitted.
func TestSyncOfAResolvedRefund(t *testing.T) {
	e := newLister(t)
	e.approved("R1", 1000)
	_, err := e.svc.Resolve(bg, refund.ResolveParams{
		Ref: o1("R1"), Resolution: refund.ResolutionPaid, Evidence: "cash", Actor: seller,
	})
	require.NoError(t, err)
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.True(t, rep.Complete)
	require.Equal(t, []refund.Discrepancy{{
		Ref: o1("R1"), Book: order.StateRefunded, Result: refund.Result{
			Outcome: refund.OutcomeNotFound, RefundNo: "R1",
		},
	}}, rep.Discrepancies)
	require.Equal(t, order.StateRefunded, e.refund("R1").State, "a word with evidence stands")
}

// newRouted is newEnv with every interface of the bank, through Gateways, which must forward them.
func newRouted(t *testing.T, change ...func(*env, *refund.Options)) *env {
	t.Helper()
	var opt refund.Options
	e := newEnv(t, append(change, func(_ *env, o *refund.Options) { opt = *o })...)
	g, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": e.bank})
	require.NoError(t, err)
	e.svc = e.service(g, opt)
	return e
}

// newLister is newRouted with O1.
func newLister(t *testing.T) *env {
	t.Helper()
	e := newRouted(t)
	e.register()
	return e
}

func TestSyncAdopts(t *testing.T) {
	e := newLister(t)
	e.console("C1", 1000, refund.OutcomeSucceeded)
	e.console("C2", 2000, refund.OutcomeAccepted)
	e.console("C3", 3000, refund.OutcomeAbnormal)
	e.console("C4", 4000, refund.OutcomeClosed)
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.True(t, rep.Complete)
	require.Equal(t, []string{"C1", "C2", "C3"}, rep.Adopted)
	require.Len(t, rep.Discrepancies, 4)
	require.Len(t, e.discrepancies, 3)
	o := e.order()
	require.EqualValues(t, 1000, o.Refunded)
	require.EqualValues(t, 5000, o.Reserved)
	require.Equal(t, order.StateAbnormal, o.State)
	require.Nil(t, o.Refund("C4"), "one that did not pay is only reported")

	_, err = request(4001, "r").do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrAmount, "what the console refunded cannot be refunded again")
	e.run()
	require.Equal(
		t, order.StateRefunded, e.refund("C2").State, "an adopted refund is polled like any other",
	)

	rep, err = e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Empty(t, rep.Adopted)
	require.Len(t, e.discrepancies, 3, "nothing new")
}

func TestSyncAdoptsBeyondTheTotal(t *testing.T) {
	e := newLister(t)
	e.approved("R1", 6000)
	e.console("C1", 6000, refund.OutcomeSucceeded)
	_, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	o := e.order()
	require.EqualValues(t, 2000, o.Excess(), "a fact is recorded whatever the sums")
	require.Zero(t, o.Refundable())

	// R1 was approved while there was room. Sent now, it would pay out more than was paid in.
	e.run()
	require.EqualValues(t, 6000, e.bank.PaidTotal("O1"))
	r := e.refund("R1")
	require.Equal(t, order.StateFailed, r.State)
	require.Equal(t, "not sent: the refunds of the order exceed its total by 2000", r.Message)
	require.NotContains(t, called(e.bank), "refund R1")
	_, err = retry.do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrTransition)
	_, err = abandon.do(bg, e.svc)
	require.NoError(t, err)
	require.EqualValues(
		t, 4000, e.order().Refundable(), "what is really left can be asked for again",
	)
}

// TestSyncBeyondTheTotalStillAsks: Process goes on asking about a refund that the provider has.
func TestSyncBeyondTheTotalStillAsks(t *testing.T) {
	e := newLister(t)
	e.process(e.approved("R1", 6000))
	e.console("C1", 6000, refund.OutcomeSucceeded)
	_, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 12000, e.order().Refunded, "the book says what was paid")
}

func TestSyncReportsWhatItCannotAdopt(t *testing.T) {
	e := newLister(t)
	before := e.order()
	e.console("C1", 0, refund.OutcomeSucceeded)
	e.console("C2", 1, refund.OutcomeSucceeded)
	e.console(strings.Repeat("x", 65), 1, refund.OutcomeSucceeded)
	e.bank.NextList(refundtest.AsUsual().Rewrite(func(r *refund.Result) {
		if r.RefundNo == "C2" {
			r.OrderID = "O2"
		}
	}))
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, rep.Discrepancies, 3)
	require.ErrorIs(t, rep.Discrepancies[0].Err, order.ErrAmount)
	require.ErrorIs(t, rep.Discrepancies[1].Err, refund.ErrMismatch)
	require.ErrorIs(t, rep.Discrepancies[2].Err, order.ErrInvalid)
	require.Equal(t, before, e.order())
	require.Len(t, e.discrepancies, 3, "a person must look")

	e.bank.NextList(refundtest.Fail(errLost))
	_, err = e.svc.Sync(bg, "O1")
	require.ErrorIs(t, err, errLost)
}

// TestSyncWhileTheRefundIsRequested: the shop requests the number after Sync has read the order.
// Sync does not adopt it; the next Sync finds that the provider has it.
func TestSyncWhileTheRefundIsRequested(t *testing.T) {
	e := newLister(t)
	e.console("R1", 4000, refund.OutcomeSucceeded)
	e.bank.NextList(refundtest.AsUsual().Before(func(context.Context) {
		_, err := request(4000, "r").do(bg, e.svc)
		require.NoError(t, err)
	}))
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Empty(t, rep.Adopted)
	require.Equal(t, order.StateRefundRequested, e.refund("R1").State)

	_, err = e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.EqualValues(t, 4000, e.order().Refunded)
}

func TestSyncWhenTheGatewayBreaks(t *testing.T) {
	e := newLister(t)
	e.bank.NextList(refundtest.AsUsual().Before(panics))
	_, err := e.svc.Sync(bg, "O1")
	require.ErrorContains(t, err, "sync order O1: gateway panicked: bank panics")

	for range 2 {
		e.bank.NextList(setupFault())
		_, err = e.svc.Sync(bg, "O1")
		require.ErrorIs(t, err, refund.ErrSetup)
	}
	require.Len(t, e.setup, 1, "reported once, as any other set-up fault")
}
