package killtest_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/killtest"
)

var bg = context.Background()

// TestMain works if the driver has started this process as a worker.
func TestMain(m *testing.M) {
	if code, is := killtest.Worker(killtest.Engine{}); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestKilled makes a run of some seconds on each database that is configured.
func TestKilled(t *testing.T) {
	for _, c := range []struct {
		database sqlstore.Dialect
		variable string
		example  string
	}{
		{sqlstore.SQLite, "", ""},
		{sqlstore.PostgreSQL, "ORDERFSM_POSTGRES_DSN", "postgres://postgres@127.0.0.1:5432/test"},
		{sqlstore.MySQL, "ORDERFSM_MYSQL_DSN", "root@tcp(127.0.0.1:3306)/"},
	} {
		t.Run(string(c.database), func(t *testing.T) {
			t.Parallel()
			dsn := os.Getenv(c.variable)
			if c.variable != "" && dsn == "" {
				t.Skip("set " + c.variable + ", for example " + c.example)
			}
			var out bytes.Buffer
			rep, err := killtest.Run(bg, killtest.Options{
				Database: c.database, DSN: dsn, Orders: 40, Workers: 3, Seed: 7, Out: &out,
				For: 5 * time.Minute, KillEvery: 700 * time.Millisecond,
				// Without a limit the run would not end on a machine on which workers start slowly.
				Kills: 20,
			})
			require.NoError(t, err, &out)
			require.Empty(t, rep.Differences, "%s\nkept: %s", &out, rep.Kept)
			require.Zero(t, rep.PaidTwice)
			require.Zero(t, rep.Lost)
			require.Equal(t, rep.Refunds, rep.Paid+rep.Failed)
			require.Greater(t, rep.Refunds, 40)
			require.Positive(t, rep.Kills, "without a kill the test proves nothing")
			require.Positive(t, rep.Unheard)

			var table bytes.Buffer
			require.NoError(t, rep.Print(&table))
			t.Logf("\n%s", &table)
		})
	}
}

// TestTimeIsOver checks that a run out of time reports the refunds that have not ended, and keeps
// the database.
func TestTimeIsOver(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	rep, err := killtest.Run(bg, killtest.Options{
		Database: sqlstore.SQLite, Orders: 5, For: time.Millisecond,
	})
	require.NoError(t, err)
	require.Equal(t, rep.Refunds, rep.Lost)
	require.NotEmpty(t, rep.Differences)
	require.Contains(t, rep.Kept, os.Getenv("TMPDIR"))

	var table bytes.Buffer
	require.NoError(t, rep.Print(&table))
	require.Contains(t, table.String(), "DIFFERENCE: ")
}

// TestInterrupted checks that a cancelled run returns the context's error and leaves no files.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(bg)
	_, err := killtest.Run(ctx, killtest.Options{
		Database: sqlstore.SQLite, Orders: 50,
		Midway: func(context.Context) error { cancel(); return nil },
	})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt  killtest.Options
		want string
	}{
		"no database":   {killtest.Options{}, "want sqlite, postgresql or mysql"},
		"no DSN":        {killtest.Options{Database: sqlstore.PostgreSQL}, "a DSN is required"},
		"negative":      {killtest.Options{Database: sqlstore.SQLite, Orders: -1}, "negative"},
		"unreachable":   {killtest.Options{Database: sqlstore.MySQL, DSN: "root@tcp(127.0.0.1:1)/"}, "CREATE DATABASE"},
		"DSN is no URL": {killtest.Options{Database: sqlstore.PostgreSQL, DSN: "host=%zz"}, "URL"},
		"DSN is no DSN": {killtest.Options{Database: sqlstore.MySQL, DSN: "?"}, "DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := killtest.Run(bg, c.opt)
			require.ErrorContains(t, err, c.want)
		})
	}
}
