package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// limit returns a context that ends if the store blocks.
func (e *env) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.patience)
}

// concurrently calls f n times at once and returns the errors.
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			errs[i] = f(i)
		}()
	}
	close(start)
	done.Wait()
	return errs
}

const writers, rounds = 16, 5

// race lets writers request refunds of one order at once, through the handles in turn.
func race(t tb, e *env, handles ...refund.Store) {
	t.Helper()
	e.create(t, "O-1")
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	for _, err := range concurrently(writers, func(i int) error {
		for k := range rounds {
			err := handles[i%len(handles)].Update(bg, "O-1", func(
				ctx context.Context, o *order.Order,
			) error {
				_, err := m.Fire(ctx, o, order.Trigger{
					Event: order.EventRequestRefund, RefundNo: fmt.Sprintf("R-%d-%d", i,
						k), Amount: 1, Actor: "a", At: e.at(1),
				})
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
	o := e.get(t, "O-1")
	require.Len(t, o.Refunds, writers*rounds, "every update counts")
	require.EqualValues(t, writers*rounds, o.Reserved)
	require.EqualValues(t, writers*rounds+1, o.Version)
	require.NoError(t, m.Verify(o))
}

func noLostUpdate(t tb, e *env) { race(t, e, e.store) }

func twoHandles(t tb, e *env) {
	race(t, e, e.store, e.second)
	o, err := refund.LoadOrder(bg, e.second, "O-1")
	require.NoError(t, err)
	requireSame(t, e.get(t, "O-1"), o, "both handles see the same")
}

func ordersDoNotMix(t tb, e *env) {
	for i := range writers {
		e.create(t, fmt.Sprintf("O-%d", i))
	}
	for _, err := range concurrently(writers, func(i int) error {
		return e.store.Update(bg, fmt.Sprintf("O-%d", i), e.request(t, fmt.Sprintf("R-%d", i)))
	}) {
		require.NoError(t, err)
	}
	for i := range writers {
		o := e.get(t, fmt.Sprintf("O-%d", i))
		require.Len(t, o.Refunds, 1)
		require.Equal(t, fmt.Sprintf("R-%d", i), o.Refunds[0].No)
	}
}

func refundNoIsUniqueAtOnce(t tb, e *env) {
	for i := range writers {
		e.create(t, fmt.Sprintf("O-%d", i))
	}
	won := 0
	for _, err := range concurrently(writers, func(i int) error {
		return e.store.Update(bg, fmt.Sprintf("O-%d", i), e.request(t, "R-1"))
	}) {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, order.ErrConflict)
	}
	require.Equal(t, 1, won, "only one order can have the number")
	page, err := e.store.ListRefunds(bg, refund.Filter{})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
}

func contextEndedBefore(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")), context.Canceled)
	require.ErrorIs(t, e.store.Create(ctx, e.paid("O-2")), context.Canceled)
	_, err := e.store.Get(ctx, "O-1")
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.store.History(ctx, "O-1", 0, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.store.Due(ctx, refund.DueQuery{Now: e.at(0), Limit: 1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.store.ListRefunds(ctx, refund.Filter{})
	require.ErrorIs(t, err, context.Canceled)
	requireSame(t, before, e.get(t, "O-1"))
	_, err = e.store.Get(bg, "O-2")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
}

func contextEndsInside(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	err := e.store.Update(ctx, "O-1", func(ctx context.Context, o *order.Order) error {
		cancel()
		return e.request(t, "R-2")(ctx, o)
	})
	require.Error(t, err, "nothing is committed if the context has ended")
	requireSame(t, before, e.get(t, "O-1"))
	wait, stop := e.limit(bg)
	defer stop()
	require.NoError(t, e.store.Update(wait, "O-1", e.request(t, "R-3")), "no lock is left")
}

// contextEndsWaiting: a caller can give up waiting for an order that another Update holds. A store
// that does not wait, but runs the other fn again, may commit at once.
func contextEndsWaiting(t tb, e *env) {
	e.create(t, "O-1")
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	request := func(o *order.Order, number string) error {
		_, err := m.Fire(bg, o, order.Trigger{
			Event: order.EventRequestRefund, RefundNo: number, Amount: 1, Actor: "a", At: e.at(1),
		})
		return err
	}
	inside, leave := make(chan struct{}), make(chan struct{})
	var entered sync.Once
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			entered.Do(func() { close(inside) })
			<-leave
			return request(o, "R-1")
		})
	}()
	select {
	case <-inside:
	case err := <-first:
		require.Fail(t, "fn did not run", "%v", err)
	}
	ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
	defer cancel()
	go func() {
		second <- e.store.Update(ctx, "O-1",
			func(_ context.Context, o *order.Order) error { return request(o, "R-2") })
	}()
	wait, stop := e.limit(bg)
	defer stop()
	inTime := true
	select {
	case err = <-second:
	case <-wait.Done():
		inTime = false
	}
	close(leave)
	require.NoError(t, <-first)
	if !inTime {
		require.Fail(t, "Update continues to wait although its context has ended", "%v", <-second)
	}
	o := e.get(t, "O-1")
	require.NotNil(t, o.Refund("R-1"))
	require.Equal(t, err == nil, o.Refund("R-2") != nil, "error and commit exclude each other: %v",
		err)
}

func nestedUpdateIsAnError(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	ctx, cancel := e.limit(bg)
	defer cancel()
	ran := false
	err := e.store.Update(ctx, "O-1", func(ctx context.Context, o *order.Order) error {
		e.fire(t, o, order.EventApprove, "R-1", 0, e.at(2))
		return e.store.Update(ctx, "O-1",
			func(context.Context, *order.Order) error { ran = true; return nil })
	})
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "an error, not a deadlock")
	require.False(t, ran, "the inner fn must not run, because its order would be stale")
	requireSame(t, before, e.get(t, "O-1"))
	require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")),
		"the store can be used again")
}

func joined(t tb, e *env) {
	j, _ := e.store.(refund.Joiner)
	e.create(t, "O-1")
	require.False(t, j.Joined(bg))
	require.NoError(t, e.store.Update(bg, "O-1", func(ctx context.Context, _ *order.Order) error {
		require.True(t, j.Joined(ctx), "fn's ctx carries the transaction")
		require.False(t, j.Joined(bg))
		return nil
	}))
}

func afterCommit(t tb, e *env) {
	j, _ := e.store.(refund.Joiner)
	e.create(t, "O-1")
	require.False(t, j.AfterCommit(bg, func(context.Context) { panic("there is no transaction") }))
	calls := 0
	update := func(result error) error {
		return e.store.Update(bg, "O-1", func(ctx context.Context, o *order.Order) error {
			ok := j.AfterCommit(ctx, func(ctx context.Context) {
				calls++
				require.False(t, j.Joined(ctx), "the transaction has ended")
				ctx, cancel := e.limit(ctx)
				defer cancel()
				require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")),
					"and the order is not locked")
			})
			require.True(t, ok, "the store began the transaction and runs f after its commit")
			require.Zero(t, calls, "not before the commit")
			if err := e.request(t, "R-1")(ctx, o); err != nil {
				return err
			}
			return result
		})
	}
	require.ErrorIs(t, update(errTest), errTest)
	require.Zero(t, calls, "not if nothing was committed")
	require.NoError(t, update(nil))
	require.Equal(t, 1, calls)
}
