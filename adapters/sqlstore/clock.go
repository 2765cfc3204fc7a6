package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/column"
	"github.com/orderfsm/orderfsm/refund"
)

var _ refund.Clock = (*Store)(nil)

// Now implements [refund.Clock] with the database's clock, which is the same for all processes, or
// with [Options].Now.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if s.opts.Now != nil {
		return s.opts.Now(), nil
	}
	var micros int64
	if err := s.query(ctx, s.d.now(), nil, []any{&micros}, func() {}, func() {}); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return column.FromMicro(micros), nil
}

// now selects the microseconds since 1970 UTC, whatever time zone the session has.
func (d Dialect) now() string {
	switch d {
	case PostgreSQL:
		return "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
	case MySQL:
		return "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
	case SQLite:
	}
	return "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
}
