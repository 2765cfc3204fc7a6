package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/internal/txn"
)

//go:embed migrations
var files embed.FS

// Migrations returns the migrations of a dialect as plain SQL files, for hosts that run them with a
// tool of theirs. Run each file once, in the order of their names. Every statement ends in a
// semicolon at the end of a line. The names of the tables begin with orderfsm_; replace it for
// another prefix.
//
// Such a host does not call [Store.Migrate]. If it does, no harm is done: all statements may be
// repeated.
func Migrations(d Dialect) (fs.FS, error) { return fs.Sub(files, "migrations/"+string(d)) }

// Migrate makes the tables, or brings those of an older version up to date. On current tables it
// changes nothing and takes no lock. Any number of processes may call it at once.
//
// It keeps the versions that it has made in a table with the store's prefix and the name
// "migrations". On SQLite and PostgreSQL each migration is one transaction. MySQL has no
// transactions for tables: if Migrate is interrupted there, the next call repeats the migration
// from its first statement.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.checkDialect(ctx); err != nil {
		return err
	}
	all, err := s.migrations()
	if err != nil {
		return err
	}
	for _, m := range all {
		if done, err := s.isApplied(ctx, txn.SQL(s.db, nil), m); err == nil && done {
			continue
		}
		// If the table of versions cannot be read, it is probably not there yet.
		if s.d == MySQL {
			err = s.applyOnMySQL(ctx, m)
		} else {
			err = s.pool.Atomically(ctx, func(ctx context.Context, t *txn.Txn) error {
				return s.applyLocked(ctx, t, m)
			}, nil)
		}
		if err != nil {
			return fmt.Errorf("version %d: %w", m.version, err)
		}
	}
	return nil
}

// checkDialect calls a function that only the dialect's database has.
func (s *Store) checkDialect(ctx context.Context) error {
	query := map[Dialect]string{
		SQLite: "SELECT sqlite_version()", PostgreSQL: "SELECT pg_backend_pid()",
		MySQL: "SELECT connection_id()",
	}[s.d]
	var answer any
	if err := s.db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
		return fmt.Errorf("is the dialect %s that of the database? %s: %w", s.d, query, err)
	}
	return nil
}

// migration is one file of migrations.
type migration struct {
	version    int
	statements []string
}

// migrations returns the files with the store's prefix, in the order of their versions.
func (s *Store) migrations() (all []migration, err error) {
	dir := "migrations/" + string(s.d)
	entries, err := files.ReadDir(dir)
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		version, numberErr := strconv.Atoi(number)
		text, readErr := files.ReadFile(dir + "/" + e.Name())
		err = errors.Join(err, numberErr, readErr)
		statements := strings.TrimSpace(string(text))
		statements = strings.ReplaceAll(statements, defaultPrefix, s.opts.Prefix)
		all = append(all, migration{version, strings.Split(statements, ";\n")})
	}
	return all, err
}

func (s *Store) isApplied(ctx context.Context, c txn.Conn, m migration) (bool, error) {
	var n int
	query := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE version = %d", s.sql.versions, m.version)
	err := scan(ctx, c, query, nil, []any{&n}, func() {})
	return n > 0, err
}

// applyLocked makes a migration in a transaction, unless another process has made it. Others wait
// until the transaction ends.
func (s *Store) applyLocked(ctx context.Context, c txn.Conn, m migration) error {
	exec := func(statements ...string) error {
		for _, statement := range statements {
			if _, err := c.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	before := []string{
		"CREATE TABLE IF NOT EXISTS " + s.sql.versions + " (version BIGINT NOT NULL PRIMARY KEY)",
	}
	switch s.d {
	case PostgreSQL:
		// A lock of the transaction and not of the session: behind PgBouncer the next transaction
		// may run in another session.
		h := fnv.New64a()
		_, _ = h.Write([]byte(s.sql.versions))
		key := int64(h.Sum64()) //nolint:gosec // any number will do
		before = slices.Insert(before, 0, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", key))
	case SQLite:
		// A write takes the lock of the database, also of no row. If another process has written
		// since the statement before, SQLite reports SQLITE_BUSY, and the transaction begins again.
		before = append(before, "DELETE FROM "+s.sql.versions+" WHERE version = NULL")
	case MySQL: // applyOnMySQL has the lock
	}
	if err := exec(before...); err != nil {
		return err
	}
	if done, err := s.isApplied(ctx, c, m); err != nil || done {
		return err
	}
	insert := fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", s.sql.versions, m.version)
	return exec(append(m.statements, insert)...)
}

// applyOnMySQL makes a migration under a lock of the session. A lock of a transaction would end
// with the first CREATE TABLE, which commits.
func (s *Store) applyOnMySQL(ctx context.Context, m migration) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var got sql.NullInt64
	lock := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 3600)", s.sql.versions)
	if err := lock.Scan(&got); err != nil {
		return err
	}
	if got.Int64 != 1 {
		return fmt.Errorf("another process has held the lock %s for an hour", s.sql.versions)
	}
	defer func() {
		after, cancel := txn.Outlive(ctx)
		defer cancel()
		// With autocommit=0 the version is not committed yet.
		_, commitErr := conn.ExecContext(after, "COMMIT")
		_, unlockErr := conn.ExecContext(after, "DO RELEASE_LOCK(?)", s.sql.versions)
		if unlockErr != nil { // the connection may still hold the lock
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		if err == nil {
			err = commitErr
		}
	}()
	return s.applyLocked(ctx, txn.SQL(conn, nil), m)
}
