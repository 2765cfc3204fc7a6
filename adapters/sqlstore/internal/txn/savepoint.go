package txn

import (
	"context"
	"fmt"
)

// Nested runs one command in a transaction that goes on. A command that fails leaves nothing in it,
// not even what its hooks have written.
func (t *Txn) Nested(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	savepoint := fmt.Sprintf("orderfsm_%d", t.depth+1)
	// If this fails, there is nothing to go back to. An earlier command may have left a savepoint
	// of this name: to roll back to that would undo the commands since.
	if _, err := t.Exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	outerMarked, outerHooks, returned := t.marked, len(t.afterCommit), false
	t.depth++
	t.marked = false
	defer func() {
		after, cancel := Outlive(ctx)
		defer cancel()
		if returned && err == nil {
			err = t.release(after, savepoint)
		} else { // also if fn panicked or ended its goroutine
			t.afterCommit = t.afterCommit[:outerHooks]
			t.rollbackTo(after, savepoint)
		}
		t.depth--
		t.marked = outerMarked
		// The command may have lent the transaction.
		if markErr := t.setMarker(after); err == nil {
			err = markErr
		}
	}()
	if err = t.setMarker(ctx); err == nil {
		err = fn(ctx)
	}
	returned = true
	return err
}

// prepare returns an error if no command can run in the transaction.
func (t *Txn) prepare(ctx context.Context) error {
	if t.probe == ProbeBegin { // a savepoint would begin a new transaction if there is none
		return t.CheckAlive(ctx)
	}
	if err := t.refusal(); err != nil {
		return err
	}
	return t.setMarker(ctx) // the transaction may have been lent before a Store worked in it
}

func (t *Txn) release(ctx context.Context, savepoint string) error {
	if _, err := t.Exec(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
		return fmt.Errorf("release the savepoint: %w", err)
	}
	return nil
}

// rollbackTo leaves the transaction as it was at the savepoint. If the savepoint is still there,
// the transaction has not ended since, and it is usable again.
func (t *Txn) rollbackTo(ctx context.Context, savepoint string) {
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
	switch {
	case err == nil:
		t.failed = nil
	case t.failed == nil:
		t.failed = fmt.Errorf("%w: %w", ErrGone, err)
	}
}

// setMarker prepares a later CheckAlive in the command at this depth, once the host has the
// transaction.
func (t *Txn) setMarker(ctx context.Context) error {
	if !t.lent || t.marked || t.probe != ProbeMarker || t.depth == 0 && !t.owned {
		return nil
	}
	if _, err := t.Exec(ctx, "SAVEPOINT "+t.marker()); err != nil {
		return fmt.Errorf("mark the transaction: %w", err)
	}
	t.marked = true
	return nil
}

func (t *Txn) marker() string { return fmt.Sprintf("orderfsm_%d_lent", t.depth) }

// CheckAlive returns an error if the database has ended the transaction. It sends nothing if the
// host never had the transaction.
func (t *Txn) CheckAlive(ctx context.Context) error {
	if err := t.refusal(); err != nil || !t.lent {
		return err
	}
	switch t.probe {
	case ProbeMarker:
		if !t.marked {
			break
		}
		t.marked = false
		if _, err := t.conn.Exec(ctx, "RELEASE SAVEPOINT "+t.marker()); err != nil {
			t.failed = fmt.Errorf("%w: %w", ErrGone, err)
		}
	case ProbeBegin:
		if _, err := t.conn.Exec(ctx, "BEGIN"); err == nil {
			_, _ = t.conn.Exec(ctx, "ROLLBACK")
			t.failed = ErrGone
		}
	case ProbeNone:
	}
	return t.refusal()
}
