package txn_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

var (
	bg      = context.Background()
	errHost = errors.New("the host's error")
	errSent = errors.New("the statement failed")
)

// tape is a transaction that records what is sent, and whose failures the test chooses.
type tape struct {
	sent   []string
	fails  map[string]error
	commit error
	rows   rows
}

func (c *tape) Exec(_ context.Context, query string, _ ...any) (int64, error) {
	c.sent = append(c.sent, query)
	return 1, c.fails[query]
}

func (c *tape) Query(_ context.Context, query string, _ ...any) (txn.Rows, error) {
	c.sent = append(c.sent, query)
	return c.rows, c.fails[query]
}

func (c *tape) Raw() any { return c }

func (c *tape) Commit(context.Context) error {
	c.sent = append(c.sent, "COMMIT")
	return c.commit
}

func (c *tape) Rollback(context.Context) error {
	c.sent = append(c.sent, "end")
	return nil
}

// rows are no rows, which may fail.
type rows struct{ err, close error }

func (rows) Next() bool        { return false }
func (rows) Scan(...any) error { return nil }
func (r rows) Err() error      { return r.err }
func (r rows) Close() error    { return r.close }

func (c *tape) pool(probe txn.Probe) *txn.Pool {
	return &txn.Pool{
		Key: c, Probe: probe,
		Begin: func(context.Context) (txn.Tx, error) {
			c.sent = append(c.sent, "BEGIN TX")
			return c, nil
		},
	}
}

func exec(ctx context.Context, query string) error {
	_, err := txn.From(ctx).Exec(ctx, query)
	return err
}

func nothing(context.Context) error { return nil }

// TestEndOfTransaction: a transaction ends once, whatever its function does, and afterwards its
// context cannot be used.
func TestEndOfTransaction(t *testing.T) {
	ended := []string{"BEGIN TX", "work", "end"}
	committed := []string{"BEGIN TX", "work", "COMMIT", "end"}
	for name, tt := range map[string]struct {
		fn   func(cancel func()) error
		want error
		sent []string
	}{
		"committed":   {func(func()) error { return nil }, nil, committed},
		"error":       {func(func()) error { return errHost }, errHost, ended},
		"cancelled":   {func(cancel func()) error { cancel(); return nil }, context.Canceled, ended},
		"panic":       {func(func()) error { panic(errHost) }, errHost, ended},
		"cannot work": {func(func()) error { return nil }, errSent, ended},
	} {
		t.Run(name, func(t *testing.T) {
			c := &tape{fails: map[string]error{}}
			if tt.want == errSent { //nolint:errorlint // the case
				c.fails["work"] = errSent
			}
			p := c.pool(txn.ProbeNone)
			p.Turn = make(chan struct{}, 1)
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			var inside context.Context
			var after []string
			err := func() (err error) {
				defer func() {
					if r := recover(); r != nil {
						err = r.(error) //nolint:errcheck,forcetypeassert // of the case
					}
				}()
				return p.Atomically(ctx, func(ctx context.Context, x *txn.Txn) error {
					inside = ctx
					require.Same(t, x, txn.From(ctx))
					for _, name := range []string{"1", "2"} {
						f := func(context.Context) { after = append(after, name) }
						require.True(t, x.AfterCommit(f))
					}
					_ = exec(ctx, "work")
					return tt.fn(cancel)
				}, nil)
			}()
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, tt.sent, c.sent)
			require.Empty(t, p.Turn)
			if tt.want == nil {
				require.Equal(t, []string{"1", "2"}, after)
			} else {
				require.Empty(t, after)
			}
			_, ok := txn.Lend(inside)
			require.False(t, ok)
			require.False(t, txn.From(inside).AfterCommit(func(context.Context) {}))
			_, err = p.Joined(inside)
			require.ErrorIs(t, err, txn.ErrEnded)
			require.ErrorIs(t, p.InTx(inside, nothing), txn.ErrEnded)
		})
	}
}

// TestWaitingForTheTurnEnds: a transaction that waits for another one gives up with its context.
func TestWaitingForTheTurnEnds(t *testing.T) {
	c := &tape{}
	p := c.pool(txn.ProbeNone)
	p.Turn = make(chan struct{}, 1)
	p.Turn <- struct{}{}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	err := p.Atomically(ctx, func(context.Context, *txn.Txn) error { return nil }, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, c.sent)
	require.Len(t, p.Turn, 1)
}

// TestLostCommit: only a proof makes a success of a COMMIT whose answer is lost.
func TestLostCommit(t *testing.T) {
	lost := errors.Join(txn.ErrCommit, errSent)
	for name, tt := range map[string]struct {
		commit error
		proven func(context.Context) bool
		want   error
	}{
		"proven":        {lost, func(context.Context) bool { return true }, nil},
		"not proven":    {lost, func(context.Context) bool { return false }, txn.ErrCommit},
		"no proof":      {lost, nil, txn.ErrCommit},
		"a definite no": {errSent, func(context.Context) bool { return true }, errSent},
	} {
		t.Run(name, func(t *testing.T) {
			c, after := &tape{commit: tt.commit}, 0
			err := c.pool(txn.ProbeNone).Atomically(bg, func(_ context.Context, x *txn.Txn) error {
				x.AfterCommit(func(context.Context) { after++ })
				return nil
			}, tt.proven)
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, err == nil, after == 1)
		})
	}
}

// TestAgain: a failed transaction begins again for as long as Again says so.
func TestAgain(t *testing.T) {
	c := &tape{}
	p := c.pool(txn.ProbeNone)
	var tries []int
	p.Again = func(_ context.Context, err error, try int) error {
		tries = append(tries, try)
		if try == 2 {
			return err
		}
		return nil
	}
	runs := 0
	fails := func(context.Context, *txn.Txn) error { runs++; return errHost }
	require.ErrorIs(t, p.Atomically(bg, fails, nil), errHost)
	require.Equal(t, []int{0, 1, 2}, tries)
	require.Equal(t, 3, runs)
	p.Begin = func(context.Context) (txn.Tx, error) { return nil, errSent }
	require.ErrorIs(t, p.Atomically(bg, fails, nil), errSent)
	require.Equal(t, 3, runs)
}

// TestInTxJoins: InTx works in the transaction that its context carries, and returns what its
// function returns. A pool that belongs to no Store takes any transaction, a Store only its own.
func TestInTxJoins(t *testing.T) {
	c := &tape{}
	p := c.pool(txn.ProbeNone)
	other := (&tape{}).pool(txn.ProbeNone)
	anybody := &txn.Pool{}
	require.NoError(t, p.InTx(bg, func(ctx context.Context) error {
		for _, joined := range []*txn.Pool{p, anybody} {
			runs := 0
			require.ErrorIs(t, joined.InTx(ctx, func(in context.Context) error {
				runs++
				require.Same(t, txn.From(ctx), txn.From(in))
				return errHost
			}), errHost)
			require.Equal(t, 1, runs)
		}
		require.ErrorContains(t, other.InTx(ctx, nothing), "another pool")
		return nil
	}))
	require.Equal(t, []string{"BEGIN TX", "COMMIT", "end"}, c.sent)
	hosts := txn.With(bg, &tape{})
	x, err := other.Joined(hosts)
	require.NoError(t, err)
	require.Same(t, txn.From(hosts), x)
	require.False(t, x.AfterCommit(func(context.Context) {}), "the host commits")
	none, err := p.Joined(bg)
	require.NoError(t, err)
	require.Nil(t, none)
}

// TestWith: a context carries the transaction that it was given last.
func TestWith(t *testing.T) {
	first, second := &tape{}, &tape{}
	ctx := txn.With(bg, first)
	require.Equal(t, ctx, txn.With(ctx, first))
	raw, ok := txn.Lend(txn.With(ctx, second))
	require.True(t, ok)
	require.Same(t, second, raw)
	_, ok = txn.Lend(bg)
	require.False(t, ok)
	require.Nil(t, txn.From(bg))
	require.Same(t, first, txn.From(ctx).Raw())
}

// TestEnter: an order that is being updated is not updated again before that has ended.
func TestEnter(t *testing.T) {
	x := txn.From(txn.With(bg, &tape{}))
	leave, ok := x.Enter("O-1")
	require.True(t, ok)
	_, ok = x.Enter("O-1")
	require.False(t, ok)
	_, ok = x.Enter("O-2")
	require.True(t, ok)
	leave()
	_, ok = x.Enter("O-1")
	require.True(t, ok)
}

// TestNoStatementAfterAFailedOne: until a rollback to a savepoint, whatever failed.
func TestNoStatementAfterAFailedOne(t *testing.T) {
	read := func(x *txn.Txn) error {
		r, err := x.Query(bg, "read")
		if err != nil {
			return err
		}
		return errors.Join(r.Err(), r.Close())
	}
	for name, c := range map[string]*tape{
		"exec":  {fails: map[string]error{"write": errSent}},
		"query": {fails: map[string]error{"read": errSent}},
		"rows":  {rows: rows{err: errSent}},
		"close": {rows: rows{close: errSent}},
	} {
		t.Run(name, func(t *testing.T) {
			x := txn.From(txn.With(bg, c))
			err := x.Nested(bg, func(ctx context.Context) error {
				_, err := x.Exec(ctx, "write")
				if err == nil {
					err = read(x)
				}
				require.ErrorIs(t, err, errSent)
				n := len(c.sent)
				_, err = x.Exec(ctx, "more")
				require.ErrorIs(t, err, errSent)
				require.ErrorIs(t, read(x), errSent)
				require.ErrorIs(t, x.CheckAlive(ctx), errSent)
				require.ErrorIs(t, x.Nested(ctx, nothing), errSent)
				require.Len(t, c.sent, n)
				return errHost
			})
			require.ErrorIs(t, err, errHost)
			_, err = x.Exec(bg, "more")
			require.NoError(t, err, "it went back to the savepoint")
		})
	}
}

// TestOutlive: work after a command may last a second longer than the command's context.
func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(bg)
		longer, cancel := txn.Outlive(ctx)
		end()
		time.Sleep(time.Second - 1) //nolint:forbidigo // the time of testing/synctest
		synctest.Wait()
		require.NoError(t, longer.Err())
		time.Sleep(time.Nanosecond) //nolint:forbidigo // the time of testing/synctest
		synctest.Wait()
		require.ErrorIs(t, longer.Err(), context.Canceled)
		cancel()

		longer, cancel = txn.Outlive(bg)
		cancel()
		require.Error(t, longer.Err())
		require.ErrorIs(t, txn.Pause(ctx, time.Hour), context.Canceled)
		start := time.Now() //nolint:forbidigo // the time of testing/synctest
		require.NoError(t, txn.Pause(bg, time.Hour))
		require.Equal(t, time.Hour, time.Since(start)) //nolint:forbidigo // the time of testing/synctest
	})
}
