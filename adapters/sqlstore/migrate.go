package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations
var files embed.FS

// Migrations are the migrations of a dialect as plain SQL files, for teams with a tool of their own: each is
// to be run once, in the order of their names, and holds statements that end in a semicolon at a line's end.
// The tables are named with [DefaultPrefix].
func Migrations(d Dialect) (fs.FS, error) { return fs.Sub(files, path.Join("migrations", string(d))) }

// Migrate makes the tables, or brings those of an older version up to date; on current ones it changes
// nothing. Any number of processes may call it at once. What it has done is kept in a table of its own, named
// prefix and "migrations", which goose keeps.
//
// An interrupted one is continued by the next, on MySQL too, where a migration is not one transaction.
func (s *Store) Migrate(ctx context.Context) error {
	const tries = 10 // on SQLite, which has no lock to wait for, those who lose a race begin again
	var err error
	for try := range tries {
		if err = s.migrate(ctx); err == nil || s.d != SQLite || ctx.Err() != nil {
			break
		}
		if s.pause(ctx, time.Duration(try+1)*10*time.Millisecond) != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	migrations, err := s.migrations()
	if err != nil {
		return err
	}
	if err := s.ask(ctx); err != nil {
		return err
	}
	dialect := map[Dialect]database.Dialect{
		SQLite: database.DialectSQLite3, PostgreSQL: database.DialectPostgres, MySQL: database.DialectMySQL,
	}[s.d]
	versions, err := database.NewStore(dialect, s.prefix+"migrations")
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{
		goose.WithStore(anyTime{versions}), goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true),
	}
	if s.d != SQLite {
		opts = append(opts, goose.WithSessionLocker(migrationLock{s.d, s.prefix}))
	}
	provider, err := goose.NewProvider("", s.db, nil, opts...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// ask has the database do what only the dialect's can: goose would try for seconds to make its table in another.
func (s *Store) ask(ctx context.Context) error {
	query := map[Dialect]string{
		SQLite: "SELECT sqlite_version()", PostgreSQL: "SELECT pg_backend_pid()", MySQL: "SELECT connection_id()",
	}[s.d]
	var answer any
	if err := s.db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
		return fmt.Errorf("is the dialect %s that of the database? %s: %w", s.d, query, err)
	}
	return nil
}

// anyTime reads what was applied without its time, which a MySQL connection gives as a time or as text,
// whichever the host has chosen.
type anyTime struct{ database.Store }

// GetMigration implements goose's database.Store.
func (v anyTime) GetMigration(ctx context.Context, db database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	all, err := v.ListMigrations(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Version == version {
			return &database.GetMigrationResult{IsApplied: m.IsApplied}, nil
		}
	}
	return nil, fmt.Errorf("%w: %d", database.ErrVersionNotFound, version)
}

// migrations are the files with the store's own prefix.
func (s *Store) migrations() ([]*goose.Migration, error) {
	dir, err := Migrations(s.d)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		return nil, err
	}
	var all []*goose.Migration
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		statements := split(strings.ReplaceAll(string(text), DefaultPrefix, s.prefix))
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			for _, statement := range statements {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}}, nil))
	}
	return all, nil
}

// split separates the statements of a file.
func split(text string) []string {
	var all []string
	for _, statement := range strings.Split(text, ";\n") {
		if strings.TrimSpace(statement) != "" {
			all = append(all, statement)
		}
	}
	return all
}

// migrationLock keeps other processes from migrating the same tables, for as long as the connection holds it.
type migrationLock struct {
	d      Dialect
	prefix string
}

// SessionLock implements goose's lock.SessionLocker.
func (l migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if l.d == PostgreSQL {
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", l.number())
		return err
	}
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 3600)", l.name()).Scan(&got); err != nil {
		return err
	}
	if got.Int64 != 1 {
		return fmt.Errorf("another process has held the lock %s for an hour", l.name())
	}
	return nil
}

// SessionUnlock implements goose's lock.SessionLocker.
func (l migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	query, key := "SELECT RELEASE_LOCK(?)", any(l.name())
	if l.d == PostgreSQL {
		query, key = "SELECT pg_advisory_unlock($1)", l.number()
	}
	_, err := conn.ExecContext(ctx, query, key)
	return err
}

func (l migrationLock) name() string { return l.prefix + "migrations" }

func (l migrationLock) number() int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(l.name())) // never fails
	return int64(h.Sum64())          //nolint:gosec // any number does
}
