package txn

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/dberr"
)

const (
	// mostPrepared bounds the statements that are kept. Which columns are set and how many rows
	// there are makes some dozens.
	mostPrepared = 128
	// prepareTimeout bounds how long a caller, whose work is done, waits for a connection to
	// prepare on.
	prepareTimeout = time.Second
)

// Prepared are the statements of a pool that its connections parse once. A statement runs
// unprepared the first time. It is prepared after that transaction, because preparing may need
// another connection, which a pool of one does not have. The methods of a nil *Prepared do nothing.
type Prepared struct {
	db *sql.DB

	mu     sync.RWMutex         // guards the fields below
	ready  map[string]*sql.Stmt // nil: not prepared yet, or it cannot be
	wanted []string
}

// NewPrepared returns the prepared statements of a pool.
func NewPrepared(db *sql.DB) *Prepared {
	return &Prepared{db: db, ready: map[string]*sql.Stmt{}}
}

// get returns the statement, or nil if it is not prepared.
func (p *Prepared) get(query string) *sql.Stmt {
	if p == nil {
		return nil
	}
	p.mu.RLock()
	stmt, known := p.ready[query]
	full := len(p.ready) >= mostPrepared
	p.mu.RUnlock()
	if known || full {
		return stmt
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.ready[query]; !known {
		p.ready[query] = nil
		p.wanted = append(p.wanted, query)
	}
	return nil
}

// giveUp makes a statement run unprepared from now on.
func (p *Prepared) giveUp(query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready[query] = nil // open until the pool is closed: others may be running it
}

// isUnprepared reports whether MySQL did nothing because a statement was prepared: its limit of
// prepared statements is reached, it does not know the statement (a proxy has changed servers), or
// it cannot bring the statement up to date.
func isUnprepared(err error) bool {
	switch dberr.MySQLNumber(err) {
	case 1461, 1243, 1615:
		return true
	}
	return false
}

// CatchUp prepares the statements that get did not find. A statement that cannot be prepared,
// perhaps because a proxy refuses it, always runs unprepared.
func (p *Prepared) CatchUp(ctx context.Context) {
	if p == nil {
		return
	}
	p.mu.RLock()
	idle := len(p.wanted) == 0
	p.mu.RUnlock()
	if idle {
		return
	}
	p.mu.Lock()
	wanted := p.wanted
	p.wanted = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	for _, query := range wanted {
		//nolint:sqlclosecheck // it lives as long as the pool
		stmt, err := p.db.PrepareContext(ctx, query)
		p.mu.Lock()
		switch {
		case err == nil:
			p.ready[query] = stmt
		case ctx.Err() != nil:
			delete(p.ready, query) // for the next caller
		}
		p.mu.Unlock()
	}
}
