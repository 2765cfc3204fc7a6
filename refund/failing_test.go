package refund_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var errStore = errors.New("the store is down")

// countingStore fails one of its calls: before it has an effect, instead of committing, or after it
// has committed.
type countingStore struct {
	refund.Store
	calls, fails int // fails counts from 1
	how          string
	failed       bool
}

const (
	failsBefore   = "before"
	failsRollback = "rollback"
	failsAfter    = "after"
)

func (s *countingStore) at(how string) bool {
	if how != failsBefore && how != s.how {
		return false
	}
	if how == failsBefore {
		s.calls++
	}
	hit := s.calls == s.fails && how == s.how
	s.failed = s.failed || hit
	return hit
}

func (s *countingStore) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	if s.at(failsBefore) {
		return errStore
	}
	err := s.Store.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
		if err := fn(ctx, o); err != nil {
			return err
		}
		if s.at(failsRollback) {
			return errStore
		}
		return nil
	})
	if err == nil && s.at(failsAfter) {
		return errStore
	}
	return err
}

func (s *countingStore) Get(ctx context.Context, id string) (*order.Order, error) {
	if s.at(failsBefore) {
		return nil, errStore
	}
	return s.Store.Get(ctx, id)
}

func (s *countingStore) Create(ctx context.Context, o *order.Order) error {
	if s.at(failsBefore) {
		return errStore
	}
	err := s.Store.Create(ctx, o)
	if err == nil && s.at(failsAfter) {
		return errStore
	}
	return err
}

// TestStoreFailsAtEveryCall: whichever call to the store fails, and however, the command returns
// that error. The same command again does what the first one should have done, once.
func TestStoreFailsAtEveryCall(t *testing.T) {
	type scene struct {
		name  string
		setup func(e *env)
		do    func(s *refund.Service, e *env) error
		end   order.State // of R1
	}
	ref := o1("R1")
	from := func(state order.State) func(*env) {
		return func(e *env) { e.into(state) }
	}
	command := func(c call) func(*refund.Service, *env) error {
		return func(s *refund.Service, _ *env) error { _, err := c.do(bg, s); return err }
	}
	process := func(s *refund.Service, _ *env) error { _, err := s.Process(bg, ref); return err }
	sync := func(s *refund.Service, _ *env) error { _, err := s.Sync(bg, "O1"); return err }
	accepted := func(e *env) {
		e.process(e.approved("R1", 4000))
		e.clock.Advance(time.Hour)
	}
	scenes := []scene{
		{"register", func(*env) {}, func(s *refund.Service, _ *env) error {
			_, err := s.Register(
				bg,
				refund.RegisterParams{
					OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 10000,
				},
			)
			return err
		}, ""},
		{"request", from(order.StatePaid), command(request(4000, "r")), order.StateRefundRequested},
		{"approve", from(order.StateRefundRequested), command(approve(4000)), order.StateApproved},
		{"reject", from(order.StateRefundRequested), command(reject("no")), order.StateRejected},
		{"cancel", from(order.StateRefundRequested), command(cancel(false)), order.StateCancelled},
		{"retry", from(order.StateFailed), command(retry), order.StateApproved},
		{"abandon", from(order.StateFailed), command(abandon), order.StateAbandoned},
		{
			"resolve", from(order.StateAbnormal), command(resolve(refund.ResolutionPaid, "x")),
			order.StateRefunded,
		},
		{"process, sent", from(order.StateApproved), process, order.StateRefunded},
		{"process, paid", accepted, process, order.StateRefunded},
		{"approve_and_send", from(
			order.StateRefundRequested,
		), func(s *refund.Service, _ *env) error {
			_, err := s.ApproveAndSend(
				bg, refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller},
			)
			return err
		}, order.StateRefunded},
		{"notification", accepted, func(s *refund.Service, _ *env) error {
			return s.HandleNotification(bg, success("R1", 4000))
		}, order.StateRefunded},
		{"sync", accepted, sync, order.StateRefunded},
		{"sync, an answer older than the book", func(e *env) {
			accepted(e)
			e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
				_, _ = resolve(refund.ResolutionReturned, "x").do(bg, e.svc)
				e.end("R1", refund.OutcomeClosed)
			}))
		}, sync, order.StateFailed},
		{"sync, adopted", func(e *env) {
			e.register()
			e.console("R1", 4000, refund.OutcomeSucceeded)
		}, sync, order.StateRefunded},
		{"sync, adopted from rejected", func(e *env) {
			e.into(order.StateRejected)
			e.console("R1", 4000, refund.OutcomeSucceeded)
		}, sync, order.StateRefunded},
	}
	for _, sc := range scenes {
		for _, how := range []string{failsBefore, failsRollback, failsAfter} {
			t.Run(sc.name+", "+how, func(t *testing.T) {
				reached := true
				for n := 1; reached; n++ {
					e := newEnv(t)
					sc.setup(e)
					store := &countingStore{Store: e.store, fails: n, how: how}
					s, err := refund.NewService(e.machine, store, e.bank, refund.Options{
						Now:     e.clock.Now,
						Backoff: func(string, int) time.Duration { return time.Minute },
						Hooks:   []refund.Hooks{e.hooks()},
					})
					require.NoError(t, err)
					err = sc.do(s, e)
					reached = store.failed
					// ApproveAndSend returns no error once the refund is approved.
					mayFail := sc.name != "approve_and_send" || n == 1 ||
						e.refund("R1").ApprovedAt.IsZero()
					if reached && mayFail {
						require.ErrorIs(t, err, errStore, "call %d", n)
					}
					if err != nil {
						e.clock.Advance(2 * time.Minute) // a lease may have been taken
						require.NoError(t, sc.do(s, e), "call %d, again", n)
					}
					if sc.end == order.StateRefunded {
						e.run()
					}
					if sc.end != "" {
						require.Equal(t, sc.end, e.refund("R1").State, "call %d", n)
						require.LessOrEqual(t, e.bank.PaidTotal("O1"), int64(4000))
					}
					require.Less(t, n, 20)
				}
			})
		}
	}
}

// TestInTxHookFailsAtEveryTransition: whichever transition the host's hook refuses, the command is
// rolled back. The fact is booked once the hook succeeds.
func TestInTxHookFailsAtEveryTransition(t *testing.T) {
	for _, refused := range []order.Event{
		order.EventRequestRefund, order.EventApprove, order.EventSettle, order.EventFail,
		order.EventHold,
		order.EventRetry, order.EventAbandon, order.EventAdopt, order.EventReject,
		order.EventCancel,
	} {
		for name, broken := range map[string]func() error{
			"error": func() error { return errStore },
			"panic": func() error { panic("hook") },
		} {
			t.Run(fmt.Sprint(refused, " ", name), func(t *testing.T) {
				failing := false
				e := newEnv(t, func(_ *env, o *refund.Options) {
					o.Hooks[0].InTx = func(
						_ context.Context, _ *order.Order, tr order.Transition,
					) error {
						if failing && tr.Event == refused {
							return broken()
						}
						return nil
					}
				})
				ref := o1("R1")
				answered := func(o refund.Outcome) func() error {
					return func() error {
						e.clock.Advance(time.Hour)
						e.bank.NextQuery(refundtest.Answer(refund.Result{Outcome: o}))
						_, err := e.svc.Process(bg, ref)
						return err
					}
				}
				hinted := func() error {
					e.bank.NextQuery(refundtest.Answer(isAccepted))
					return e.svc.HandleNotification(bg, success("R1", 4000))
				}
				command := func(c call) func() error {
					return func() error { _, err := c.do(bg, e.svc); return err }
				}
				steps := map[order.Event]struct {
					from order.State
					do   func() error
				}{
					order.EventRequestRefund: {order.StatePaid, command(request(4000, "r"))},
					order.EventApprove:       {order.StateRefundRequested, command(approve(4000))},
					order.EventReject:        {order.StateRefundRequested, command(reject("no"))},
					order.EventCancel:        {order.StateRefundRequested, command(cancel(false))},
					order.EventRetry:         {order.StateFailed, command(retry)},
					order.EventAbandon:       {order.StateFailed, command(abandon)},
					order.EventAdopt:         {order.StateRejected, hinted},
					order.EventSettle: {
						order.StateApproved, answered(refund.OutcomeSucceeded),
					},
					order.EventFail: {order.StateApproved, answered(refund.OutcomeClosed)},
					order.EventHold: {
						order.StateApproved, answered(refund.OutcomeAbnormal),
					},
				}
				step := steps[refused]
				e.into(step.from)
				if step.from == order.StateApproved {
					e.process(ref) // accepted
				}
				before := e.order()
				failing = true
				require.Error(t, step.do())
				after := e.order()
				require.Equal(t, before.History, after.History)
				require.Equal(t, before.Reserved, after.Reserved)
				require.Equal(t, before.Refunded, after.Refunded)
				failing = false
				require.NoError(t, step.do())
				require.Equal(t, refused, e.order().History[len(before.History)].Event)
			})
		}
	}
}

// restored is a store that is put back to a backup, without any refund, before its call number
// `at`.
type restored struct {
	refund.Store
	backup    refund.Store
	at, calls int
}

func (s *restored) now() refund.Store {
	s.calls++
	if s.calls >= s.at {
		return s.backup
	}
	return s.Store
}

func (s *restored) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	return s.now().Update(ctx, id, fn)
}

func (s *restored) Get(ctx context.Context, id string) (*order.Order, error) {
	return s.now().Get(ctx, id)
}

// TestBackupRestoredDuringACommand: if the refund is no longer in the book, the command returns an
// error that says so, at every step.
func TestBackupRestoredDuringACommand(t *testing.T) {
	ref := o1("R1")
	for name, do := range map[string]func(s *refund.Service) error{
		"process": func(s *refund.Service) error { _, err := s.Process(bg, ref); return err },
		"approve_and_send": func(s *refund.Service) error {
			_, err := s.ApproveAndSend(
				bg, refund.ApproveParams{Ref: o1("R1"), Amount: 4000, Actor: seller},
			)
			return err
		},
		"abandon": func(s *refund.Service) error { _, err := abandon.do(bg, s); return err },
		"notification": func(s *refund.Service) error {
			return s.HandleNotification(bg, success("R1", 4000))
		},
		"sync": func(s *refund.Service) error { _, err := s.Sync(bg, "O1"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			missed := 0
			for at := 1; at < 8; at++ {
				e := newEnv(t)
				if name == "abandon" {
					e.into(order.StateFailed)
				} else {
					e.approved("R1", 4000)
				}
				if name == "sync" || name == "notification" {
					e.process(ref)
				}
				// After an outdated answer the Service asks again, and so reads the store again.
				e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
					_, _ = e.svc.Resolve(bg, refund.ResolveParams{
						Ref: o1("R1"), Resolution: refund.ResolutionReturned, Evidence: "x",
						Actor: seller,
					})
				}))
				backup := newEnv(t)
				backup.register()
				s, err := refund.NewService(
					e.machine, &restored{Store: e.store, backup: backup.store, at: at}, e.bank,
					refund.Options{Now: e.clock.Now},
				)
				require.NoError(t, err)
				if err := do(s); errors.Is(err, order.ErrRefundNotFound) {
					missed++
				}
			}
			// they do not know the refund then
			if name == "sync" || name == "notification" {
				require.GreaterOrEqual(t, missed, 2)
				return
			}
			require.GreaterOrEqual(t, missed, 1)
		})
	}
}

// TestEndedContextPreventsTheCall: if ctx has ended, the provider is not called.
func TestEndedContextPreventsTheCall(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	ctx, cancel := context.WithCancel(bg)
	s, err := refund.NewService(
		e.machine, pausing{e.store, cancel}, e.bank, refund.Options{Now: e.clock.Now},
	)
	require.NoError(t, err)
	next, err := s.Process(ctx, ref)
	require.NoError(t, err)
	require.ErrorIs(t, next.Err, context.Canceled)
	require.Empty(t, called(e.bank))
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestSyncAgreesOnAbnormal: there is no discrepancy. An answer without an outcome is one.
func TestSyncAgreesOnAbnormal(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateAbnormal)
	e.bank.NextQuery(refundtest.Answer(isAbnormal), refundtest.Answer(refund.Result{}))
	for _, differences := range []int{0, 1} {
		rep, err := e.svc.Sync(bg, "O1")
		require.NoError(t, err)
		require.Len(t, rep.Discrepancies, differences)
	}
	require.Empty(t, e.discrepancies)

	e = newEnv(t)
	e.process(e.approved("R1", 4000))
	e.bank.NextQuery(refundtest.Answer(isAccepted))
	rep, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Empty(t, rep.Discrepancies, "it is on its way")
}
