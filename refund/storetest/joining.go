package storetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

func needsBegin(e *env) string {
	if e.begin == nil {
		return "Harness.Begin is nil: unproven that commands can join a transaction of the host"
	}
	return ""
}

func joinedCommits(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	ctx, end := e.begin()
	if j, ok := e.store.(refund.Joiner); ok {
		require.True(t, j.Joined(ctx), "ctx carries the transaction")
	}
	require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")))
	requireSame(t, before, e.get(t, "O-1"), "others do not see the change yet")
	require.NoError(t, end(true))
	o := e.get(t, "O-1")
	require.NotNil(t, o.Refund("R-2"), "the host's commit commits the change")
	require.EqualValues(t, 2, o.Version)
}

func joinedRollsBack(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	ctx, end := e.begin()
	require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")))
	require.NoError(t, e.store.Create(ctx, e.paid("O-2")))
	require.NoError(t, end(false))
	requireSame(t, before, e.get(t, "O-1"), "the host's roll-back rolls the change back")
	_, err := e.store.Get(bg, "O-2")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	require.NoError(t, e.store.Update(bg, "O-1", e.request(t, "R-2")), "no lock is left")
}

// joinedSeesItsChanges: a command sees what commands before it have written in the transaction.
func joinedSeesItsChanges(t tb, e *env) {
	e.create(t, "O-1")
	ctx, end := e.begin()
	require.NoError(t, e.store.Create(ctx, e.paid("O-2")))
	for _, id := range []string{"O-1", "O-2"} {
		require.NoError(t, e.store.Update(ctx, id, e.request(t, "R-a-"+id)))
		require.NoError(t, e.store.Update(ctx, id, e.request(t, "R-b-"+id)),
			"an Update after another one is not nested")
		o, err := e.store.Get(ctx, id)
		require.NoError(t, err)
		require.Len(t, o.Refunds, 2)
	}
	require.NoError(t, end(true))
	for id, version := range map[string]int64{"O-1": 3, "O-2": 3} {
		o := e.get(t, id)
		require.Len(t, o.Refunds, 2)
		require.Equal(t, version, o.Version)
	}
}

// joinedFailureChangesNothing: a command that fails changes nothing in the transaction, which can
// continue.
func joinedFailureChangesNothing(t tb, e *env) {
	o1, o2 := e.create(t, "O-1", "R-1"), e.create(t, "O-2")
	ctx, end := e.begin()
	require.ErrorIs(t, e.store.Update(ctx, "O-1", func(ctx context.Context, o *order.Order) error {
		require.NoError(t, e.request(t, "R-2")(ctx, o))
		return errTest
	}), errTest)
	require.ErrorIs(t, e.store.Update(ctx, "O-2", func(ctx context.Context, o *order.Order) error {
		require.NoError(t, e.request(t, "R-3")(ctx, o))
		return e.request(t, "R-1")(ctx, o)
	}), order.ErrConflict)
	require.ErrorIs(t, e.store.Create(ctx, e.paid("O-1")), refund.ErrExists)
	require.ErrorIs(t, e.store.Update(ctx, "O-9", e.request(t, "R-4")), refund.ErrOrderNotFound)
	require.NoError(t, e.store.Create(ctx, e.paid("O-3")), "the transaction continues")
	require.NoError(t, end(true))
	requireSame(t, o1, e.get(t, "O-1"))
	requireSame(t, o2, e.get(t, "O-2"))
	e.get(t, "O-3")
}

func joinedNestedIsAnError(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	joined, end := e.begin()
	ctx, cancel := e.limit(joined)
	defer cancel()
	ran := false
	err := e.store.Update(ctx, "O-1", func(ctx context.Context, _ *order.Order) error {
		return e.store.Update(ctx, "O-1",
			func(context.Context, *order.Order) error { ran = true; return nil })
	})
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "an error, not a deadlock")
	require.False(t, ran, "the inner fn must not run, because its order would be stale")
	require.NoError(t, end(true))
	requireSame(t, before, e.get(t, "O-1"))
}

// joinedLocks: a transaction that has updated an order locks it until the transaction ends.
func joinedLocks(t tb, e *env) {
	e.create(t, "O-1")
	ctx, end := e.begin()
	require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-1")))
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	other := make(chan error, 1)
	go func() {
		other <- e.store.Update(bg, "O-1", func(ctx context.Context, o *order.Order) error {
			_, err := m.Fire(ctx, o, order.Trigger{
				Event: order.EventRequestRefund, RefundNo: "R-2", Amount: 1, Actor: "a",
				At: e.at(1),
			})
			return err
		})
	}()
	head, stop := context.WithTimeout(bg, 20*time.Millisecond) // so that it comes first if it can
	defer stop()
	select {
	case err = <-other:
		other <- err
	case <-head.Done():
	}
	require.NoError(t, end(false))
	require.NoError(t, <-other)
	o := e.get(t, "O-1")
	require.NotNil(t, o.Refund("R-2"), "the other Update is kept")
	require.Nil(t, o.Refund("R-1"), "and it did not see what was rolled back")
}

func joinedAfterCommit(t tb, e *env) {
	j, _ := e.store.(refund.Joiner)
	e.create(t, "O-1")
	for _, commit := range []bool{false, true} {
		ctx, end := e.begin()
		calls := 0
		ok := j.AfterCommit(ctx, func(context.Context) { calls++ })
		require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-1")))
		require.Zero(t, calls, "not before the commit")
		require.NoError(t, end(commit))
		want := 0
		if ok && commit {
			want = 1
		}
		require.Equal(t, want, calls, "after the commit, and only if AfterCommit returned true")
	}
}

func needsBeginAndJoiner(e *env) string { return needsBegin(e) + needsJoiner(e) }
