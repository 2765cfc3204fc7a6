package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

var bg = context.Background()

// database is a kind of database that the tests run on.
type database struct {
	name    string
	dialect sqlstore.Dialect
	// fresh creates an empty database, drops it when the test ends, and returns its DSN.
	fresh func(t testing.TB) (dsn string)
	open  func(dsn string) (*sql.DB, error)
}

const (
	postgresVar = "ORDERFSM_POSTGRES_DSN"
	mysqlVar    = "ORDERFSM_MYSQL_DSN"
)

func databases() []database {
	return []database{
		{"SQLite", sqlstore.SQLite, freshSQLite, func(dsn string) (*sql.DB, error) {
			return sql.Open("sqlite", dsn)
		}},
		{"PostgreSQL", sqlstore.PostgreSQL, freshPostgres, openPostgres},
		{"MySQL", sqlstore.MySQL, freshMySQL, func(dsn string) (*sql.DB, error) {
			return sql.Open("mysql", dsn)
		}},
	}
}

// onEach runs a test on every database that is available.
func onEach(t *testing.T, run func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range databases() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			run(t, d)
		})
	}
}

func freshSQLite(t testing.TB) string {
	t.Helper()
	return "file:" + filepath.Join(t.TempDir(), "orders.db") + "?_pragma=busy_timeout(60000)" +
		"&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)"
}

var serial atomic.Int64

func freshName() string { return fmt.Sprintf("orderfsm_test_%d_%d", os.Getpid(), serial.Add(1)) }

func openPostgres(dsn string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*cfg), nil
}

// freshPostgres creates a schema.
func freshPostgres(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(postgresVar)
	if dsn == "" {
		t.Skip("set " + postgresVar + ", for example postgres://postgres@127.0.0.1:5432/test")
	}
	name := freshName()
	admin(t, openPostgres, dsn, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// freshMySQL creates a database.
func freshMySQL(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(mysqlVar)
	if dsn == "" {
		t.Skip("set " + mysqlVar + ", for example root@tcp(127.0.0.1:3306)/")
	}
	name := freshName()
	admin(t, func(dsn string) (*sql.DB, error) { return sql.Open("mysql", dsn) }, dsn,
		"CREATE DATABASE "+name, "DROP DATABASE "+name)
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.DBName, cfg.InterpolateParams = name, true
	return cfg.FormatDSN()
}

func admin(t testing.TB, open func(string) (*sql.DB, error), dsn, create, drop string) {
	t.Helper()
	db, err := open(dsn)
	require.NoError(t, err)
	_, err = db.ExecContext(bg, create)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(bg, drop)
		db.Close()
		if err != nil {
			t.Error(err)
		}
	})
}

// connect opens a database and closes it when the test ends.
func (d database) connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := d.open(dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// store returns a migrated store on a fresh database.
func (d database) store(t testing.TB) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := d.connect(t, d.fresh(t))
	s := d.on(t, db)
	require.NoError(t, s.Migrate(bg))
	return s, db
}

func (d database) on(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, d.dialect, sqlstore.Options{})
	require.NoError(t, err)
	return s
}

// with adds a parameter to a DSN.
func with(dsn, param string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + param
	}
	return dsn + "?" + param
}
