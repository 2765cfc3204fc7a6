//go:build unix

package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestRestart stops a database server three times while four clients write to it. Every command
// fails with a clear error or is stored once, and no money is paid twice.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, private := range privateServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := private(t)
			require.NoError(t, srv.on(t, srv.connect(t, srv.dsn)).Migrate(bg))
			ctx, cancel := context.WithTimeout(bg, patience)
			defer cancel()
			r := &restart{
				up: make(chan struct{}), failed: make(chan struct{}, 1),
				bank: refundtest.New(),
			}
			close(r.up)
			clients := make([]*client, 4)
			var wg sync.WaitGroup
			for i := range clients {
				c := &client{restart: r, name: fmt.Sprint(i), clock: refundtest.NewClock(at(0))}
				c.svc = c.service(t, srv)
				clients[i] = c
				wg.Add(1)
				go func() { defer wg.Done(); c.err = c.write(ctx) }()
			}
			for _, sig := range srv.signals {
				r.progress(t)
				r.down()
				srv.stop(t, sig)
				select {
				case <-r.failed:
				case <-ctx.Done():
					require.FailNow(t, "no client notices that the server is gone")
				}
				srv.start(t)
				close(r.up)
			}
			r.progress(t)
			r.enough.Store(true)
			wg.Wait()
			r.check(t, srv, clients)
		})
	}
}

// restart is shared by the clients and the test that stops the server.
type restart struct {
	mu     sync.Mutex
	up     chan struct{} // closed while the server is up
	failed chan struct{} // receives when a command has failed
	acked  atomic.Int64  // commands that succeeded
	enough atomic.Bool
	bank   *refundtest.Gateway
}

func (r *restart) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = make(chan struct{})
	select {
	case <-r.failed: // of an earlier time
	default:
	}
}

func (r *restart) isUp() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up
}

// progress waits until the clients have done some more.
func (r *restart) progress(t *testing.T) {
	t.Helper()
	most := r.acked.Load() + 40
	require.Eventually(t, func() bool { return r.acked.Load() >= most }, patience, time.Millisecond)
}

// client stands for a process, with its own pool and clock.
type client struct {
	*restart
	name   string
	svc    *refund.Service
	clock  *refundtest.Clock
	orders int
	errs   []error // of commands that were given again
	err    error
}

func (c *client) service(t *testing.T, srv *server) *refund.Service {
	t.Helper()
	svc, err := refund.NewService(
		newMachine(t), srv.on(t, srv.connect(t, srv.dsn)), c.bank,
		refund.Options{Now: c.clock.Now},
	)
	require.NoError(t, err)
	return svc
}

func (c *client) id(i int) string { return fmt.Sprintf("O-%s-%d", c.name, i) }

func (c *client) number(i, n int) string { return fmt.Sprintf("R-%s-%d-%d", c.name, i, n) }

// write gives commands, each until it succeeds.
func (c *client) write(ctx context.Context) error {
	for ; !c.enough.Load(); c.orders++ {
		id := c.id(c.orders)
		if err := c.do(ctx, id, func() error {
			_, err := c.svc.Register(ctx, refund.RegisterParams{
				OrderID: id, Gateway: "bank", Currency: "CNY", Total: 100,
			})
			return err
		}); err != nil {
			return err
		}
		for n, amount := range []int64{60, 40} {
			if err := c.refund(ctx, id, c.number(c.orders, n), amount); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) refund(ctx context.Context, id, number string, amount int64) error {
	if err := c.do(ctx, id, func() error {
		return ask(ctx, c.svc, id, number, amount)
	}); err != nil {
		return err
	}
	var state order.State
	if err := c.do(ctx, id, func() error {
		r, err := c.svc.ApproveAndSend(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: amount, Actor: "staff:1",
		})
		state = r.State
		return err
	}); err != nil {
		return err
	}
	for state != order.StateRefunded {
		c.clock.Advance(time.Hour) // what a lost Process has leased is free again
		if err := c.do(ctx, id, func() error {
			next, err := c.svc.Process(ctx, refund.Ref{OrderID: id, RefundNo: number})
			state = next.State
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) do(ctx context.Context, id string, command func() error) error {
	for {
		err := command()
		if err == nil {
			c.acked.Add(1)
			return nil
		}
		for _, lost := range []error{
			refund.ErrOrderNotFound, order.ErrRefundNotFound, order.ErrConflict, refund.ErrExists,
			order.ErrAmount, order.ErrInvalid, order.ErrTransition,
		} {
			if errors.Is(err, lost) {
				return fmt.Errorf("what was acknowledged is lost: %w", err)
			}
		}
		if !strings.Contains(err.Error(), id) {
			return fmt.Errorf("it does not say which order: %w", err)
		}
		c.errs = append(c.errs, err)
		select {
		case c.failed <- struct{}{}:
		default:
		}
		select {
		case <-c.isUp():
		case <-ctx.Done():
			return err
		}
	}
}

// check reads the database at the end. It holds what was acknowledged and nothing else.
func (r *restart) check(t *testing.T, srv *server, clients []*client) {
	t.Helper()
	db := srv.connect(t, srv.dsn)
	s := srv.on(t, db)
	orders, failed, unclear := 0, 0, 0
	for _, c := range clients {
		require.NoError(t, c.err)
		for i := range c.orders {
			o := requireLegal(t, s, c.id(i))
			require.EqualValues(t, 100, o.Refunded)
			require.Len(t, o.History, 6, "each refund is asked for, approved and settled once")
			require.EqualValues(t, 60, r.bank.Paid(c.number(i, 0)))
			require.EqualValues(t, 40, r.bank.Paid(c.number(i, 1)))
			require.EqualValues(t, 100, r.bank.PaidTotal(c.id(i)))
		}
		orders += c.orders
		failed += len(c.errs)
		for _, err := range c.errs {
			if errors.Is(err, sqlstore.ErrCommit) {
				unclear++
			}
		}
	}
	require.GreaterOrEqual(t, failed, len(srv.signals))
	for table, rows := range map[string]int{"orders": orders, "refunds": 2 * orders, "transitions": 6 * orders} {
		var n int
		require.NoError(t, db.QueryRowContext(bg, "SELECT COUNT(*) FROM orderfsm_"+table).Scan(&n))
		require.Equal(t, rows, n, table)
	}
	sent := map[string]bool{}
	for _, c := range r.bank.Calls() {
		sent[c.Request.RefundNo] = true
	}
	require.Len(t, sent, 2*orders)
	t.Logf("%d orders; %d commands failed and were given again, %d of them at COMMIT", orders,
		failed, unclear)
}
