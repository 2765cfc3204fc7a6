package pgxtx_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/pgxtx"
	"github.com/orderfsm/orderfsm/order"
)

// cutter breaks the connection at the n-th message to the server, either before it is sent or
// before its answer arrives.
type cutter struct {
	mu    sync.Mutex
	at    int // 0: never
	after bool
	did   bool
}

func (c *cutter) arm(at int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.after, c.did = at, after, false
}

// due counts a message.
func (c *cutter) due() (cut, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cut = c.at == 1
	if c.at > 0 {
		c.at--
	}
	c.did = c.did || cut
	return cut, c.after
}

func (c *cutter) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.did
}

type cutConn struct {
	net.Conn
	c *cutter

	mu   sync.Mutex
	deaf bool // what the server says is not heard any more
}

func (n *cutConn) Write(b []byte) (int, error) {
	cut, after := n.c.due()
	if cut && !after {
		_ = n.Close()
		return 0, io.ErrUnexpectedEOF
	}
	if cut {
		n.mu.Lock()
		n.deaf = true
		n.mu.Unlock()
	}
	return n.Conn.Write(b)
}

func (n *cutConn) Read(b []byte) (int, error) {
	got, err := n.Conn.Read(b) // so that the server has executed the message
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deaf {
		_ = n.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return got, err
}

// TestCutConnection breaks an Update at every message. The database holds the order as it was
// before or after the Update, as the error says.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	plain := newPool(t, "cut")
	c := &cutter{}
	cfg := plain.Config().Copy()
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn, c: c}, nil
	}
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := pgxtx.New(pool, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(ctx))
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

	committed, cuts := 0, 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			require.Less(t, at, 50, "an Update has an end")
			id := fmt.Sprintf("O-%v-%d", after, at)
			require.NoError(t, s.Create(ctx, &order.Order{
				ID: id, Gateway: "bank", Currency: "CNY", Total: 100, State: order.StatePaid,
				CreatedAt: now, UpdatedAt: now,
			}))
			c.arm(at, after)
			err := s.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
				_, err := m.Fire(ctx, o, order.Trigger{
					Event: order.EventRequestRefund, RefundNo: "R-" + id, Amount: 60,
					Actor: "buyer:1", At: now,
				})
				return err
			})
			did := c.cut()
			c.arm(0, false)
			o, getErr := s.Get(ctx, id)
			require.NoError(t, getErr)
			if err == nil {
				require.Len(t, o.Refunds, 1)
				committed++
			} else {
				require.Empty(t, o.Refunds, "message %d: %v", at, err)
			}
			if !did {
				break
			}
			cuts++
		}
	}
	// BEGIN, the lock, the change and COMMIT are messages in each direction. A statement that is
	// prepared takes more than one.
	require.GreaterOrEqual(t, cuts, 2*4)
	require.GreaterOrEqual(t, committed, 3,
		"twice without a cut, and once where only the answer to COMMIT was lost")
}
