package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestMigrate: any number of processes may migrate at once and again, and the rows stay.
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

// TestMigrateWrongDialect: Migrate checks the dialect before it writes, and the error says what is
// wrong.
func TestMigrateWrongDialect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.connect(t, d.fresh(t))
		for _, wrong := range []sqlstore.Dialect{
			sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL,
		} {
			if wrong == d.dialect {
				continue
			}
			s, err := sqlstore.New(db, wrong, sqlstore.Options{})
			require.NoError(t, err)
			require.ErrorContains(t, s.Migrate(bg),
				"migrate: is the dialect "+string(wrong)+" that of the database?")
		}
	})
}

// TestPrefix: stores with two prefixes in one database are separate.
func TestPrefix(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		other, err := sqlstore.New(db, d.dialect, sqlstore.Options{Prefix: "shop2_"})
		require.NoError(t, err)
		require.ErrorContains(t, other.Create(bg, newOrder("O-1")), "see Store.Migrate",
			"its tables are not there yet")
		require.NoError(t, other.Migrate(bg))
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, other.Create(bg, newOrder("O-1")))
		require.NoError(t, other.Migrate(bg))
		require.NoError(t, other.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			request(t, o, "R-1", 60)
			return nil
		}))
		// by indexes of that name
		for _, f := range []refund.Filter{{}, {States: []order.State{order.StateRefundRequested}}} {
			for store, refunds := range map[*sqlstore.Store]int{s: 0, other: 1} {
				page, err := store.ListRefunds(bg, f)
				require.NoError(t, err)
				require.Len(t, page.Entries, refunds)
			}
		}
	})
}

// TestPlainMigrations: any tool that runs SQL can run the files.
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
			execFile(t, db, dir, name)
		}
		s := d.on(t, db)
		require.NoError(t, s.Create(bg, newOrder("O-1")))
		require.NoError(t, s.Migrate(bg), "and Migrate goes on from there")
		requireLegal(t, s, "O-1")
	})
}

// execFile runs a file whose statements end at the end of a line.
func execFile(t *testing.T, db *sql.DB, dir fs.FS, name string) {
	t.Helper()
	text, err := fs.ReadFile(dir, name)
	require.NoError(t, err)
	for _, statement := range strings.SplitAfter(string(text), ";\n") {
		if strings.TrimSpace(statement) != "" {
			_, err := db.ExecContext(bg, statement)
			require.NoError(t, err)
		}
	}
}

// TestMigrateFrom migrates a database of each version, with the orders that the store of that
// version wrote. They stay as they were and can be refunded. A migration needs two files of its
// name in testdata: the rows in SQL, and the orders in JSON.
func TestMigrateFrom(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		dir, err := sqlstore.Migrations(d.dialect)
		require.NoError(t, err)
		names, err := fs.Glob(dir, "*.sql")
		require.NoError(t, err)
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				dsn := d.fresh(t)
				db := d.connect(t, dsn)
				for _, earlier := range names[:i+1] {
					execFile(t, db, dir, earlier)
				}
				markApplied(t, db, names[:i+1])
				execFile(t, db, os.DirFS("testdata"), name)
				text, err := os.ReadFile("testdata/" + strings.TrimSuffix(name, ".sql") + ".json")
				require.NoError(t, err)
				var want []*order.Order
				require.NoError(t, json.Unmarshal(text, &want))
				require.NotEmpty(t, want)

				others := []*exec.Cmd{
					d.childProcess(migrateRound, dsn), d.childProcess(migrateRound, dsn),
				}
				for _, cmd := range others {
					require.NoError(t, cmd.Start())
				}
				s := d.on(t, db)
				require.NoError(t, s.Migrate(bg))
				for _, cmd := range others {
					require.NoError(t, cmd.Wait())
				}
				require.NoError(t, s.Migrate(bg))
				for _, o := range want {
					require.Equal(t, o, requireLegal(t, s, o.ID))
					for _, r := range o.Refunds {
						if r.State == order.StateRefundRequested {
							svc := service(t, s, refund.Options{})
							_, err := svc.ApproveAndSend(bg, refund.ApproveParams{
								Ref:    refund.Ref{OrderID: o.ID, RefundNo: r.No},
								Amount: r.Amount, Actor: "staff:1",
							})
							require.NoError(t, err)
							require.Equal(t, order.StateRefunded,
								requireLegal(t, s, o.ID).Refund(r.No).State)
						}
					}
				}
			})
		}
	})
}

// markApplied writes the versions as Migrate does. Its table must not change: databases in use have
// it.
func markApplied(t *testing.T, db *sql.DB, names []string) {
	t.Helper()
	statements := []string{"CREATE TABLE orderfsm_migrations (version BIGINT NOT NULL PRIMARY KEY)"}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		statements = append(statements,
			"INSERT INTO orderfsm_migrations (version) VALUES ("+number+")")
	}
	for _, statement := range statements {
		_, err := db.ExecContext(bg, statement)
		require.NoError(t, err)
	}
}

// TestMigrateInterrupted breaks the connection at every operation of Migrate, before and after it.
// Then the next Migrate goes on, and on SQLite and PostgreSQL there are all tables or none.
func TestMigrateInterrupted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		d.fresh(t) // skips if the database is not here
		for _, after := range []bool{false, true} {
			cut := "nothing yet"
			for at := 1; cut != ""; at++ {
				require.Less(t, at, 50, "Migrate has an end")
				t.Run(fmt.Sprintf("%d, executed %v", at, after), func(t *testing.T) {
					cut = migrateCut(t, d, at, after)
				})
			}
		}
	})
}

// migrateCut breaks the connection at an operation of Migrate and returns the operation, or "" if
// there are fewer.
func migrateCut(t *testing.T, d database, at int, after bool) string {
	t.Helper()
	dsn := d.fresh(t)
	c := &cutter{}
	cut := sql.OpenDB(cutConnector{d.connector(t, dsn), c})
	defer cut.Close()
	s := d.on(t, cut)
	c.arm(at, after)
	err := s.Migrate(bg)
	if c.done() == "" {
		require.NoError(t, err)
	}
	db := d.connect(t, dsn)
	if d.dialect != sqlstore.MySQL {
		_, first := db.ExecContext(bg, "SELECT * FROM orderfsm_migrations")
		_, last := db.ExecContext(bg, "SELECT * FROM orderfsm_transitions")
		require.Equal(t, first == nil, last == nil, "%v and %v", first, last)
	}
	s = d.on(t, db)
	require.NoError(t, s.Migrate(bg))
	require.NoError(t, s.Create(bg, newOrder("O-1")))
	return c.done()
}

// TestMigrateCancelled ends the context of a Migrate that waits for another one. It returns and
// leaves no lock behind.
func TestMigrateCancelled(t *testing.T) {
	t.Parallel()
	d := databases()[2]
	require.Equal(t, sqlstore.MySQL, d.dialect)
	dsn := d.fresh(t)
	db := d.connect(t, dsn)
	holder, err := db.Conn(bg)
	require.NoError(t, err)
	const prefix = "cancelled_" // locks of MySQL have one name for all databases of a server
	_, err = holder.ExecContext(bg, "DO GET_LOCK('"+prefix+"migrations', 60)")
	require.NoError(t, err)
	s, err := sqlstore.New(db, d.dialect, sqlstore.Options{Prefix: prefix})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(bg, 200*time.Millisecond)
	defer cancel()
	require.Error(t, s.Migrate(ctx))
	require.Error(t, ctx.Err())
	_, err = holder.ExecContext(bg, "DO RELEASE_LOCK('"+prefix+"migrations')")
	require.NoError(t, err)
	require.NoError(t, holder.Close())
	other, err := sqlstore.New(d.connect(t, dsn), d.dialect, sqlstore.Options{Prefix: prefix})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(bg))
	require.NoError(t, other.Migrate(bg))
	var held sql.NullInt64
	require.NoError(t,
		db.QueryRowContext(bg, "SELECT IS_USED_LOCK('"+prefix+"migrations')").Scan(&held))
	require.False(t, held.Valid)
}

// TestFailedMigrationIsReported: a migration that fails is an error with its version, and it is
// not noted as applied. Here a table of another program is in the way of an index.
func TestFailedMigrationIsReported(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.connect(t, d.fresh(t))
		_, err := db.ExecContext(bg, "CREATE TABLE orderfsm_refunds (n INT)")
		require.NoError(t, err)
		s := d.on(t, db)
		require.ErrorContains(t, s.Migrate(bg), "version 1")
		require.Error(t, s.Migrate(bg))
		_, err = db.ExecContext(bg, "DROP TABLE orderfsm_refunds")
		require.NoError(t, err)
		require.NoError(t, s.Migrate(bg))
	})
}
