package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// mostPrepared bounds the statements that are kept: what is set and how many rows there are makes some dozens.
const mostPrepared = 128

// preparing bounds how long a caller, whose work is done, may have to wait for a connection to prepare on.
const preparing = time.Second

// prepared are the statements of a pool, which its connections parse once and not each time. A statement is run
// unprepared the first time. It is prepared after that transaction, because preparing may need another connection,
// which a pool of one does not have. The methods of a nil *prepared do nothing.
type prepared struct {
	db *sql.DB

	mu     sync.RWMutex         // guards what follows
	ready  map[string]*sql.Stmt // nil: not yet, or it cannot be
	wanted []string
}

// get returns the statement, or nil where it is not prepared yet, or cannot be.
func (p *prepared) get(query string) *sql.Stmt {
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

// giveUp has a statement run as it is from now on.
func (p *prepared) giveUp(query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready[query] = nil // open until the pool is closed: others may be at it
}

// isUnprepared reports whether err is MySQL's word that it did nothing because of how it was asked: its limit of prepared
// statements is reached, it does not know the statement (a proxy has changed servers), or cannot bring it up to date.
func isUnprepared(err error) bool {
	switch mysqlNumber(err) {
	case 1461, 1243, 1615:
		return true
	}
	return false
}

// catchUp prepares what was asked for in vain. What cannot be prepared, by a proxy's choice perhaps, is always run
// as it is.
func (p *prepared) catchUp(ctx context.Context) {
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
	ctx, cancel := context.WithTimeout(ctx, preparing)
	defer cancel()
	for _, query := range wanted {
		stmt, err := p.db.PrepareContext(ctx, query) //nolint:sqlclosecheck // it lives as long as the pool
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
