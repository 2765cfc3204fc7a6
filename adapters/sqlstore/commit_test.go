package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestLostCommitNeedsProof: a write whose answer to COMMIT is lost succeeds only if the database
// holds that write. Later commits of others prove nothing.
func TestLostCommitNeedsProof(t *testing.T) {
	t.Parallel()
	ask := func(_ context.Context, o *order.Order) error {
		o.Refunds, o.Reserved = append(o.Refunds, order.Refund{
			No: fmt.Sprintf("R-%s-%d", o.ID, len(o.Refunds)), Amount: 1,
			State: order.StateRefundRequested, RequestedAt: at(1),
		}), o.Reserved+1
		return nil
	}
	update := func(
		fn func(context.Context, *order.Order) error,
	) func(*sqlstore.Store, string) error {
		return func(s *sqlstore.Store, id string) error { return s.Update(bg, id, fn) }
	}
	create := func(s *sqlstore.Store, id string) error {
		o := newOrder(id)
		request(t, o, "R-"+id, 10)
		return s.Create(bg, o)
	}
	writes := []struct {
		name   string
		write  func(s *sqlstore.Store, id string) error
		others func(s *sqlstore.Store, id string) error
	}{
		{"a lease, others' leases", update(lease), update(lease)},
		{"a lease, others' commands", update(lease), update(ask)},
		{"a command, others' commands", update(ask), update(ask)},
		{"a command, others' leases", update(ask), update(lease)},
		{"a new order, others' order", create, func(s *sqlstore.Store, id string) error {
			err := create(s, id)
			if errors.Is(err, refund.ErrExists) { // the lost one was executed
				return s.Update(bg, id, lease)
			}
			return err
		}},
	}
	onEach(t, func(t *testing.T, d database) {
		plain, shaky, l := losing(t, d)
		for i, w := range writes {
			for _, executed := range []bool{false, true} {
				for others := range 3 {
					name := fmt.Sprintf("%s, executed: %v, %d commits between", w.name, executed,
						others)
					id := fmt.Sprintf("O-%d-%v-%d", i, executed, others)
					if i < len(writes)-1 {
						require.NoError(t, create(plain, id))
					}
					l.lose(executed, func() {
						for range others {
							assert.NoError(t, w.others(plain, id), name)
						}
					})
					err := w.write(shaky, id)
					if executed && others == 0 {
						require.NoError(t, err, name)
					} else {
						require.ErrorIs(t, err, sqlstore.ErrCommit, name)
					}
				}
			}
		}
	})
}

// TestLostCommitOfNothing: an Update that wrote nothing into the order's row cannot prove what its
// hooks wrote.
func TestLostCommitOfNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		plain, shaky, l := losing(t, d)
		require.NoError(t, plain.Create(bg, newOrder("O-1")))
		l.lose(true, nil)
		nothing := func(context.Context, *order.Order) error { return nil }
		require.ErrorIs(t, shaky.Update(bg, "O-1", nothing), sqlstore.ErrCommit)
		require.NoError(t, shaky.Update(bg, "O-1", nothing))

		// Also if the order cannot be read then: no answer is no proof.
		l.lose(true, func() {
			db := sql.OpenDB(l)
			defer db.Close()
			_, err := db.ExecContext(bg, "ALTER TABLE orderfsm_orders RENAME TO orderfsm_gone")
			assert.NoError(t, err)
		})
		require.ErrorIs(t, shaky.Update(bg, "O-1", nothing), sqlstore.ErrCommit)
	})
}

// TestLostCommitOfLeasePaysOnce: the COMMIT of a lease is lost and was not executed. Before the
// store reads the order, the merchant cancels the refund, which was never sent, and the buyer
// requests another one. The cancelled refund must not be sent.
func TestLostCommitOfLeasePaysOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		plain, shaky, l := losing(t, d)
		bank := refundtest.New()
		services := map[*sqlstore.Store]*refund.Service{}
		for _, s := range []*sqlstore.Store{plain, shaky} {
			svc, err := refund.NewService(newMachine(t), s, bank, refund.Options{})
			require.NoError(t, err)
			services[s] = svc
		}
		good, bad := services[plain], services[shaky]
		register(t, good, "O-1")
		require.NoError(t, ask(bg, good, "O-1", "R-1", 50))
		_, err := good.Approve(bg, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, Amount: 50, Actor: "staff:1",
		})
		require.NoError(t, err)
		l.lose(false, func() {
			_, err := good.Cancel(bg, refund.CancelParams{
				Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, Actor: "staff:1", EvenIfApproved: true,
			})
			assert.NoError(t, err)
			assert.NoError(t, ask(bg, good, "O-1", "R-2", 50))
		})
		_, err = bad.Process(bg, refund.Ref{OrderID: "O-1", RefundNo: "R-1"})
		require.ErrorIs(t, err, sqlstore.ErrCommit)
		_, err = good.ApproveAndSend(bg, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-2"}, Amount: 50, Actor: "staff:1",
		})
		require.NoError(t, err)
		require.Zero(t, bank.Paid("R-1"))
		require.EqualValues(t, 50, bank.Paid("R-2"))
	})
}

// TestLostCommitRepeats: a command whose answer to COMMIT was lost is given again and returns what
// the first call would have returned, whether the COMMIT was executed or not.
func TestLostCommitRepeats(t *testing.T) {
	t.Parallel()
	asked := []order.Event{order.EventRequestRefund}
	failed := append(slices.Clone(asked), order.EventApprove, order.EventFail)
	held := append(slices.Clone(asked), order.EventApprove, order.EventHold)
	commands := []struct {
		name   string
		events []order.Event // that lead to it
		state  order.State   // that it leaves
		run    func(svc *refund.Service, ref refund.Ref) (order.Refund, error)
	}{
		{
			"request", nil, order.StateRefundRequested,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Request(bg, refund.RequestParams{Ref: ref, Amount: 50, Actor: "buyer:1"})
			},
		},
		{
			"approve", asked, order.StateApproved,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Approve(bg, refund.ApproveParams{Ref: ref, Amount: 50, Actor: "staff:1"})
			},
		},
		{
			"reject", asked, order.StateRejected,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Reject(bg, refund.RejectParams{Ref: ref, Actor: "staff:1", Note: "worn"})
			},
		},
		{
			"cancel", asked, order.StateCancelled,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Cancel(bg, refund.CancelParams{Ref: ref, Actor: "buyer:1"})
			},
		},
		{
			"retry", failed, order.StateApproved,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Retry(bg, refund.RetryParams{Ref: ref, Actor: "staff:1"})
			},
		},
		{
			"abandon", failed, order.StateAbandoned,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Abandon(bg, refund.AbandonParams{Ref: ref, Actor: "staff:1"})
			},
		},
		{
			"resolve", held, order.StateRefunded,
			func(svc *refund.Service, ref refund.Ref) (order.Refund, error) {
				return svc.Resolve(bg, refund.ResolveParams{
					Ref:        ref,
					Resolution: refund.ResolutionPaid,
					Evidence:   "transfer 7", Actor: "staff:1",
				})
			},
		},
	}
	// A commit of others that is no command.
	touch := func(_ context.Context, o *order.Order) error {
		o.UpdatedAt = o.UpdatedAt.Add(time.Second)
		return nil
	}
	onEach(t, func(t *testing.T, d database) {
		plain, shaky, l := losing(t, d)
		svc := service(t, shaky, refund.Options{})
		for _, c := range commands {
			for _, executed := range []bool{false, true} {
				id := fmt.Sprintf("O-%s-%v", c.name, executed)
				ref := refund.Ref{OrderID: id, RefundNo: "R-" + id}
				o := newOrder(id)
				for _, ev := range c.events {
					_, err := newMachine(t).Fire(bg, o, order.Trigger{
						Event: ev, RefundNo: ref.RefundNo, Amount: 50, Actor: "staff:1", At: at(1),
					})
					require.NoError(t, err)
				}
				require.NoError(t, plain.Create(bg, o))
				l.lose(executed, func() {
					assert.NoError(t, plain.Update(bg, id, touch))
				})
				_, err := c.run(svc, ref)
				require.ErrorIs(t, err, sqlstore.ErrCommit, "%s, executed: %v", c.name, executed)
				r, err := c.run(svc, ref)
				require.NoError(t, err, "%s, executed: %v", c.name, executed)
				require.Equal(t, c.state, r.State)
				require.Len(t, requireLegal(t, plain, id).Refunds, 1)
			}
		}
		l.lose(true, func() { assert.NoError(t, plain.Update(bg, "O-new", touch)) })
		params := refund.RegisterParams{
			OrderID: "O-new", Gateway: "bank", Currency: "CNY", Total: 100,
		}
		_, err := svc.Register(bg, params)
		require.ErrorIs(t, err, sqlstore.ErrCommit)
		_, err = svc.Register(bg, params)
		require.NoError(t, err)
	})
}

// TestCallerLeavesAtCommit: if the context ends during a COMMIT whose answer is lost, the After
// hooks still run.
func TestCallerLeavesAtCommit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		_, shaky, l := losing(t, d)
		ran := 0
		svc := service(t, shaky, refund.Options{Hooks: []refund.Hooks{{
			After: func(context.Context, *order.Order, order.Transition) { ran++ },
		}}})
		register(t, svc, "O-1")
		ctx, leave := context.WithCancel(bg)
		l.lose(true, leave)
		require.NoError(t, ask(ctx, svc, "O-1", "R-1", 10))
		require.Error(t, ctx.Err())
		require.Equal(t, 1, ran)
	})
}

// TestSilentDatabase: a database that does not answer from the COMMIT on does not hold a caller
// much longer than its context.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		plain, shaky, l := losing(t, d)
		require.NoError(t, plain.Create(bg, newOrder("O-1")))
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		l.silent = make(chan struct{})
		l.lose(true, func() { close(l.silent); cancel() })
		err := shaky.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
			request(t, o, "R-1", 60)
			return nil
		})
		require.ErrorIs(t, err, sqlstore.ErrCommit) // the test's own deadline is the only other end
	})
}
