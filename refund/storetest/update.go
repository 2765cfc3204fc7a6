package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

var errTest = errors.New("fn failed")

func createAndGet(t tb, e *env) {
	o := e.paid("O-1")
	e.fire(t, o, order.EventRequestRefund, "R-1", 60000, e.at(1))
	e.fire(t, o, order.EventApprove, "R-1", 0, e.at(2))
	e.fire(t, o, order.EventRequestRefund, "R-2", 100, e.at(3))
	e.fire(t, o, order.EventReject, "R-2", 0, e.at(4))
	// Every field that Process writes, each with another value.
	r := o.Refund("R-1")
	r.ProviderRefundID, r.Code, r.Message = "50000", "SYSTEMERROR", "系统超时"
	r.Recipient, r.Settled = "招商银行信用卡0403", 59000
	r.Attempts, r.Retries = 3, 2
	r.NextAttemptAt, r.LeasedUntil, r.SubmittedAt, r.DeclinedAt = e.at(5), e.at(6), e.at(7), e.at(8)
	r.EndedAt, r.RefundedAt, r.Outstanding = e.at(9), e.at(10), true
	r.AcceptedAt, r.ConfirmedAt = e.at(11), e.at(12)
	want := o.Clone()
	require.NoError(t, e.store.Create(bg, o))
	want.Version = 1
	requireSame(t, want, e.get(t, "O-1"), "Get returns the order of Create, with Version 1")

	require.NoError(t, e.store.Create(bg, e.paid("O-2")))
	want = e.paid("O-2")
	want.Version = 1
	requireSame(t, want, e.get(t, "O-2"), "an order without refunds")
}

// texts: Create and Update keep texts of every length that the Service accepts.
func texts(t tb, e *env) {
	long := func(unit string, most int) string { // has most bytes
		return strings.Repeat(unit, most/len(unit)) + strings.Repeat("x", most%len(unit))
	}
	for i, unit := range []string{"x", "é", "长", "👕"} {
		// ends neither with a space nor within a character
		o := e.paid(long(unit, order.MaxID-1) + "x")
		o.PaymentID, o.Gateway = long(unit, order.MaxID), long("g", order.MaxName)
		number := fmt.Sprintf("%d", i) + long("R", order.MaxRefundNo-1)
		e.fire(t, o, order.EventRequestRefund, number, 1, e.at(1))
		fill := func(o *order.Order) {
			r := o.Refund(number)
			r.Reason, r.ReviewNote = long(unit, order.MaxText), long(unit, order.MaxText)
			r.RequestedBy, r.ReviewedBy = order.Actor(long(unit,
				order.MaxActor)), order.Actor(long(unit, order.MaxActor))
			r.ProviderRefundID, r.Code, r.Message = long(unit,
				order.MaxCode), long(unit, order.MaxCode), long(unit, order.MaxMessage)
			r.Recipient = long(unit, order.MaxCode)
			last := &o.History[len(o.History)-1]
			last.Note, last.Actor = long(unit,
				order.MaxText), order.Actor(long(unit, order.MaxActor))
		}
		if i%2 == 0 {
			fill(o)
		}
		require.NoError(t, e.store.Create(bg, o), "%q", unit)
		require.NoError(t, e.store.Update(bg, o.ID, func(
			_ context.Context, stored *order.Order,
		) error {
			e.fire(t, stored, order.EventApprove, number, 0, e.at(2))
			fill(stored)
			past := o.History
			*o = *stored.Clone()
			o.History = append(past, o.History...)
			return nil
		}), "%q", unit)
		o.Version++
		requireSame(t, o, e.get(t, o.ID), "texts of %q", unit)
	}
}

func createTwice(t tb, e *env) {
	first := e.create(t, "O-1", "R-1")
	other := e.paid("O-1")
	other.Total = 5
	require.ErrorIs(t, e.store.Create(bg, other), refund.ErrExists)
	e.fire(t, other, order.EventRequestRefund, "R-2", 1, e.at(3))
	require.ErrorIs(t, e.store.Create(bg, other), refund.ErrExists,
		"also with refunds and a history")
	requireSame(t, first, e.get(t, "O-1"), "the first order is unchanged")
}

func notFound(t tb, e *env) {
	e.create(t, "O-1", "R-0")
	_, err := e.store.Get(bg, "O-2")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	called := false
	err = e.store.Update(bg, "O-2",
		func(context.Context, *order.Order) error { called = true; return nil })
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	require.False(t, called, "fn must not run without an order")
	_, err = e.store.History(bg, "O-2", 0, 10)
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	for _, id := range []string{"o-1", "O-1 "} {
		_, err = e.store.Get(bg, id)
		require.ErrorIs(t, err, refund.ErrOrderNotFound, "IDs are case-sensitive, and spaces count")
		_, err = e.store.History(bg, id, 0, 10)
		require.ErrorIs(t, err, refund.ErrOrderNotFound)
		require.ErrorIs(t, e.store.Update(bg, id, e.request(t, "R-1")), refund.ErrOrderNotFound)
	}
}

func updateCommits(t tb, e *env) {
	want := e.create(t, "O-1", "R-1")
	err := e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		past := want.History
		want.History = nil
		requireSame(t, want, o, "fn receives the order as it is stored")
		e.fire(t, o, order.EventApprove, "R-1", 0, e.at(2))
		e.fire(t, o, order.EventRequestRefund, "R-2", 7, e.at(3))
		o.Refund("R-1").Attempts++
		want = o.Clone()
		want.History = append(past, o.History...)
		return nil
	})
	require.NoError(t, err)
	want.Version = 2
	requireSame(t, want, e.get(t, "O-1"), "the store holds what fn left")
	require.NoError(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		o.Refund("R-1").NextAttemptAt = e.at(99) // no transition, only the schedule changes
		return nil
	}))
	require.Equal(t, e.at(99), e.get(t, "O-1").Refund("R-1").NextAttemptAt)
}

func updateRollsBackOnError(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	err := e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		e.fire(t, o, order.EventApprove, "R-1", 0, e.at(2))
		e.fire(t, o, order.EventRequestRefund, "R-2", 7, e.at(3))
		return errTest
	})
	require.ErrorIs(t, err, errTest, "Update returns the error of fn")
	requireSame(t, before, e.get(t, "O-1"), "nothing is committed")
	require.NoError(t, e.store.Update(bg, "O-1", e.request(t, "R-2")),
		"the store can be used again")
}

func updateRollsBackOnPanic(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	var caught any
	func() {
		defer func() { caught = recover() }()
		_ = e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			e.fire(t, o, order.EventApprove, "R-1", 0, e.at(2))
			panic(errTest)
		})
	}()
	require.Equal(t, any(errTest), caught, "the caller receives the panic")
	requireSame(t, before, e.get(t, "O-1"), "nothing is committed")
	ctx, cancel := e.limit(bg)
	defer cancel()
	require.NoError(t, e.store.Update(ctx, "O-1", e.request(t, "R-2")), "no lock is left")
}

func versionCountsCommits(t tb, e *env) {
	require.EqualValues(t, 1, e.create(t, "O-1").Version)
	for i, number := range []string{"R-1", "R-2", "R-3"} {
		require.NoError(t, e.store.Update(bg, "O-1", e.request(t, number)))
		require.EqualValues(t, i+2, e.get(t, "O-1").Version)
	}
}

func historyStaysWhole(t tb, e *env) {
	e.create(t, "O-1", "R-1", "R-2")
	for i, f := range []struct {
		ev     order.Event
		number string
	}{
		{order.EventApprove, "R-2"},
		{order.EventReject, "R-1"},
		{order.EventHold, "R-2"},
		{order.EventSettle, "R-2"},
	} {
		require.NoError(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			require.EqualValues(t, i+2, o.Seq)
			e.fire(t, o, f.ev, f.number, 0, e.at(i+20))
			return nil
		}))
	}
	o := e.get(t, "O-1")
	require.Len(t, o.History, 6)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	require.NoError(t, m.Verify(o), "refunds and transitions are returned oldest first")
}

// historyIsNotLoaded: the cost of an order does not grow with its history.
func historyIsNotLoaded(t tb, e *env) {
	e.create(t, "O-1", "R-1", "R-2")
	o, err := e.store.Get(bg, "O-1")
	require.NoError(t, err)
	require.Empty(t, o.History, "Get returns no history")
	require.NoError(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		require.Empty(t, o.History, "fn receives no history")
		o.Refunds[0].Attempts++
		return nil
	}))
	require.Len(t, e.get(t, "O-1").History, 2, "and the store keeps it")
}

func historyPages(t tb, e *env) {
	want := e.create(t, "O-1", "R-1", "R-2", "R-3", "R-4", "R-5").History
	e.create(t, "O-2", "R-6")
	require.Len(t, want, 5)
	page := func(after int64, limit int) []order.Transition {
		page, err := e.store.History(bg, "O-1", after, limit)
		require.NoError(t, err)
		return page
	}
	for after := range 6 {
		for limit := 1; limit <= 6; limit++ {
			expected := want[after:min(after+limit, len(want))]
			require.Equal(t, append([]order.Transition{}, expected...), append([]order.Transition{},
				page(int64(after), limit)...),
				"at most %d after %d, oldest first", limit, after)
		}
	}
	require.Empty(t, page(99, 1))
	got := page(0, 1)
	got[0].Note = "scribbled"
	require.Equal(t, want[0], page(0, 1)[0], "the page belongs to the caller")
}

// historyContinues: the store refuses a history that does not continue the stored one.
func historyContinues(t tb, e *env) {
	before := e.create(t, "O-1", "R-1")
	for name, spoil := range map[string]func(o *order.Order){
		"a gap":               func(o *order.Order) { o.History[0].Seq, o.Seq = 9, 9 },
		"twice the same":      func(o *order.Order) { o.History = append(o.History, o.History[0]) },
		"not up to seq":       func(o *order.Order) { o.Seq++ },
		"beyond seq":          func(o *order.Order) { o.Seq-- },
		"seq without history": func(o *order.Order) { o.History = nil },
		"from the beginning":  func(o *order.Order) { o.History = append(before.Clone().History, o.History...) },
	} {
		require.ErrorIs(t, e.store.Update(bg, "O-1", func(
			ctx context.Context, o *order.Order,
		) error {
			require.NoError(t, e.request(t, "R-2")(ctx, o))
			spoil(o)
			return nil
		}), order.ErrInvalid, name)
		requireSame(t, before, e.get(t, "O-1"), "%s: nothing is committed", name)
		if name == "from the beginning" {
			continue // correct for a new order
		}
		o := e.paid("O-2")
		e.fire(t, o, order.EventRequestRefund, "R-2", 1, e.at(1))
		spoil(o)
		require.ErrorIs(t, e.store.Create(bg, o), order.ErrInvalid, name)
	}
}

func refundNoIsUnique(t tb, e *env) {
	e.create(t, "O-1", "R-1")
	before := e.create(t, "O-2", "R-2")
	require.ErrorIs(t, e.store.Update(bg, "O-2", e.request(t, "R-1")), order.ErrConflict)
	requireSame(t, before, e.get(t, "O-2"), "nothing is committed")
	o := e.paid("O-3")
	e.fire(t, o, order.EventRequestRefund, "R-1", 1, e.at(1))
	require.ErrorIs(t, e.store.Create(bg, o), order.ErrConflict)
	_, err := e.store.Get(bg, "O-3")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
	require.NoError(t, e.store.Update(bg, "O-2", e.request(t, "r-1")), "numbers are case-sensitive")
}

func copiesIn(t tb, e *env) {
	o := e.paid("O-1")
	e.fire(t, o, order.EventRequestRefund, "R-1", 1, e.at(1))
	require.NoError(t, e.store.Create(bg, o))
	before := e.get(t, "O-1")
	scribble(o)
	requireSame(t, before, e.get(t, "O-1"), "the order of Create belongs to the caller")

	var kept *order.Order
	require.NoError(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		kept = o
		return e.request(t, "R-2")(bg, o)
	}))
	before = e.get(t, "O-1")
	scribble(kept)
	requireSame(t, before, e.get(t, "O-1"), "the order that fn kept changes nothing after Update")
}

func copiesOut(t tb, e *env) {
	before := e.create(t, "O-1", "R-1").Clone()
	scribble(e.get(t, "O-1"))
	requireSame(t, before, e.get(t, "O-1"), "the order of Get belongs to the caller")

	page, err := e.store.ListRefunds(bg, refund.Filter{})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	page.Entries[0].Refund.Amount = 999
	requireSame(t, before, e.get(t, "O-1"), "the page belongs to the caller")

	require.Error(t, e.store.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
		scribble(o)
		return errTest
	}))
	requireSame(t, before, e.get(t, "O-1"), "fn receives a copy")
}

// scribble overwrites everything that an order holds, and the spare capacity of its lists.
func scribble(o *order.Order) {
	o.Total, o.Gateway = -1, "scribbled"
	for i := range o.Refunds {
		o.Refunds[i].Amount, o.Refunds[i].No = -1, "scribbled"
	}
	for i := range o.History {
		o.History[i].Note = "scribbled"
	}
	o.Refunds = append(o.Refunds, order.Refund{No: "scribbled"})
	o.History = append(o.History, order.Transition{Note: "scribbled"})
}
