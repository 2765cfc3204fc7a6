package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// database holds the shop's tables and orderfsm's.
type database struct {
	*sql.DB
	Dialect sqlstore.Dialect
}

// openDatabase opens the database of a DSN, whose form decides the kind of database.
func openDatabase(dsn string) (*database, error) {
	d := &database{Dialect: sqlstore.SQLite}
	var err error
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		d.Dialect = sqlstore.PostgreSQL
		d.DB, err = sql.Open("pgx", dsn)
	case strings.Contains(dsn, "@tcp("), strings.Contains(dsn, "@unix("):
		d.Dialect = sqlstore.MySQL
		d.DB, err = sql.Open("mysql", dsn)
	default:
		d.DB, err = sql.Open("sqlite", "file:"+dsn+
			"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
	}
	if err != nil {
		return nil, err // it has no password: there was no connection yet
	}
	d.SetMaxOpenConns(16)
	d.SetMaxIdleConns(16)
	if d.Dialect == sqlstore.SQLite {
		d.SetMaxOpenConns(1) // SQLite has one writer; with one connection the others wait
	}
	return d, nil
}

// queries is what a pool and a transaction have in common.
type queries interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// on returns the transaction that ctx carries, or the pool if there is none.
func (d *database) on(ctx context.Context) queries {
	if tx, ok := sqlstore.TxFrom(ctx); ok {
		return tx
	}
	return d.DB
}

// exec runs a statement and returns the number of rows that it changed.
func (d *database) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := d.on(ctx).ExecContext(ctx, d.bind(query), args...)
	if err != nil {
		return 0, fmt.Errorf("%.40s…: %w", query, err)
	}
	return res.RowsAffected()
}

// each runs a query and returns one T for each row. scan returns the fields of a T to scan into.
func each[T any](
	ctx context.Context, d *database, scan func(t *T) []any, query string, args ...any,
) ([]T, error) {
	rows, err := d.on(ctx).QueryContext(ctx, d.bind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("%.40s…: %w", query, err)
	}
	defer rows.Close()
	all := []T{} // an empty list in JSON, not null
	for rows.Next() {
		var t T
		if err := rows.Scan(scan(&t)...); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// bind replaces the question marks by $1, $2 and so on if the database is PostgreSQL.
func (d *database) bind(query string) string {
	if d.Dialect != sqlstore.PostgreSQL {
		return query
	}
	parts := strings.Split(query, "?")
	for i := range parts[:len(parts)-1] {
		parts[i] += "$" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, "")
}

// locking makes a SELECT lock the rows that it reads. On MySQL it then also reads the latest rows,
// not those at the beginning of the transaction.
func (d *database) locking(query string) string {
	if d.Dialect == sqlstore.SQLite { // SQLite runs one transaction at a time
		return query
	}
	return query + " FOR UPDATE"
}
