package main

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

// TestMain works if the driver has started this process as a worker.
func TestMain(m *testing.M) {
	if code, is := killtest.Worker(engine()); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestKilled runs the command for some seconds. It kills only a few processes, because a leader
// that is killed all the time rescues no job.
func TestKilled(t *testing.T) {
	const variable = "ORDERFSM_POSTGRES_DSN"
	dsn := os.Getenv(variable)
	if dsn == "" {
		t.Skip("set " + variable + ", for example postgres://postgres@127.0.0.1:5432/test; unproven: River's processes may be killed")
	}
	var out bytes.Buffer
	rep, err := killtest.Run(context.Background(), killtest.Options{
		Engine: engine(), Database: sqlstore.PostgreSQL, DSN: dsn, Orders: 60, Workers: 3, Seed: 7,
		Out: &out,
		For: 5 * time.Minute, KillEvery: 500 * time.Millisecond, Kills: 8,
	})
	require.NoError(t, err, &out)
	require.Empty(t, rep.Differences, "%s\nkept: %s", &out, rep.Kept)
	require.Zero(t, rep.PaidTwice)
	require.Zero(t, rep.Lost)
	require.Equal(t, rep.Refunds, rep.Paid+rep.Failed)
	require.Greater(t, rep.Refunds, 60)
	require.Positive(t, rep.Kills, "without a kill the test proves nothing")
	require.LessOrEqual(t, rep.Kills, int64(8))

	var table bytes.Buffer
	require.NoError(t, rep.Print(&table))
	t.Logf("\n%s", &table)
}
