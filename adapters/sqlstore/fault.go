package sqlstore

import (
	"context"
	"errors"
	"reflect"
	"strings"
)

// IsRetryable reports whether err says that the database did nothing for the sake of another transaction (a deadlock,
// a serialization failure, a lock that was not got in time), so that the whole transaction may be run again.
//
// What counts is the type of an error in err's tree and the code that it holds, and never its text: a method
// SQLState() string, github.com/go-sql-driver/mysql's *MySQLError, modernc.org/sqlite's *Error, and the Error of a
// package sqlite3 with fields (github.com/mattn/go-sqlite3) or methods Code and ExtendedCode.
func (d Dialect) IsRetryable(err error) bool { return d.classify(err) == faultRetry }

// IsDuplicate reports whether err says that a key is taken. It reads errors as IsRetryable does.
func (d Dialect) IsDuplicate(err error) bool { return d.classify(err) == faultDuplicate }

// fault is what an error of the database means.
type fault int

const (
	faultOther     fault = iota
	faultDuplicate       // a key is taken
	faultRetry           // nothing was done, because of another transaction; the same again may succeed
)

// classify reads the errors of the drivers, none of which it imports.
func (d Dialect) classify(err error) fault {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return faultOther
	}
	switch d {
	case PostgreSQL:
		switch sqlState(err) {
		case "40001", "40P01": // serialization_failure, deadlock_detected
			return faultRetry
		case "23505": // unique_violation
			return faultDuplicate
		}
	case MySQL:
		switch mysqlNumber(err) {
		case 1213, 1205, 1020: // deadlock, lock wait time-out, record has changed
			return faultRetry
		case 1062:
			return faultDuplicate
		}
	case SQLite:
		switch code, _ := sqliteCode(err); {
		case code&0xff == 5, code&0xff == 6: // SQLITE_BUSY, SQLITE_LOCKED
			return faultRetry
		case code == 2067, code == 1555, code == 2579: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
			return faultDuplicate
		}
	}
	return faultOther
}

// isMissingTable reports whether the database has no table of that name.
func (d Dialect) isMissingTable(err error) bool {
	switch d {
	case PostgreSQL:
		return sqlState(err) == "42P01"
	case MySQL:
		return mysqlNumber(err) == 1146
	case SQLite:
	}
	code, e := sqliteCode(err) // SQLITE_ERROR has no other sign of it
	return code == 1 && strings.Contains(e.Error(), "no such table")
}

func sqlState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// mysqlNumber returns the number of a MySQL server's error, or 0.
func mysqlNumber(err error) int64 {
	var number int64
	walk(err, func(e error) bool {
		if reflect.TypeOf(e).String() == "*mysql.MySQLError" {
			number = integer(field(e, "Number"))
		}
		return number != 0
	})
	return number
}

// sqliteCode returns the code of an error of SQLite, extended if the driver has that, and the error itself; else 0.
func sqliteCode(err error) (code int64, found error) {
	walk(err, func(e error) bool {
		switch reflect.TypeOf(e).String() {
		case "*sqlite.Error":
			if e, ok := e.(interface{ Code() int }); ok {
				code = int64(e.Code())
			}
		case "sqlite3.Error", "*sqlite3.Error":
			v := reflect.ValueOf(e)
			if code = integer(field(e, "ExtendedCode")); code == 0 {
				code = integer(field(e, "Code"))
			}
			if m := v.MethodByName("ExtendedCode"); code == 0 && m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
				code = integer(m.Call(nil)[0])
			}
		}
		found = e
		return code != 0
	})
	return code, found
}

// field returns a field of the struct that e is or points to; invalid if there is none.
func field(e error, name string) reflect.Value {
	if v := reflect.Indirect(reflect.ValueOf(e)); v.Kind() == reflect.Struct {
		return v.FieldByName(name)
	}
	return reflect.Value{}
}

// integer returns a number of any integer type, and 0 for what is none.
func integer(v reflect.Value) int64 {
	switch {
	case !v.IsValid():
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint()) //nolint:gosec // codes are small
	}
	return 0
}

// walk calls visit with err and all that it wraps until visit returns true, which walk then returns too.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return false
	}
	if visit(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // it is the walk
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if walk(err, visit) {
				return true
			}
		}
	}
	return false
}
