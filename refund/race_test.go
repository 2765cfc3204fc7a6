package refund_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// together runs n functions at once and returns their errors.
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			errs[i] = f(i)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	return errs
}

func TestConcurrentRequestsNeverExceedTheTotal(t *testing.T) {
	e := newEnv(t)
	e.register()
	errs := concurrently(200, func(i int) error {
		_, err := e.svc.Request(bg, refund.RequestParams{
			Ref: refund.Ref{
				OrderID: "O1", RefundNo: fmt.Sprintf("R%d", i),
			}, Amount: 6000, Actor: buyer,
		})
		return err
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, order.ErrAmount)
		require.ErrorContains(t, err, "amount 6000 exceeds the 4000 left")
	}
	require.Equal(t, 1, won)
	o := e.order()
	require.Len(t, o.Refunds, 1)
	require.EqualValues(t, 6000, o.Reserved)
}

func TestApproveAgainstCancel(t *testing.T) {
	for range 50 {
		e := newEnv(t)
		e.into(order.StateRefundRequested)
		errs := concurrently(2, func(i int) error {
			_, err := []call{approve(4000), cancel(false)}[i].do(bg, e.svc)
			return err
		})
		winner, loser := 0, 1
		if errs[0] != nil {
			winner, loser = 1, 0
		}
		require.NoError(t, errs[winner])
		require.ErrorIs(t, errs[loser], order.ErrTransition)
		require.Equal(
			t, []order.State{order.StateApproved, order.StateCancelled}[winner],
			e.refund("R1").State,
		)
		require.EqualValues(t, 2, e.order().Seq)
	}
}

func TestTwoProcessesAtOnce(t *testing.T) {
	for range 50 {
		e := newEnv(t)
		ref := e.approved("R1", 4000)
		concurrently(8, func(int) error {
			_, err := e.svc.Process(bg, ref)
			return err
		})
		require.Equal(t, []string{"refund R1"}, called(e.bank), "one asks, the others stop")
		require.Equal(t, refund.OutcomeAccepted, e.bank.State("R1"))
		require.Equal(t, 1, e.refund("R1").Attempts)
	}
}

// TestHooksThatCallTheService: an Update of the same order is an error, never a deadlock, and the
// command is rolled back.
func TestHooksThatCallTheService(t *testing.T) {
	t.Run("After may", func(t *testing.T) {
		e := newEnv(t, func(e *env, o *refund.Options) {
			o.Hooks[0].After = func(ctx context.Context, _ *order.Order, t order.Transition) {
				if t.Event == order.EventRequestRefund {
					_, err := approve(4000).do(ctx, e.svc)
					require.NoError(e.t, err)
				}
			}
		})
		e.register()
		_, err := request(4000, "r").do(bg, e.svc)
		require.NoError(t, err)
		require.Equal(t, order.StateApproved, e.refund("R1").State)
	})
	t.Run("InTx may not touch the same order", func(t *testing.T) {
		e := newEnv(t, func(e *env, o *refund.Options) {
			o.Hooks[0].InTx = func(ctx context.Context, _ *order.Order, _ order.Transition) error {
				_, err := approve(4000).do(ctx, e.svc)
				return err
			}
		})
		e.register()
		before := e.order()
		_, err := request(4000, "r").do(bg, e.svc)
		require.Error(t, err)
		require.Equal(t, before, e.order())
	})
	t.Run("InTx may not call the provider", func(t *testing.T) {
		calls := map[string]func(ctx context.Context, s *refund.Service) error{
			"process": func(ctx context.Context, s *refund.Service) error {
				_, err := s.Process(ctx, o1("R1"))
				return err
			},
			"approve_and_send": func(ctx context.Context, s *refund.Service) error {
				_, err := s.ApproveAndSend(
					ctx, refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller},
				)
				return err
			},
			"abandon": func(ctx context.Context, s *refund.Service) error {
				_, err := abandon.do(ctx, s)
				return err
			},
			"sync": func(ctx context.Context, s *refund.Service) error {
				_, err := s.Sync(ctx, "O1")
				return err
			},
			"notification": func(ctx context.Context, s *refund.Service) error {
				return s.HandleNotification(ctx, refund.Notification{
					Result: refund.Result{
						Outcome: refund.OutcomeSucceeded, OrderID: "O1", RefundNo: "R1",
						Amount: 4000,
					},
				})
			},
		}
		for name, do := range calls {
			t.Run(name, func(t *testing.T) {
				e := newEnv(t, func(e *env, o *refund.Options) {
					o.Hooks[0].InTx = func(
						ctx context.Context, _ *order.Order, t order.Transition,
					) error {
						if t.Event == order.EventApprove {
							return do(ctx, e.svc)
						}
						return nil
					}
				})
				e.into(order.StateRefundRequested)
				_, err := approve(4000).do(bg, e.svc)
				require.ErrorIs(t, err, refund.ErrInTx)
				require.Empty(t, called(e.bank))
				require.Equal(t, order.StateRefundRequested, e.refund("R1").State)
			})
		}
	})
	t.Run("After that panics fails nothing", func(t *testing.T) {
		e := newEnv(t, func(_ *env, o *refund.Options) {
			o.Hooks[0].After = func(
				context.Context, *order.Order, order.Transition,
			) {
				panic("after")
			}
		})
		e.into(order.StateRefundRequested)
	})
}

// twiceStore runs every fn twice, as a store does that retries after a deadlock.
type twiceStore struct{ refund.Store }

func (s twiceStore) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	return s.Store.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		again := o.Clone()
		_ = fn(ctx, again)
		return fn(ctx, o)
	})
}

func TestCommandsMayRunTwice(t *testing.T) {
	e := newEnv(t)
	s, err := refund.NewService(
		e.machine, twiceStore{e.store}, e.bank,
		refund.Options{Now: e.clock.Now, Hooks: []refund.Hooks{e.hooks()}},
	)
	require.NoError(t, err)
	e.svc = s
	e.into(order.StateRefunded)
	require.Equal(t, []string{"refund R1", "query R1"}, called(e.bank))
	require.Len(t, e.after, 3, "one After per transition")
	require.Len(t, e.order().History, 3)
}
