package sqlstore

import (
	"context"
	"errors"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/dberr"
)

// IsRetryable reports whether the database rolled back because of another transaction: a deadlock, a
// serialization failure, or a lock that it did not get in time. The whole transaction may be run again.
//
// The type of an error in err's tree and its code decide, and never its text. The types are: one with a
// method SQLState() string, *MySQLError of github.com/go-sql-driver/mysql, *Error of modernc.org/sqlite, and
// the Error of a package sqlite3 with fields (github.com/mattn/go-sqlite3) or a method ExtendedCode.
func (d Dialect) IsRetryable(err error) bool { return d.classify(err) == faultRetry }

// IsDuplicate reports whether a key is taken. It reads errors as IsRetryable does.
func (d Dialect) IsDuplicate(err error) bool { return d.classify(err) == faultDuplicate }

// fault is the meaning of an error of the database.
type fault int

const (
	faultOther     fault = iota
	faultDuplicate       // a key is taken
	faultRetry           // nothing was done, because of another transaction; a retry may succeed
)

// classify returns what an error of a driver means.
func (d Dialect) classify(err error) fault {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return faultOther
	}
	switch d {
	case PostgreSQL:
		switch dberr.SQLState(err) {
		case "40001", "40P01": // serialization_failure, deadlock_detected
			return faultRetry
		case "23505": // unique_violation
			return faultDuplicate
		}
	case MySQL:
		switch dberr.MySQLNumber(err) {
		case 1213, 1205, 1020: // deadlock, lock wait time-out, record has changed
			return faultRetry
		case 1062:
			return faultDuplicate
		}
	case SQLite:
		switch code, _ := dberr.SQLiteCode(err); {
		case code&0xff == 5, code&0xff == 6: // SQLITE_BUSY, SQLITE_LOCKED
			return faultRetry
		case code == 2067, code == 1555, code == 2579: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
			return faultDuplicate
		}
	}
	return faultOther
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
