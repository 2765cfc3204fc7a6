package order_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/looplab/fsm"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// Each test here is a way in which looplab/fsm, used plainly, goes wrong.

func TestTrapCancelledContextDoesNotWedge(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateRefundRequested)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := o.Clone()
	for range 100 {
		_, err := m.Fire(ctx, o, trigger(order.EventApprove, "R1", 0))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "refund R1 of order O1")
	}
	require.Equal(t, before, o)
	fire(t, m, o, order.EventApprove, "R1", 0)
}

func TestTrapContextCancelledInAGuardDoesNotWedge(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m := guarded(t, func(context.Context, *order.Order, order.Transition) error {
		cancel()
		return nil
	})
	o := inState(t, newMachine(t), order.StateRefundRequested)
	_, err := m.Fire(ctx, o, trigger(order.EventApprove, "R1", 0))
	require.NoError(t, err)
	fire(t, m, o, order.EventSettle, "R1", 0)
}

func TestTrapGuardPanicLeavesTheOrderUsable(t *testing.T) {
	m := newMachine(t)
	for name, panics := range map[string]order.Guard{
		"value": func(context.Context, *order.Order, order.Transition) error { panic("boom") },
		"nil map": func(context.Context, *order.Order, order.Transition) error {
			var x map[string]int
			x["a"] = 1 //nolint:staticcheck // the panic is what is tested
			return nil
		},
		"nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			o := inState(t, m, order.StateRefundRequested)
			for range 100 {
				err := refuse(t, m, o, trigger(order.EventApprove, "R1", 0), panics)
				require.ErrorIs(t, err, order.ErrGuardPanic)
				require.NotErrorIs(t, err, order.ErrVetoed, "it is a fault, no decision")
				require.ErrorContains(t, err, "approve refund R1 of order O1: guard panicked: ")
			}
			fire(t, m, o, order.EventApprove, "R1", 0)
		})
	}
}

func TestTrapVetoStopsAtTheFirstGuard(t *testing.T) {
	cause := errors.New("too late in the day")
	var asked []string
	guard := func(name string, err error) order.Guard {
		return func(_ context.Context, o *order.Order, tr order.Transition) error {
			asked = append(asked, name)
			require.Equal(t, order.StateRefundRequested, o.Refund("R1").State, "the order as it is before")
			require.Equal(t, order.StateApproved, tr.To)
			require.Equal(t, order.StateApproved, tr.OrderTo)
			return err
		}
	}
	m := guarded(t, guard("first", nil), guard("second", nil))
	o := inState(t, newMachine(t), order.StateRefundRequested)
	err := refuse(t, m, o, trigger(order.EventApprove, "R1", 0), guard("third", cause), guard("fourth", nil))
	require.ErrorIs(t, err, cause)
	require.Equal(t, []string{"first", "second", "third"}, asked)
	_, err = m.Fire(context.Background(), o, trigger(order.EventApprove, "R1", 0))
	require.NoError(t, err)
}

// A guard sees what is asked for before it is in the order.
func TestTrapGuardSeesTheRequestedRefund(t *testing.T) {
	limit := func(_ context.Context, o *order.Order, tr order.Transition) error {
		r := o.Refund(tr.RefundNo)
		require.Equal(t, order.Refund{
			No: "R1", Amount: r.Amount, Reason: "late",
			State: order.StatePaid, RequestedBy: "buyer:1",
		}, *r)
		require.Equal(t, tr.From, r.State)
		require.Zero(t, o.Reserved, "before it")
		require.Len(t, o.Refunds, 1)
		if r.Amount > 50 {
			return errors.New("over 50")
		}
		return nil
	}
	m, o := guarded(t, limit), newOrder(100)
	in := trigger(order.EventRequestRefund, "R1", 51)
	in.Reason, in.Actor = "late", "buyer:1"
	require.ErrorIs(t, refuse(t, m, o, in), order.ErrVetoed)
	require.Empty(t, o.Refunds)
	in.Amount = 50
	_, err := m.Fire(context.Background(), o, in)
	require.NoError(t, err)
	require.Len(t, o.Refunds, 1)
}

func TestGuardSeesEachRefundOnce(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 10, order.StateFailed)
	addRefund(t, m, o, "R2", 10, order.StateRefundRequested)
	for ev, want := range map[order.Event][]string{
		order.EventApprove: {"R1", "R2"}, order.EventRequestRefund: {"R1", "R2", "R3"},
	} {
		_, err := m.Fire(context.Background(), o, trigger(ev, want[len(want)-1], 10),
			func(_ context.Context, view *order.Order, _ order.Transition) error {
				var seen []string
				for _, r := range view.Refunds {
					seen = append(seen, r.No)
				}
				require.Equal(t, want, seen)
				return errors.New("seen")
			})
		require.ErrorContains(t, err, "seen")
	}
}

// A guard may try on its copy what would come next: the refund that is being requested holds no
// amount there.
func TestGuardMayFireOnItsCopy(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	addRefund(t, m, o, "R1", 30, order.StateRefundRequested)
	_, err := m.Fire(context.Background(), o, trigger(order.EventRequestRefund, "R2", 50),
		func(ctx context.Context, view *order.Order, _ order.Transition) error {
			_, err := m.Fire(ctx, view, trigger(order.EventCancel, "R1", 0))
			require.Zero(t, view.Reserved)
			require.Equal(t, order.StatePaid, view.State)
			return err
		})
	require.NoError(t, err)
	require.Equal(t, int64(80), o.Reserved)
}

func TestTrapGuardMayUseTheMachine(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateRefundRequested)
	_, err := m.Fire(context.Background(), o, trigger(order.EventApprove, "R1", 0),
		func(ctx context.Context, view *order.Order, _ order.Transition) error {
			require.Contains(t, m.Available(view, "R1"), order.EventReject)
			require.NotEmpty(t, m.Available(view, "R1"))
			_, err := m.Fire(ctx, view, trigger(order.EventReject, "R1", 0))
			return err
		})
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, o.Refund("R1").State)
	require.NoError(t, m.Verify(o))
}

// A guard that holds the order itself may not use up the amount that was just checked.
func TestTrapGuardThatChangesTheOrderIsAConflict(t *testing.T) {
	m, o := newMachine(t), newOrder(100)
	_, err := m.Fire(context.Background(), o, trigger(order.EventRequestRefund, "R1", 100),
		func(ctx context.Context, _ *order.Order, _ order.Transition) error {
			_, err := m.Fire(ctx, o, trigger(order.EventRequestRefund, "R2", 100))
			return err
		})
	require.ErrorIs(t, err, order.ErrConflict)
	require.Nil(t, o.Refund("R1"))
	require.NoError(t, m.Verify(o))
}

func TestTrapGuardCannotChangeTheOrder(t *testing.T) {
	spoil := func(_ context.Context, o *order.Order, _ order.Transition) error {
		o.Refunds[0].Amount, o.History[0].Actor, o.Total, o.Seq = 1, "x", 1, 99
		o.Refunds = append(o.Refunds[:0], order.Refund{No: "R7"})
		o.History = append(o.History, order.Transition{Seq: 7})
		*o = order.Order{}
		return nil
	}
	m := guarded(t, spoil)
	o := inState(t, newMachine(t), order.StateRefundRequested)
	plain := o.Clone()
	_, err := m.Fire(context.Background(), o, trigger(order.EventApprove, "R1", 0))
	require.NoError(t, err)
	fire(t, newMachine(t), plain, order.EventApprove, "R1", 0)
	require.Equal(t, plain, o)
}

func TestTrapFactsAreNotVetoed(t *testing.T) {
	never := func(context.Context, *order.Order, order.Transition) error { return errors.New("never") }
	m, plain := guarded(t, never), newMachine(t)
	for _, w := range wantRows() {
		_, err := m.Fire(context.Background(), inState(t, plain, w.from), trigger(w.ev, "R1", 60),
			never)
		require.Equal(t, !w.ev.IsFact(), errors.Is(err, order.ErrVetoed), "%v", w)
		require.Equal(t, w.ev.IsFact(), err == nil, "%v", w)
	}
}

func TestFactsAreWhatTheProviderDid(t *testing.T) {
	facts := []order.Event{order.EventAdopt, order.EventSettle, order.EventFail, order.EventHold}
	for _, ev := range append(coreEvents(), "", "second_review") {
		require.Equal(t, slices.Contains(facts, ev), ev.IsFact(), ev)
	}
}

func TestTrapAvailableHasAStableOrder(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateFailed)
	for range 200 {
		require.Equal(t, []order.Event{
			order.EventAbandon, order.EventAdopt, order.EventRetry,
			order.EventSettle,
		},
			m.Available(o, "R1"))
	}
}

func TestTrapNoLooplabErrorLeaks(t *testing.T) {
	m := newMachine(t)
	for _, ev := range []order.Event{order.EventSettle, "no_such_event"} {
		err := refuse(t, m, inState(t, m, order.StateRefunded), trigger(ev, "R1", 0))
		var (
			te      *order.TransitionError
			invalid fsm.InvalidEventError
			unknown fsm.UnknownEventError
		)
		require.ErrorAs(t, err, &te, "a pointer target matches")
		require.False(t, errors.As(err, &invalid)) //nolint:testifylint // NotErrorAs is newer than our floor
		require.False(t, errors.As(err, &unknown)) //nolint:testifylint // likewise
	}
}

func TestTrapMachineIsSafeForConcurrentUse(t *testing.T) {
	const workers, rounds = 12, 400
	m := guarded(t, func(context.Context, *order.Order, order.Transition) error { return nil })
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- walkRounds(m, w, rounds)
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

// walkRounds takes many orders through different walks, with refusals and cancelled contexts in
// between.
func walkRounds(m *order.Machine, worker, rounds int) error {
	states := coreStates()[1:]
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range rounds {
		o, to := newOrder(100), states[(worker+i)%len(states)]
		for _, ev := range pathTo(to) {
			if _, err := m.Fire(dead, o, trigger(ev, "R1", 60)); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("cancelled context: %w", err)
			}
			if _, err := m.Fire(context.Background(), o, trigger("no_such_event", "R1", 60)); err == nil {
				return errors.New("unknown event moved")
			}
			if _, err := m.Fire(context.Background(), o, trigger(ev, "R1", 60)); err != nil {
				return err
			}
		}
		if got := o.Refund("R1").State; got != to {
			return fmt.Errorf("got %s, want %s", got, to)
		}
		if err := m.Verify(o); err != nil {
			return err
		}
	}
	return nil
}
