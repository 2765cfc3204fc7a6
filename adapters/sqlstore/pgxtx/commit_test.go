package pgxtx_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/pgxtx"
	"github.com/orderfsm/orderfsm/order"
)

// commitLoser loses the answer to a COMMIT, and the connection with it. then runs before the client
// notices.
type commitLoser struct {
	mu       sync.Mutex
	armed    bool
	executed bool // whether the COMMIT reaches the server
	then     func()
	silent   atomic.Bool // there are no answers any more
}

func (l *commitLoser) lose(executed bool, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.executed, l.then = true, executed, then
}

func (l *commitLoser) next() (armed, executed bool, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	armed, l.armed = l.armed, false
	return armed, l.executed, l.then
}

func (l *commitLoser) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &losingConn{Conn: conn, l: l}, nil
}

type losingConn struct {
	net.Conn
	l    *commitLoser
	then atomic.Pointer[func()] // a COMMIT was sent: what happens before its answer would be read
}

func (c *losingConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("commit\x00")) {
		if armed, executed, then := c.l.next(); armed && executed {
			c.then.Store(&then)
		} else if armed {
			_ = c.Close() // the server rolls back
			then()
			return 0, io.ErrUnexpectedEOF
		}
	}
	return c.Conn.Write(b)
}

func (c *losingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if then := c.then.Swap(nil); then != nil && n > 0 {
		_ = c.Close()
		(*then)()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// losing returns a migrated store, and one on the same database that loses COMMITs.
func losing(t *testing.T, name string) (plain, shaky *sqlstore.Store, l *commitLoser) {
	t.Helper()
	pool := newPool(t, name)
	plain, err := pgxtx.New(pool, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, plain.Migrate(context.Background()))
	l = &commitLoser{}
	cfg := pool.Config().Copy()
	cfg.ConnConfig.TLSConfig, cfg.ConnConfig.Fallbacks = nil, nil // the test reads what is sent
	cfg.ConnConfig.DialFunc = l.dial
	bad, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(bad.Close)
	shaky, err = pgxtx.New(bad, sqlstore.Options{})
	require.NoError(t, err)
	return plain, shaky, l
}

// TestLostCommitNeedsProof: a write whose answer to COMMIT is lost succeeds only if the database
// holds that write.
func TestLostCommitNeedsProof(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	plain, shaky, l := losing(t, "proof")
	touch := func(s *sqlstore.Store, id string) error { // a change without a transition
		return s.Update(ctx, id, func(_ context.Context, o *order.Order) error {
			o.UpdatedAt = o.UpdatedAt.Add(time.Second)
			return nil
		})
	}
	create := func(s *sqlstore.Store, id string) error {
		return s.Create(ctx, &order.Order{
			ID: id, Gateway: "bank", Currency: "CNY", Total: 100, State: order.StatePaid,
		})
	}
	for name, write := range map[string]func(s *sqlstore.Store, id string) error{
		"update": touch, "create": create,
	} {
		for _, executed := range []bool{false, true} {
			for others := range 3 {
				id := fmt.Sprintf("O-%s-%v-%d", name, executed, others)
				if name == "update" {
					require.NoError(t, create(plain, id))
				}
				l.lose(executed, func() {
					for i := range others {
						if name == "create" && !executed && i == 0 {
							assert.NoError(t, create(plain, id))
						} else {
							assert.NoError(t, touch(plain, id))
						}
					}
				})
				err := write(shaky, id)
				if executed && others == 0 {
					require.NoError(t, err, id)
				} else {
					require.ErrorIs(t, err, sqlstore.ErrCommit, id)
				}
			}
		}
	}
}

// TestSilentDatabase: a database that does not answer from the COMMIT on does not hold a caller
// much longer than its context. If it answers after the context has ended, the caller gets the
// answer.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	plain, shaky, l := losing(t, "silent")
	require.NoError(t, plain.Create(context.Background(), &order.Order{
		ID: "O-1", Gateway: "bank", Currency: "CNY", Total: 100, State: order.StatePaid,
	}))
	for _, silent := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		l.lose(true, func() { l.silent.Store(silent); cancel() })
		err := shaky.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
			o.PaymentID += "7"
			return nil
		})
		require.Error(t, ctx.Err())
		if silent {
			require.ErrorIs(t, err, sqlstore.ErrCommit)
		} else {
			require.NoError(t, err)
		}
	}
}
