package killtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	_ "modernc.org/sqlite"             // the driver

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// place is an empty database that only one run uses.
type place struct {
	dsn  string
	drop func(ctx context.Context) error
}

// makePlace makes a place under a name that nobody else uses. SQLite's files go into dir.
func makePlace(ctx context.Context, opt Options, dir, name string) (place, error) {
	switch opt.Database { //nolint:exhaustive // the other one is SQLite
	case sqlstore.PostgreSQL:
		u, err := url.Parse(opt.DSN)
		if err != nil {
			return place{}, fmt.Errorf("the DSN must be a URL: %w", err)
		}
		q := u.Query()
		q.Set("search_path", name)
		u.RawQuery = q.Encode()
		return place{u.String(), dropper(opt, "DROP SCHEMA "+name+" CASCADE")}, admin(ctx, opt, "CREATE SCHEMA "+name)
	case sqlstore.MySQL:
		cfg, err := mysql.ParseDSN(opt.DSN)
		if err != nil {
			return place{}, err
		}
		cfg.DBName = name
		return place{cfg.FormatDSN(), dropper(opt, "DROP DATABASE "+name)}, admin(ctx, opt, "CREATE DATABASE "+name)
	default:
		return place{
			"file:" + filepath.Join(dir, "orders.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)",
			func(context.Context) error { return nil },
		}, nil
	}
}

func dropper(opt Options, statement string) func(context.Context) error {
	return func(ctx context.Context) error { return admin(ctx, opt, statement) }
}

func admin(ctx context.Context, opt Options, statement string) error {
	db, err := open(opt.Database, opt.DSN)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func open(d sqlstore.Dialect, dsn string) (*sql.DB, error) {
	driver := map[sqlstore.Dialect]string{
		sqlstore.SQLite: "sqlite", sqlstore.PostgreSQL: "pgx", sqlstore.MySQL: "mysql",
	}[d]
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	return db, nil
}
