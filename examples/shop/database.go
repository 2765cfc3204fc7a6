package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"

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

// inTx runs fn in one transaction with whatever orderfsm does in it: fn's ctx makes the Service join. After hooks
// run once it is committed. Where another transaction was in the way fn runs again; it must have no effect but
// through ctx.
func (d *database) inTx(ctx context.Context, fn func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := sqlstore.InTx(ctx, d.DB, fn)
		if !inTheWay(err) || try == 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 5 * time.Millisecond):
		}
	}
}

// inTheWay reports whether nothing was done because of another transaction: a deadlock, or a row that it made
// first, which the next try finds.
func inTheWay(err error) bool {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &pg):
		return pg.Code == "40P01" || pg.Code == "40001" || pg.Code == "23505"
	case errors.As(err, &my):
		return my.Number == 1213 || my.Number == 1205 || my.Number == 1020 || my.Number == 1062
	case errors.As(err, &lite): // SQLITE_BUSY, …_PRIMARYKEY, …_UNIQUE
		return lite.Code()&0xff == 5 || lite.Code() == 1555 || lite.Code() == 2067
	}
	return false
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

// locking has a SELECT see and hold the rows as they are now, on MySQL also in a transaction that began before.
func (d *database) locking(query string) string {
	if d.Dialect == sqlstore.SQLite { // its transactions are one after the other
		return query
	}
	return query + " FOR UPDATE"
}
