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

// database is the shop's own, which orderfsm's tables are in too.
type database struct {
	*sql.DB
	Dialect sqlstore.Dialect
}

// openDatabase tells the kind of database by its DSN.
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
		return nil, err // it holds no password: nothing was dialled yet
	}
	d.SetMaxOpenConns(16)
	d.SetMaxIdleConns(16)
	if d.Dialect == sqlstore.SQLite {
		d.SetMaxOpenConns(1) // SQLite has one writer: with one connection the others wait in line
	}
	return d, nil
}

// queries is what a pool and a transaction have in common.
type queries interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// on is where the shop's own statements go: the transaction that ctx carries, or else the pool.
func (d *database) on(ctx context.Context) queries {
	if tx, ok := sqlstore.TxFrom(ctx); ok {
		return tx
	}
	return d.DB
}

// exec returns the number of rows that a statement changed.
func (d *database) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := d.on(ctx).ExecContext(ctx, d.bind(query), args...)
	if err != nil {
		return 0, fmt.Errorf("%.40s…: %w", query, err)
	}
	return res.RowsAffected()
}

// each reads all rows into values of one type, scan by scan.
func each[T any](ctx context.Context, d *database, scan func(t *T) []any, query string, args ...any) ([]T, error) {
	rows, err := d.on(ctx).QueryContext(ctx, d.bind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("%.40s…: %w", query, err)
	}
	defer rows.Close()
	all := []T{} // an empty list, and not null, in JSON
	for rows.Next() {
		var t T
		if err := rows.Scan(scan(&t)...); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// bind numbers the question marks where PostgreSQL wants that.
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

// locking has a SELECT see and hold the rows as they are now, on MySQL also in a transaction that
// began before.
func (d *database) locking(query string) string {
	if d.Dialect == sqlstore.SQLite { // its transactions are one after the other
		return query
	}
	return query + " FOR UPDATE"
}
