package refund_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestSyncAdoptsOnlyWhatMayHavePaid: of the refunds that the provider lists and the book does not
// have.
func TestSyncAdoptsOnlyWhatMayHavePaid(t *testing.T) {
	for outcome, want := range map[refund.Outcome]order.State{
		refund.OutcomeAccepted: order.StateApproved, refund.OutcomeSucceeded: order.StateRefunded,
		refund.OutcomeAbnormal: order.StateAbnormal, refund.OutcomeUnknown: "",
		refund.OutcomeDeclined: "", refund.OutcomeClosed: "", refund.OutcomeNotFound: "",
	} {
		t.Run(string(outcome), func(t *testing.T) {
			e := newLister(t)
			res := refund.Result{
				Outcome: outcome, RefundNo: "C1", Amount: 1000, ProviderRefundID: "501",
				Code: "CODE", Message: "words",
			}
			e.bank.NextList(exactly(refundtest.Answer(res), res)) // it names no order
			rep, err := e.svc.Sync(bg, "O1")
			require.NoError(t, err)
			require.True(t, rep.Complete)
			require.Equal(t, []refund.Discrepancy{{
				Ref: o1("C1"), Book: order.StatePaid, Result: res,
			}}, rep.Discrepancies)
			r := e.order().Refund("C1")
			if want == "" {
				require.Nil(t, r)
				require.Empty(t, rep.Adopted)
				require.Empty(t, e.discrepancies)
				return
			}
			require.Equal(t, []string{"C1"}, rep.Adopted)
			require.Equal(t,
				[]any{want, "501", "CODE", "words", "made at the provider", order.ActorProvider},
				[]any{r.State, r.ProviderRefundID, r.Code, r.Message, r.Reason, r.RequestedBy})
			require.Len(t, e.discrepancies, 1)
			c := e.discrepancies[0]
			require.EqualError(t, c.Err,
				"refund C1 of order O1: the provider has a refund that the book did not")
			c.Err = nil
			require.Equal(t, refund.Discrepancy{
				Ref: o1("C1"), Book: order.StatePaid, Result: res,
			}, c)
		})
	}
}

// TestSyncWritesNothingItDoesNotAdopt: a refund that never paid is only reported.
func TestSyncWritesNothingItDoesNotAdopt(t *testing.T) {
	e := newEnv(t)
	e.register()
	e.console("C1", 1, refund.OutcomeClosed)
	store := &commits{Store: e.store}
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	_, err = s.Sync(bg, "O1")
	require.NoError(t, err)
	require.Zero(t, store.n)
}

// TestDiscrepancyOfAnUnadoptableRefund: it has the provider's result and the reason why the book
// cannot hold the refund.
func TestDiscrepancyOfAnUnadoptableRefund(t *testing.T) {
	e := newLister(t)
	foreign := refund.Result{
		Outcome: refund.OutcomeSucceeded, RefundNo: "C1", OrderID: "O2", Amount: 1,
	}
	e.bank.NextList(refundtest.Answer(foreign))
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Empty(t, rep.Adopted)
	mismatch := &refund.MismatchError{Field: "order_id", Want: "O1", Got: "O2"}
	require.Equal(t, []refund.Discrepancy{{
		Ref: o1("C1"), Book: order.StatePaid, Result: foreign, Err: mismatch,
	}}, rep.Discrepancies)
	require.Equal(t, []refund.Discrepancy{{
		Ref: o1("C1"), Book: order.StatePaid, Result: foreign, Err: mismatch,
	}}, e.discrepancies)
}

// TestSyncAsksOnlyAboutWhatTheProviderCouldKnow: that is what was sent, also before a retry, and
// what it lists.
func TestSyncAsksOnlyAboutWhatTheProviderCouldKnow(t *testing.T) {
	e := newLister(t)
	e.approved("R1", 1000) // never sent
	failed := e.approved("R2", 1000)
	e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
	e.process(failed)
	_, err := e.svc.Retry(bg, refund.RetryParams{Ref: o1("R2"), Actor: seller})
	require.NoError(t, err)
	require.Zero(t, e.refund("R2").Attempts)
	e.approved("R3", 1000)
	e.console("R3", 1000, refund.OutcomeSucceeded)
	_, err = e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, []string{"refund R2", "list O1", "query R2", "query R3"}, called(e.bank))
}

// TestSyncReportsNothingIfAllAgree: with and without a list, in every state.
func TestSyncReportsNothingIfAllAgree(t *testing.T) {
	e := newLister(t)
	ref := e.approved("R1", 1000)
	e.process(ref)
	e.steps(ref, 1)
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Equal(t, refund.SyncReport{Complete: true}, rep)
}

// TestSyncReportsAWrongAmount: the outcome is right, the amount is not.
func TestSyncReportsAWrongAmount(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRefunded)
	res := refund.Result{Outcome: refund.OutcomeSucceeded, RefundNo: "R1", OrderID: "O1", Amount: 1}
	e.bank.NextQuery(refundtest.Answer(res))
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, rep.Discrepancies, 1)
	require.ErrorIs(t, rep.Discrepancies[0].Err, refund.ErrMismatch)
	require.Equal(t, order.StateRefunded, rep.Discrepancies[0].Book)
	require.Len(t, e.discrepancies, 1)
}

// TestSyncReportsWhatItDidBeforeTheStoreFailed: that is committed.
func TestSyncReportsWhatItDidBeforeTheStoreFailed(t *testing.T) {
	for name, fails := range map[string]int{"taking in": 3, "comparing": 4} { // read, C1, C2, R1
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.process(e.approved("R1", 1000))
			e.console("C1", 1000, refund.OutcomeSucceeded)
			e.console("C2", 1000, refund.OutcomeSucceeded)
			store := &countingStore{Store: e.store, fails: fails, how: failsBefore}
			s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
			require.NoError(t, err)
			rep, err := s.Sync(bg, "O1")
			require.ErrorIs(t, err, errStore)
			require.True(t, rep.Complete)
			require.Equal(t, []string{"C1", "C2"}[:fails-2], rep.Adopted)
			require.Len(t, rep.Discrepancies, fails-2)
		})
	}
}

// TestAdoptionIsAtomic: the host's hook refuses the second of two transitions, and the first is
// rolled back too.
func TestAdoptionIsAtomic(t *testing.T) {
	e := newEnv(t)
	e.register()
	e.console("C1", 1000, refund.OutcomeSucceeded)
	s := e.service(e.bank, refund.Options{Now: e.clock.Now, Hooks: []refund.Hooks{{
		InTx: func(_ context.Context, _ *order.Order, tr order.Transition) error {
			if tr.Event == order.EventSettle {
				return errLost
			}
			return nil
		},
	}}})
	rep, err := s.Sync(bg, "O1")
	require.ErrorIs(t, err, errLost)
	require.Empty(t, rep.Adopted)
	require.Empty(t, e.order().Refunds)
}

// beforeAgain is a store that runs an update twice, as after a deadlock, with something between.
type beforeAgain struct {
	refund.Store
	do func()
}

func (s *beforeAgain) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	o, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	_ = fn(ctx, o)
	s.do()
	return s.Store.Update(ctx, id, fn)
}

// TestAdoptedIsThatOfTheLastRun: the store runs the update again, and by then the shop has
// requested the number.
func TestAdoptedIsThatOfTheLastRun(t *testing.T) {
	e := newEnv(t)
	e.register()
	e.console("R1", 4000, refund.OutcomeSucceeded)
	store := &beforeAgain{e.store, func() { require.NoError(t, by(request(4000, "r"))(e)) }}
	s, err := refund.NewService(e.machine, store, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	rep, err := s.Sync(bg, "O1")
	require.NoError(t, err)
	require.Empty(t, rep.Adopted)
	require.Equal(t, order.StateRefundRequested, e.refund("R1").State)
}

// deaf is a store that fails whatever fn says.
type deaf struct{ refund.Store }

func (s deaf) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	_ = s.Store.Update(ctx, id, fn)
	return errStore
}

// TestStoreFailsWhenThereIsNothingToWrite: the command returns the error, because it cannot know
// that there was nothing.
func TestStoreFailsWhenThereIsNothingToWrite(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateApproved)
	s, err := refund.NewService(e.machine, deaf{e.store}, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	for _, c := range []call{approve(4000), approve(1), request(4000, "r")} {
		r, err := c.do(bg, s)
		require.ErrorIs(t, err, errStore)
		require.EqualError(t, err, c.name+" refund R1 of order O1: the store is down")
		require.Zero(t, r)
	}
}

func TestSetupHookGetsTheCause(t *testing.T) {
	e := newEnv(t)
	setup := &refund.SetupError{Gateway: "x", Err: errLost}
	e.bank.NextRefund(refundtest.Fail(fmt.Errorf("send: %w", setup)))
	e.process(e.approved("R1", 4000))
	require.Len(t, e.setup, 1)
	require.ErrorIs(t, e.setup[0], errLost)
	require.EqualError(t, e.setup[0], `set-up of gateway "bank": connection reset`)
}

func TestInvalidCursors(t *testing.T) {
	p := refund.Position{RequestedAt: time.Unix(0, 0).UTC(), Ref: o1("R")}
	good, err := p.MarshalText()
	require.NoError(t, err)
	holds := base64.RawURLEncoding.EncodeToString
	for _, text := range []string{
		"", "!", string(good) + "!", holds([]byte("0\x00O")), holds([]byte("0\x00O\x00R\x00S")),
		holds([]byte("x\x00O\x00R")), holds([]byte("99999999999999999999\x00O\x00R")),
	} {
		before := refund.Position{Ref: o1("as it was")}
		q := before
		err := q.UnmarshalText([]byte(text))
		require.ErrorIs(t, err, order.ErrInvalid)
		require.EqualError(t, err, "after: is not a cursor")
		require.Equal(t, before, q)
	}
}

// TestComparePositions: by time, then by order, then by refund.
func TestComparePositions(t *testing.T) {
	at := time.Unix(0, 0).UTC()
	entry := func(after time.Duration, id, number string) refund.Position {
		r := order.Refund{No: number, RequestedAt: at.Add(after)}
		return refund.Entry{OrderID: id, Refund: r}.Position()
	}
	ordered := []refund.Position{
		entry(0, "A", "x"), entry(0, "A", "y"), entry(0, "B", "a"), entry(0, "B", "x"),
		entry(1, "A", "a"), entry(2, "", ""),
	}
	for i, p := range ordered {
		for j, q := range ordered {
			switch c := p.Compare(q); {
			case i < j:
				require.Negative(t, c)
			case i > j:
				require.Positive(t, c)
			default:
				require.Zero(t, c)
			}
		}
	}
}
