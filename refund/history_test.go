package refund_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// pageReader counts what the Service reads, and may get histories from elsewhere.
type pageReader struct {
	refund.Store
	gets    int
	history func(after int64, limit int) ([]order.Transition, error)
}

func (r *pageReader) Get(ctx context.Context, id string) (*order.Order, error) {
	r.gets++
	return r.Store.Get(ctx, id)
}

func (r *pageReader) History(
	ctx context.Context, id string, after int64, limit int,
) ([]order.Transition, error) {
	if r.history != nil {
		return r.history(after, limit)
	}
	return r.Store.History(ctx, id, after, limit)
}

// many is for orders with more requests than a buyer may make.
func many(_ *env, o *refund.Options) { o.MaxRequests = 1000 }

// long asks for refunds of O1 and cancels them, n times.
func (e *env) long(n int) {
	e.t.Helper()
	e.register()
	for i := range n {
		number := fmt.Sprintf("R%d", i)
		_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1(number), Amount: 1, Actor: buyer})
		require.NoError(e.t, err)
		_, err = e.svc.Cancel(bg, refund.CancelParams{Ref: o1(number), Actor: buyer})
		require.NoError(e.t, err)
	}
}

// TestOrderHasItsWholeHistory: however many pages it has, and even if it grows while it is read.
func TestOrderHasItsWholeHistory(t *testing.T) {
	e := newEnv(t, many)
	e.long(refund.MaxLimit + 1) // three pages
	r := &pageReader{Store: e.store}
	s, err := refund.NewService(e.machine, r, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	o, err := s.Order(bg, "O1")
	require.NoError(t, err)
	require.NoError(t, e.machine.Verify(o))
	require.Len(t, o.History, 2*refund.MaxLimit+2)

	grown := false
	r.history = func(after int64, limit int) ([]order.Transition, error) {
		if !grown {
			grown = true
			_, err := e.svc.Request(bg, refund.RequestParams{Ref: o1("R"), Amount: 1, Actor: buyer})
			require.NoError(t, err)
		}
		return e.store.History(bg, "O1", after, limit)
	}
	o, err = s.Order(bg, "O1")
	require.NoError(t, err)
	require.Nil(t, o.Refund("R"), "it came later")
	require.NoError(t, e.machine.Verify(o), "order and history are of one moment")

	for name, page := range map[string][]order.Transition{
		"none": nil, "from the beginning": {{Seq: 1}},
	} {
		r.history = func(after int64, limit int) ([]order.Transition, error) {
			if after == 0 {
				return e.store.History(bg, "O1", after, limit)
			}
			return page, nil
		}
		_, err = s.Order(bg, "O1")
		require.ErrorContains(t, err, "the store has no transition 501 of 1003", name)
	}
	_, err = s.Order(bg, "O9")
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
}

func TestHistoryPages(t *testing.T) {
	e := newEnv(t)
	e.long(2)
	page, err := e.svc.History(bg, "O1", 1, 2)
	require.NoError(t, err)
	require.Equal(t, e.order().History[1:3], page)
	for _, limit := range []int{0, -1} {
		page, err = e.svc.History(bg, "O1", 0, limit)
		require.NoError(t, err)
		require.Len(t, page, 4, "zero is the default")
	}
	_, err = e.svc.History(bg, "O9", 0, 1)
	require.ErrorIs(t, err, refund.ErrOrderNotFound)
}

// TestHooksSeeTheRunningCommand: hooks and guards get an order whose History is that of the
// command. They can read what was before.
func TestHooksSeeTheRunningCommand(t *testing.T) {
	var seen []string
	var past int
	e := newEnv(t, func(e *env, o *refund.Options) {
		note := func(hook string, o *order.Order) {
			for _, tr := range o.History {
				seen = append(seen, fmt.Sprintf("%s %s", hook, tr.Event))
			}
		}
		o.Hooks[0].Guard = func(ctx context.Context, o *order.Order, _ order.Transition) error {
			note("guard", o)
			page, err := e.svc.History(ctx, o.ID, 0, 0)
			past = len(page)
			return err
		}
		o.Hooks[0].InTx = func(_ context.Context, o *order.Order, _ order.Transition) error {
			note("in tx", o)
			return nil
		}
		o.Hooks[0].After = func(
			_ context.Context, o *order.Order, _ order.Transition,
		) {
			note("after", o)
		}
	})
	e.long(1)
	require.Equal(
		t, []string{"in tx request_refund", "after request_refund", "in tx cancel", "after cancel"},
		seen,
	)
	require.Equal(t, 1, past, "before the cancel there was the request")
}

// TestReconcileReadsAnOrderOnce: not once for each of its refunds.
func TestReconcileReadsAnOrderOnce(t *testing.T) {
	e := newEnv(t, many)
	e.long(150)
	r := &pageReader{Store: e.store}
	s, err := refund.NewService(e.machine, r, e.bank, refund.Options{Now: e.clock.Now})
	require.NoError(t, err)
	e.clock.Advance(time.Second)
	all, _ := reports(t, s, refund.Filter{})
	require.Len(t, all, 1)
	require.LessOrEqual(t, r.gets, 2, "to find it, and to compare it")
}

// TestHistoryOfAnOrderThatCannotBeRead: an incomplete history is an error.
func TestHistoryOfAnOrderThatCannotBeRead(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateApproved)
	r := &pageReader{
		Store:   e.store,
		history: func(int64, int) ([]order.Transition, error) { return nil, errStore },
	}
	o, err := refund.LoadOrder(bg, r, "O1")
	require.Nil(t, o)
	require.ErrorIs(t, err, errStore)
	require.EqualError(t, err, "get the history of order O1: the store is down")
}

// TestCheckHistory: what a store appends continues the stored history, without gaps.
func TestCheckHistory(t *testing.T) {
	for _, c := range []struct {
		history []int64
		newest  int64 // of the order
		has     int64
		says    string
	}{
		{nil, 0, 0, ""},
		{nil, 7, 7, ""},
		{[]int64{1, 2}, 2, 0, ""},
		{[]int64{8, 9}, 9, 7, ""},
		{[]int64{2}, 2, 0, "history: has transition 2 in place of 1"},
		{[]int64{1, 3}, 3, 0, "history: has transition 3 in place of 2"},
		{[]int64{7, 8}, 8, 7, "history: has transition 7 in place of 8"},
		{[]int64{1}, 2, 0, "history: ends with transition 1, but the order's seq is 2"},
		{nil, 1, 0, "history: ends with transition 0, but the order's seq is 1"},
	} {
		o := &order.Order{Seq: c.newest}
		for _, seq := range c.history {
			o.History = append(o.History, order.Transition{Seq: seq})
		}
		err := refund.CheckHistory(o, c.has)
		if c.says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, order.ErrInvalid)
		require.EqualError(t, err, c.says)
	}
}
