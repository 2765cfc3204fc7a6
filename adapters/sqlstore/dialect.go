package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Dialect is the kind of database that a [Store] speaks to.
type Dialect string

// The dialects.
const (
	// SQLite is SQLite 3.37 or newer, for example through modernc.org/sqlite or github.com/mattn/go-sqlite3.
	SQLite Dialect = "sqlite"
	// PostgreSQL is PostgreSQL 12 or newer, through github.com/jackc/pgx/v5 or another driver that numbers
	// its placeholders and whose errors have a method SQLState() string.
	PostgreSQL Dialect = "postgresql"
	// MySQL is MySQL 8.0.16 or newer and MariaDB 10.6 or newer, through github.com/go-sql-driver/mysql.
	MySQL Dialect = "mysql"
)

// bind writes a query's question marks as the dialect has them.
func (d Dialect) bind(query string) string {
	if d != PostgreSQL {
		return query
	}
	var b strings.Builder
	n := 0
	for {
		text, rest, found := strings.Cut(query, "?")
		b.WriteString(text)
		if !found {
			return b.String()
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
		query = rest
	}
}

// join keeps MySQL and SQLite from beginning with the orders, all of them.
func (d Dialect) join() string {
	switch d {
	case MySQL:
		return "STRAIGHT_JOIN"
	case SQLite:
		return "CROSS JOIN"
	case PostgreSQL:
	}
	return "JOIN"
}

// by keeps MySQL and SQLite to an index. Of a state that most are in, or of a long time, they would otherwise read all
// rows, or all before those that they are asked for: neither knows that a page is short.
func (d Dialect) by(index string) string {
	switch d {
	case MySQL:
		return " FORCE INDEX (" + index + ")"
	case SQLite:
		return " INDEXED BY " + index
	case PostgreSQL:
	}
	return ""
}

// value is a placeholder for a value that is looked for in an index. It hides the value from those that would plan the
// statement anew for each one, which takes longer than to run it: PostgreSQL where a table is large, SQLite once it has
// counted what is in the tables (ANALYZE, PRAGMA optimize). MySQL plans each time, and better with the value.
func (d Dialect) value(kind string) string {
	if d == MySQL {
		return "?"
	}
	return "(SELECT CAST(? AS " + kind + "))"
}

// contains is a condition: column holds the text of a placeholder, case-sensitive.
func (d Dialect) contains(column string) string {
	switch d {
	case PostgreSQL:
		return "strpos(" + column + ", ?) > 0"
	case MySQL:
		return "locate(?, " + column + ") > 0"
	case SQLite:
	}
	return "instr(" + column + ", ?) > 0"
}

// ifNew has an INSERT do nothing where the key is taken. MySQL reports it as an error instead, which there
// leaves the transaction usable.
func (d Dialect) ifNew(key string) string {
	if d == MySQL {
		return ""
	}
	return " ON CONFLICT (" + key + ") DO NOTHING"
}

// IsRetryable reports whether err is the database's word that it did nothing for the sake of another transaction (a
// deadlock, a serialization failure, a lock that was not got in time), so that the whole transaction may be run again.
func (d Dialect) IsRetryable(err error) bool { return d.classify(err) == faultRetry }

// IsDuplicate reports whether err is the database's word that a key is taken.
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
		var state interface{ SQLState() string }
		if !errors.As(err, &state) {
			return faultOther
		}
		switch state.SQLState() {
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
		text := err.Error()
		if strings.Contains(text, "database is locked") || strings.Contains(text, "SQLITE_BUSY") ||
			strings.Contains(text, "database table is locked") {
			return faultRetry
		}
		if strings.Contains(text, "UNIQUE constraint failed") {
			return faultDuplicate
		}
	}
	return faultOther
}

// isMissingTable reports whether the database has no table of that name.
func (d Dialect) isMissingTable(err error) bool {
	var state interface{ SQLState() string }
	switch d {
	case PostgreSQL:
		return errors.As(err, &state) && state.SQLState() == "42P01"
	case MySQL:
		return mysqlNumber(err) == 1146
	case SQLite:
	}
	return err != nil && strings.Contains(err.Error(), "no such table")
}

// mysqlNumber reads the number of a server's error from its text, which begins "Error 1213 (40001): …".
func mysqlNumber(err error) int {
	if err == nil {
		return 0
	}
	var n int
	if _, scanErr := fmt.Sscanf(err.Error(), "Error %d", &n); scanErr == nil {
		return n
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case interface{ Unwrap() error }:
		return mysqlNumber(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if n := mysqlNumber(err); n != 0 {
				return n
			}
		}
	}
	return 0
}
