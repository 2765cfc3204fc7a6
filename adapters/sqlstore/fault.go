package sqlstore

import (
	"slices"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/dberr"
)

// codes are the codes that databases have for one kind of error.
type codes struct {
	postgresql    string // SQLSTATEs, separated by spaces
	mysql, sqlite []int64
}

// IsRetryable reports whether the database rolled back because of another transaction: a deadlock,
// a serialization failure, or a lock that it did not get in time. The whole transaction may be run
// again.
//
// The type of an error in err's tree and its code decide, and never its text. The types are: one
// with a method SQLState() string, *MySQLError of github.com/go-sql-driver/mysql, *Error of
// modernc.org/sqlite, and the Error of a package sqlite3 with fields (github.com/mattn/go-sqlite3)
// or a method ExtendedCode.
func (d Dialect) IsRetryable(err error) bool {
	return d.has(err, codes{
		postgresql: "40001 40P01",             // serialization_failure, deadlock_detected
		mysql:      []int64{1213, 1205, 1020}, // deadlock, lock wait time-out, record has changed
		sqlite:     []int64{5, 6},             // SQLITE_BUSY, SQLITE_LOCKED
	})
}

// IsDuplicate reports whether a key is taken. It reads errors as IsRetryable does.
func (d Dialect) IsDuplicate(err error) bool {
	return d.has(err, codes{
		postgresql: "23505", // unique_violation
		mysql:      []int64{1062},
		sqlite:     []int64{2067, 1555, 2579}, // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
	})
}

// isMissingTable reports whether the database has no table of a statement.
func (d Dialect) isMissingTable(err error) bool {
	if d == SQLite { // SQLITE_ERROR has no code for it
		code, e := dberr.SQLiteCode(err)
		return code == 1 && strings.Contains(e.Error(), "no such table")
	}
	return d.has(err, codes{postgresql: "42P01", mysql: []int64{1146}})
}

// has reports whether err holds one of the codes.
func (d Dialect) has(err error, c codes) bool {
	switch d {
	case PostgreSQL:
		return slices.Contains(strings.Fields(c.postgresql), dberr.SQLState(err))
	case MySQL:
		return slices.Contains(c.mysql, dberr.MySQLNumber(err))
	case SQLite: // the last 8 bits of an extended code are the code that it extends
		code, _ := dberr.SQLiteCode(err)
		return slices.Contains(c.sqlite, code) || slices.Contains(c.sqlite, code&0xff)
	}
	return false
}
