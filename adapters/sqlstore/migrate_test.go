package sqlstore_test

import (
	"context"
	"database/sql"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// TestMigrate makes the tables once, however often and by however many it is asked, and leaves what is in them.
func TestMigrate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			s := d.on(t, d.connect(t, dsn))
			wg.Add(1)
			go func() { defer wg.Done(); errs[i] = s.Migrate(bg) }()
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		s := d.on(t, d.connect(t, dsn))
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, s.Migrate(bg))
		requireLegal(t, s, "O-1")
	})
}

// TestMigrateWrongDialect: the database is asked before anything is made in it, and the error says what is wrong.
func TestMigrateWrongDialect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.connect(t, d.fresh(t))
		for _, wrong := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
			if wrong == d.dialect {
				continue
			}
			s, err := sqlstore.New(db, wrong, sqlstore.Options{})
			require.NoError(t, err)
			require.ErrorContains(t, s.Migrate(bg), "migrate: is the dialect "+string(wrong)+" that of the database?")
		}
	})
}

// TestPrefix: two stores in one database do not meet.
func TestPrefix(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		other, err := sqlstore.New(db, d.dialect, sqlstore.Options{Prefix: "shop2_"})
		require.NoError(t, err)
		require.Error(t, other.Create(bg, newOrder("O-1")), "its tables are not there yet")
		require.NoError(t, other.Migrate(bg))
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, other.Create(bg, newOrder("O-1")))
		require.NoError(t, other.Migrate(bg))
	})
}

// TestPlainMigrations: the files make the same tables by any tool that runs SQL.
func TestPlainMigrations(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.connect(t, d.fresh(t))
		dir, err := sqlstore.Migrations(d.dialect)
		require.NoError(t, err)
		names, err := fs.Glob(dir, "*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			text, err := fs.ReadFile(dir, name)
			require.NoError(t, err)
			for _, statement := range strings.SplitAfter(string(text), ";\n") {
				if strings.TrimSpace(statement) != "" {
					_, err := db.ExecContext(bg, statement)
					require.NoError(t, err)
				}
			}
		}
		s := d.on(t, db)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, s.Migrate(bg), "and Migrate goes on from there")
		requireLegal(t, s, "O-1")
	})
}

// TestHostsOwnMigrations: a host that uses goose too, with migrations in Go, keeps them to itself.
func TestHostsOwnMigrations(t *testing.T) {
	goose.AddNamedMigrationContext("00099_host.go", func(context.Context, *sql.Tx) error {
		t.Error("it is the host's to run")
		return nil
	}, nil)
	s, _ := databases()[0].store(t)
	require.NoError(t, s.Migrate(bg))
}
