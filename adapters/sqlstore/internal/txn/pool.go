package txn

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pool begins transactions.
type Pool struct {
	Begin func(ctx context.Context) (Tx, error)
	// Key identifies the pool of a Store. A Store does not work in the transaction of another pool.
	// If nil, the pool belongs to no Store, and every transaction will do.
	Key any
	// Probe says how the database reports that it has ended a transaction.
	Probe Probe
	// Turn holds a token while a transaction runs. If nil, any number of them run at once. SQLite
	// takes one writer at a time and makes the others poll; waiting for a channel is fair and ends
	// with the context.
	Turn chan struct{}
	// Again is called if a transaction has failed. It waits and returns nil to begin again, or it
	// returns the error to give up with. If nil, nothing is retried.
	Again func(ctx context.Context, err error, try int) error
	// Prepared holds the prepared statements. If nil, statements are not prepared.
	Prepared *Prepared
}

// Atomically calls fn in a new transaction, commits it and then runs the functions that AfterCommit
// was given. It rolls back if fn returns an error, panics or ends its goroutine. It is the only
// place that commits.
//
// If the answer to COMMIT is lost, proven reports whether the database holds what fn wrote. If
// proven is nil, nothing can prove it.
func (p *Pool) Atomically(
	ctx context.Context, fn func(ctx context.Context, t *Txn) error,
	proven func(ctx context.Context) bool,
) error {
	defer p.Prepared.CatchUp(ctx) // last: only the caller waits for it
	var t *Txn
	err := p.Retry(ctx, func() error {
		t = &Txn{pool: p.Key, probe: p.Probe, owned: true, updating: map[any]bool{}}
		err := p.attempt(ctx, t, fn)
		if errors.Is(err, ErrCommit) && proven != nil && proven(ctx) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range t.afterCommit {
		f(context.WithoutCancel(ctx))
	}
	return nil
}

// Retry calls f until it succeeds or Again gives up.
func (p *Pool) Retry(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if err == nil || p.Again == nil {
			return err
		}
		if err := p.Again(ctx, err, try); err != nil {
			return err
		}
	}
}

// attempt calls fn in a new transaction and commits it, once.
func (p *Pool) attempt(
	ctx context.Context, t *Txn, fn func(ctx context.Context, t *Txn) error,
) error {
	if p.Turn != nil {
		select {
		case p.Turn <- struct{}{}:
			defer func() { <-p.Turn }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tx, err := p.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t.conn = tx
	defer func() { // also if fn panicked or ended its goroutine
		t.ended.Store(true)
		after, cancel := Outlive(ctx)
		defer cancel()
		_ = tx.Rollback(after)
	}()
	if err := fn(context.WithValue(ctx, key{}, t), t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.CheckAlive(ctx); err != nil {
		return err
	}
	t.ended.Store(true)
	return tx.Commit(ctx)
}

// InTx calls fn in the transaction that ctx carries, whose owner commits. If ctx carries none, InTx
// calls fn in a new one.
func (p *Pool) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	t, err := p.Joined(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		return fn(ctx)
	}
	return p.Atomically(ctx, func(ctx context.Context, _ *Txn) error { return fn(ctx) }, nil)
}

// Joined returns the transaction that ctx carries, or nil if it carries none. The error says why p
// cannot work in it.
func (p *Pool) Joined(ctx context.Context) (*Txn, error) {
	t := From(ctx)
	switch {
	case t == nil:
		return nil, nil
	case t.ended.Load():
		return nil, ErrEnded
	case p.Key == nil:
		return t, nil
	case t.pool != nil && t.pool != p.Key:
		return nil, errForeign
	}
	t.probe = p.Probe
	return t, nil
}

// grace is how long work that must be done after a command may outlast the command's context.
const grace = time.Second

// Outlive returns a context that ends a grace after ctx has ended.
func Outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = Pause(longer, grace)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

// Pause waits for d, or until ctx ends, and then returns its error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
