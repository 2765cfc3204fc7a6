package sqlstore_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// TestCancelledCommit: pgx stops waiting for the answer to COMMIT when the context ends. The
// database may have executed it, although the error is the context's.
func TestCancelledCommit(t *testing.T) {
	t.Parallel()
	d := databases()[1]
	require.Equal(t, sqlstore.PostgreSQL, d.dialect)
	dsn := d.fresh(t)
	plain := d.on(t, d.connect(t, dsn))
	require.NoError(t, plain.Migrate(bg))
	require.NoError(t, plain.Create(bg, newOrder("O-1")))

	var l lateAnswer
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.TLSConfig, cfg.Fallbacks = nil, nil // the test reads what is sent
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &lateConn{Conn: conn, l: &l}, err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	s := d.on(t, db)
	ask := func(ctx context.Context, number string) error {
		return s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
			request(t, o, number, 10)
			return nil
		})
	}

	require.NoError(t, ask(l.arm(), "R-1"), "read again, the order shows that it was committed")
	for name, inTx := range map[string]inTxFunc{
		"InTx": func(ctx context.Context, fn func(ctx context.Context) error) error {
			return sqlstore.InTx(ctx, db, fn)
		},
		"StoreInTx": s.InTx,
	} {
		tries := 0
		err := inTx(l.arm(), func(ctx context.Context) error {
			tries++
			return ask(ctx, "R-"+name)
		})
		require.ErrorIs(t, err, sqlstore.ErrCommit, name)
		require.ErrorIs(t, err, context.Canceled, name)
		require.Equal(t, 1, tries)
		require.NotNil(t, requireLegal(t, plain, "O-1").Refund("R-"+name))
	}
}

// lateAnswer ends a context when the next answer to a COMMIT has arrived, and withholds the answer.
type lateAnswer struct {
	cancel atomic.Pointer[context.CancelFunc]
}

func (l *lateAnswer) arm() context.Context {
	ctx, cancel := context.WithCancel(bg)
	l.cancel.Store(&cancel)
	return ctx
}

type lateConn struct {
	net.Conn
	l    *lateAnswer
	sent atomic.Bool
}

func (c *lateConn) Write(p []byte) (int, error) {
	c.sent.Store(bytes.Contains(p, []byte("commit\x00")))
	return c.Conn.Write(p)
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.sent.Load() {
		if cancel := c.l.cancel.Swap(nil); cancel != nil {
			(*cancel)()
			return 0, os.ErrDeadlineExceeded
		}
	}
	return n, err
}
