package riverqueue_test

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestStopAndCancelReleasesTheRefund: it cancels a call. The job does not stay running, and the
// refund does not stay leased.
func TestStopAndCancelReleasesTheRefund(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	called := make(chan struct{})
	s := newShop(t, dsn, hanging(called), refund.Options{Backoff: soon})
	s.approve("1")
	c := s.start(riverqueue.Options{}, nil)
	<-called
	require.NoError(t, c.StopAndCancel(bg))
	require.Equal(t, order.StateApproved, s.refund("1").State)
	require.Equal(t, rivertype.JobStateAvailable, s.jobBecomes(rivertype.JobStateAvailable).State)

	b := refundtest.New()
	next := newShop(t, dsn, b, refund.Options{Backoff: soon})
	next.start(riverqueue.Options{}, nil)
	next.becomes("1", order.StateRefunded)
	next.jobBecomes(rivertype.JobStateCompleted)
	requirePaid(t, b, "1")
}

// TestStopWaitsForTheCall: the call in flight and its job end.
func TestStopWaitsForTheCall(t *testing.T) {
	t.Parallel()
	called, gate := make(chan struct{}), make(chan struct{})
	s := newShop(t, freshDSN(t), gated(called, gate), refund.Options{})
	s.approve("1")
	c := s.start(riverqueue.Options{}, nil)
	<-called
	stopped := make(chan error, 1)
	go func() { stopped <- c.Stop(bg) }()
	require.Never(t, func() bool { return len(stopped) > 0 }, 20*time.Millisecond, time.Millisecond,
		"it waits")
	close(gate)
	require.NoError(t, <-stopped)
	require.Equal(t, order.StateRefunded, s.refund("1").State)
	require.Equal(t, rivertype.JobStateCompleted, s.list()[0].State)
}

// childVar makes this program a process that a test kills. It holds the mode and the DSN.
const childVar = "ORDERFSM_TEST_CHILD"

// The modes of a child: with short times and never as the leader, or as in a host.
const (
	modeShort = "short"
	modeHost  = "host"
)

// Short times, so that a test does not wait for a minute.
const (
	shortCall  = time.Second
	shortLease = 2 * time.Second
)

// printing returns a provider that prints each call, and never answers.
func printing() *refundtest.Gateway {
	b := refundtest.New()
	b.ByDefault(refundtest.Pay().Before(func(context.Context) {
		fmt.Fprintln(os.Stdout, "called")
		select {} // until it is killed
	}))
	return b
}

func child(spec string) error {
	mode, dsn, _ := strings.Cut(spec, " ")
	if mode != modeShort && mode != modeHost {
		return runEngine(mode, dsn)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	if err != nil {
		return err
	}
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		return err
	}
	opts := advised
	if mode == modeShort {
		opts = refund.Options{CallTimeout: shortCall, Lease: shortLease}
	}
	svc, err := refund.NewService(m, store, printing(), opts)
	if err != nil {
		return err
	}
	ropts := riverqueue.Options{CallTimeout: opts.CallTimeout}
	_, err = startRiver(db, svc, ropts, func(c *river.Config) {
		if mode == modeShort {
			c.PeriodicJobs = nil
		}
	})
	if err != nil {
		return err
	}
	select {}
}

// startRiver starts a client as a host does.
func startRiver(
	db *sql.DB, svc *refund.Service, opts riverqueue.Options, change func(*river.Config),
) (*river.Client[*sql.Tx], error) {
	opts.Logger = cmp.Or(opts.Logger, silent())
	inserter, err := river.NewClient(riverdatabasesql.New(db), &river.Config{})
	if err != nil {
		return nil, err
	}
	scheduler, err := riverqueue.NewScheduler(inserter, sqlstore.TxFrom, riverqueue.Lanes{})
	if err != nil {
		return nil, err
	}
	config, err := riverqueue.Config(svc, scheduler, opts)
	if err != nil {
		return nil, err
	}
	config.Logger = silent()
	change(config)
	c, err := river.NewClient(riverdatabasesql.New(db), config)
	if err != nil {
		return nil, err
	}
	return c, c.Start(context.Background())
}

// startChild returns when the child is in a call to the provider. kill ends the child with SIGKILL.
func startChild(t *testing.T, mode, dsn string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+mode+" "+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = sync.OnceFunc(func() {
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "called\n", line)
	return kill
}

// TestKilledProcessPaysOnce: a process is killed in a call. Its job is rescued, and the refund is
// paid once.
func TestKilledProcessPaysOnce(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	b := refundtest.New()
	s := newShop(t, dsn, b, refund.Options{
		CallTimeout: shortCall, Lease: shortLease, Backoff: soon,
	})
	s.approve("1")

	startChild(t, modeShort, dsn)()
	// The test does not wait until River misses the dead leader.
	_, err := s.db.ExecContext(bg, "DELETE FROM river_leader")
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, s.refund("1").State)
	job := s.jobBecomes(rivertype.JobStateRunning)

	cfg, err := riverqueue.Config(s.svc, s.scheduler, riverqueue.Options{CallTimeout: shortCall})
	require.NoError(t, err)
	stuck := job.AttemptedAt.Add(cfg.RescueStuckJobsAfter)
	s.eventually(func() (over bool) {
		require.NoError(t, s.db.QueryRowContext(bg, "SELECT now() > $1", stuck).Scan(&over))
		return over
	}, "River's rescuer looks at once, and then every 30 s")
	s.start(riverqueue.Options{CallTimeout: shortCall}, nil)
	s.becomes("1", order.StateRefunded)
	rescued := s.jobBecomes(rivertype.JobStateCompleted)
	require.Equal(t, job.ID, rescued.ID)
	require.Len(t, rescued.Errors, 1)
	requirePaid(t, b, "1")
}

const recoveryVar = "ORDERFSM_RIVER_RECOVERY"

// TestKilledProcessRecoversWithinAMinute: it measures how long a refund waits after its process was
// killed, with the times of Config. Every other process was River's leader too.
func TestKilledProcessRecoversWithinAMinute(t *testing.T) {
	t.Parallel()
	rounds, _ := strconv.Atoi(os.Getenv(recoveryVar))
	if rounds == 0 {
		t.Skip("takes minutes: set " + recoveryVar + " to the number of processes to kill, " +
			"and -parallel to how many at a time")
	}
	took := make(chan time.Duration, rounds)
	t.Run("rounds", func(t *testing.T) {
		for i := range rounds {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				took <- recovery(t, i%2 == 0, time.Duration(i)*30*time.Second/time.Duration(rounds))
			})
		}
	})
	close(took)
	all := make([]time.Duration, 0, rounds)
	for d := range took {
		all = append(all, d.Round(100*time.Millisecond))
	}
	slices.Sort(all)
	t.Logf("waited after kill -9: p50 %s, max %s of %d: %s", all[len(all)/2], all[len(all)-1],
		len(all), all)
	require.Less(t, all[len(all)-1], time.Minute)
}

// recovery kills the process of a refund and returns how long it takes until the refund is settled.
// If leads is false, another leader runs, and its rescuer comes nearer to its next look during
// after.
func recovery(t *testing.T, leads bool, after time.Duration) time.Duration {
	dsn := freshDSN(t)
	s := newShop(t, dsn, refundtest.New(), advised)
	if !leads {
		s.start(riverqueue.Options{}, func(c *river.Config) {
			c.Queues, c.TestOnly = map[string]river.QueueConfig{"other": {MaxWorkers: 1}}, false
		})
		<-time.NewTimer(after).C
	}
	s.approve("1")
	kill := startChild(t, modeHost, dsn)
	s.start(riverqueue.Options{}, func(c *river.Config) {
		c.FetchCooldown, c.FetchPollInterval, c.TestOnly = 0, 0, false
	})
	kill()
	var begin, end time.Time
	require.NoError(t, s.db.QueryRowContext(bg, "SELECT clock_timestamp()").Scan(&begin))
	s.becomes("1", order.StateRefunded)
	require.NoError(t, s.db.QueryRowContext(bg, "SELECT clock_timestamp()").Scan(&end))
	return end.Sub(begin)
}
