package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/dberr"
)

// IsRetryable reports whether the database rolled back because of another transaction: a deadlock,
// a serialization failure, or a lock that it did not get in time. The whole transaction may be run
// again.
//
// The type of an error in err's tree and its code decide, and never its text. The types are: one
// with a method SQLState() string, *MySQLError of github.com/go-sql-driver/mysql, *Error of
// modernc.org/sqlite, and the Error of a package sqlite3 with fields (github.com/mattn/go-sqlite3)
// or a method ExtendedCode.
func (d Dialect) IsRetryable(err error) bool {
	if isContextError(err) {
		return false
	}
	switch d {
	case PostgreSQL: // serialization_failure, deadlock_detected
		return slices.Contains([]string{"40001", "40P01"}, dberr.SQLState(err))
	case MySQL: // deadlock, lock wait time-out, record has changed
		return slices.Contains([]int64{1213, 1205, 1020}, dberr.MySQLNumber(err))
	case SQLite: // SQLITE_BUSY, SQLITE_LOCKED
		code, _ := dberr.SQLiteCode(err)
		return code&0xff == 5 || code&0xff == 6
	}
	return false
}

// IsDuplicate reports whether a key is taken. It reads errors as IsRetryable does.
func (d Dialect) IsDuplicate(err error) bool {
	if isContextError(err) {
		return false
	}
	switch d {
	case PostgreSQL: // unique_violation
		return dberr.SQLState(err) == "23505"
	case MySQL:
		return dberr.MySQLNumber(err) == 1062
	case SQLite: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
		code, _ := dberr.SQLiteCode(err)
		return slices.Contains([]int64{2067, 1555, 2579}, code)
	}
	return false
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isMissingTable reports whether the database has no table of a statement.
func (d Dialect) isMissingTable(err error) bool {
	switch d {
	case PostgreSQL:
		return dberr.SQLState(err) == "42P01"
	case MySQL:
		return dberr.MySQLNumber(err) == 1146
	case SQLite:
	}
	code, e := dberr.SQLiteCode(err) // SQLITE_ERROR has no code for it
	return code == 1 && strings.Contains(e.Error(), "no such table")
}
