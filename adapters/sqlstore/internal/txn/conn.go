package txn

import "context"

// Conn runs statements in one transaction, or on a pool outside of any.
type Conn interface {
	// Exec returns the number of rows that a statement changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
	// Raw returns the driver's own transaction, for example a *sql.Tx.
	Raw() any
}

// Tx is a transaction that this package begins and ends.
type Tx interface {
	Conn
	// Commit returns an error that wraps [ErrCommit] only if the COMMIT may have been executed.
	Commit(ctx context.Context) error
	// Rollback is always called once, also after Commit. It then changes nothing in the database.
	Rollback(ctx context.Context) error
}

// Rows is the result of a query. The methods are those of sql.Rows.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}
