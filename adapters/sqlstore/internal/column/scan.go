package column

import (
	"database/sql"
	"time"
)

type (
	flag         bool
	requiredTime time.Time
	optionalTime time.Time
)

// TimeDest returns a destination of Scan that sets t to the time of a column made by [Time].
func TimeDest(t *time.Time) sql.Scanner { return (*requiredTime)(t) }

// Scan implements sql.Scanner.
func (f *flag) Scan(src any) error {
	n, _, err := scanNumber(src)
	*f = n != 0
	return err
}

// Scan implements sql.Scanner.
func (t *requiredTime) Scan(src any) error {
	n, _, err := scanNumber(src)
	*t = requiredTime(FromMicro(n))
	return err
}

// Scan implements sql.Scanner.
func (t *optionalTime) Scan(src any) error {
	n, valid, err := scanNumber(src)
	*t = optionalTime{}
	if valid {
		*t = optionalTime(FromMicro(n))
	}
	return err
}

// FromMicro returns the UTC time of microseconds since 1970.
func FromMicro(n int64) time.Time { return time.UnixMicro(n).UTC() }

// scanNumber returns a number of the database, which may be NULL.
func scanNumber(src any) (n int64, valid bool, err error) {
	if n, ok := src.(int64); ok { // as most drivers return it
		return n, true, nil
	}
	var null sql.NullInt64
	err = null.Scan(src)
	return null.Int64, null.Valid, err
}
