package sqlstore

import (
	"strconv"
	"strings"
)

// Dialect is the kind of database of a [Store].
type Dialect string

// The dialects.
const (
	// SQLite is SQLite 3.37 or newer, through modernc.org/sqlite, github.com/mattn/go-sqlite3 or a
	// driver with the same kind of errors: see Dialect.IsRetryable.
	SQLite Dialect = "sqlite"
	// PostgreSQL is PostgreSQL 12 or newer, through github.com/jackc/pgx/v5 or another driver that
	// numbers its placeholders and whose errors have a method SQLState() string.
	PostgreSQL Dialect = "postgresql"
	// MySQL is MySQL 8.0.16 or newer or MariaDB 10.6 or newer, through
	// github.com/go-sql-driver/mysql.
	MySQL Dialect = "mysql"
)

// bind replaces the question marks of a query by the placeholders of the dialect.
func (d Dialect) bind(query string) string {
	if d != PostgreSQL {
		return query
	}
	parts := strings.Split(query, "?")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		b.WriteString("$" + strconv.Itoa(i+1) + part)
	}
	return b.String()
}

// join keeps MySQL and SQLite from reading all orders first.
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

// useIndex makes MySQL and SQLite use an index. Neither knows that a page is short: for a state
// that most refunds are in, or for a long time, they would read all rows.
func (d Dialect) useIndex(index string) string {
	switch d {
	case MySQL:
		return " FORCE INDEX (" + index + ")"
	case SQLite:
		return " INDEXED BY " + index
	case PostgreSQL:
	}
	return ""
}

// value is a placeholder for a value that is looked for in an index. It hides the value from the
// planner of PostgreSQL and SQLite, which would plan the statement again for each value: PostgreSQL
// if a table is large, SQLite after ANALYZE or PRAGMA optimize. That takes longer than to run the
// statement. MySQL plans each time, and better if it sees the value.
func (d Dialect) value(kind string) string {
	if d == MySQL {
		return "?"
	}
	return "(SELECT CAST(? AS " + kind + "))"
}

// contains is the condition that column holds the text of a placeholder, case-sensitive.
func (d Dialect) contains(column string) string {
	if d == PostgreSQL {
		return "strpos(" + column + ", ?) > 0"
	}
	return "instr(" + column + ", ?) > 0"
}

// skipTaken makes an INSERT do nothing if the key is taken. MySQL reports a taken key as an error,
// after which its transaction is still usable.
func (d Dialect) skipTaken(key string) string {
	if d == MySQL {
		return ""
	}
	return " ON CONFLICT (" + key + ") DO NOTHING"
}
