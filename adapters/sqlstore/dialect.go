package sqlstore

import (
	"strconv"
	"strings"
)

// Dialect is the kind of database that a [Store] speaks to.
type Dialect string

// The dialects.
const (
	// SQLite is SQLite 3.37 or newer, through modernc.org/sqlite, github.com/mattn/go-sqlite3, or another driver whose
	// errors look like those of one of them: see Dialect.IsRetryable.
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

// skipTaken has an INSERT do nothing where the key is taken. MySQL reports it as an error instead, which there
// leaves the transaction usable.
func (d Dialect) skipTaken(key string) string {
	if d == MySQL {
		return ""
	}
	return " ON CONFLICT (" + key + ") DO NOTHING"
}
