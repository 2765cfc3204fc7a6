// Package dberr reads the error codes of database drivers, without importing the drivers. The type
// of an error decides and the code that it holds, and never its text.
package dberr

import (
	"errors"
	"reflect"
)

// SQLState returns the SQLSTATE of an error in err's tree, or "".
func SQLState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// MySQLNumber returns the number of a MySQL server's error in err's tree, or 0.
func MySQLNumber(err error) int64 {
	var number int64
	walk(err, func(e error) bool {
		if reflect.TypeOf(e).String() == "*mysql.MySQLError" {
			number = integer(field(e, "Number"))
		}
		return number != 0
	})
	return number
}

// SQLiteCode returns the code of an error of SQLite in err's tree, or 0, and the error itself. The
// code is the extended one if the driver has it.
func SQLiteCode(err error) (code int64, found error) {
	walk(err, func(e error) bool {
		switch reflect.TypeOf(e).String() {
		case "*sqlite.Error":
			if e, ok := e.(interface{ Code() int }); ok {
				code = int64(e.Code())
			}
		case "sqlite3.Error", "*sqlite3.Error":
			if code = integer(field(e, "ExtendedCode")); code == 0 {
				code = integer(field(e, "Code"))
			}
			m := reflect.ValueOf(e).MethodByName("ExtendedCode")
			if code == 0 && m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
				code = integer(m.Call(nil)[0])
			}
		}
		found = e
		return code != 0
	})
	return code, found
}

// field returns a field of the struct that e is or points to. It is invalid if there is none.
func field(e error, name string) reflect.Value {
	if v := reflect.Indirect(reflect.ValueOf(e)); v.Kind() == reflect.Struct {
		return v.FieldByName(name)
	}
	return reflect.Value{}
}

// integer returns a number of any integer type, or 0.
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

// walk calls visit with err and all errors that it wraps until visit returns true, which walk then
// returns.
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
