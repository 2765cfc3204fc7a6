package riverqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// soon is a Backoff for tests. It is longer than it takes to record an answer.
func soon(string, int) time.Duration { return 50 * time.Millisecond }

// TestJobSleepsUntilTheRefundIsSettled: the provider needs several calls.
func TestJobSleepsUntilTheRefundIsSettled(t *testing.T) {
	t.Parallel()
	b := refundtest.New()
	b.Choose(firstCalls(4, refundtest.PayWhenAsked()))
	s := newShop(t, freshDSN(t), b, refund.Options{Backoff: soon})
	s.approve("1")
	s.start(riverqueue.Options{}, nil)
	s.becomes("1", order.StateRefunded)
	job := s.jobBecomes(rivertype.JobStateCompleted)
	require.Empty(t, job.Errors)
	require.Equal(t, 1, job.Attempt, "River does not count the sleeps")
	requirePaid(t, b, "1")
}

// TestGoexitLosesNoJob: code of the host ends its goroutine. River waits for another goroutine, so
// the job sleeps and comes again.
func TestGoexitLosesNoJob(t *testing.T) {
	t.Parallel()
	var exits atomic.Bool
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{Now: func() time.Time {
		if exits.Load() {
			runtime.Goexit()
		}
		return time.Now() //nolint:forbidigo // River has the real time
	}})
	s.approve("1")
	w, err := riverqueue.NewWorker(s.svc, riverqueue.Options{Logger: silent()})
	require.NoError(t, err)
	job := &river.Job[riverqueue.Args]{
		JobRow: &rivertype.JobRow{},
		Args:   riverqueue.Args{Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}},
	}
	exits.Store(true)
	var snooze *rivertype.JobSnoozeError
	require.ErrorAs(t, w.Work(bg, job), &snooze)
	require.Equal(t, 10*time.Second, snooze.Duration)
	exits.Store(false)
	require.NoError(t, w.Work(bg, job))
	require.Equal(t, order.StateRefunded, s.refund("1").State)
}

// TestUnknownIsNotGivenUp: the gateway fails and panics more often than River's usual attempts.
func TestUnknownIsNotGivenUp(t *testing.T) {
	t.Parallel()
	b := refundtest.New()
	for i := range river.MaxAttemptsDefault + 5 {
		step := refundtest.Fail(errors.New("time-out"))
		if i%10 == 9 {
			step = step.Before(func(context.Context) { panic("the adapter's bug") })
		}
		b.Next(step)
	}
	s := newShop(t, freshDSN(t), b, refund.Options{Backoff: soon})
	s.approve("1")
	s.start(riverqueue.Options{}, nil)
	s.becomes("1", order.StateRefunded)
	job := s.jobBecomes(rivertype.JobStateCompleted)
	require.Empty(t, job.Errors)
	require.Greater(t, s.refund("1").Attempts, river.MaxAttemptsDefault+5)
	requirePaid(t, b, "1")
}

// TestErrorsOutsideOfWorkAreRetriedWithinSeconds: they use up River's attempts, of which there are
// enough.
func TestErrorsOutsideOfWorkAreRetriedWithinSeconds(t *testing.T) {
	t.Parallel()
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	s.approve("1")
	_, err := s.db.ExecContext(bg, "UPDATE river_job SET attempt = 40")
	require.NoError(t, err)
	job := s.list()[0]
	w, err := riverqueue.NewWorker(s.svc, riverqueue.Options{Logger: silent()})
	require.NoError(t, err)
	require.Less(t, job.Attempt, job.MaxAttempts)
	before := wall()
	next := w.NextRetry(&river.Job[riverqueue.Args]{JobRow: job})
	require.Greater(t, next.Sub(before), 10*time.Second)
	require.Less(t, next.Sub(wall()), 40*time.Second)
}

// TestWorkSleepsAsLongAsItShould: the test calls Work as River does.
func TestWorkSleepsAsLongAsItShould(t *testing.T) {
	t.Parallel()
	b := refundtest.New()
	b.ByDefault(refundtest.Accept())
	broken, backoff := false, time.Minute
	clock := refundtest.NewClock(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	s := newShop(t, freshDSN(t), b, refund.Options{
		Now: func() time.Time {
			if broken {
				panic("the host's bug")
			}
			return clock.Now()
		},
		Backoff: func(string, int) time.Duration { return backoff },
	})
	s.approve("1")
	w, err := riverqueue.NewWorker(s.svc, riverqueue.Options{
		Now: clock.Now, Logger: silent(),
	})
	require.NoError(t, err)
	ctx := bg
	work := func(number string, attempted time.Time) error {
		return w.Work(ctx, &river.Job[riverqueue.Args]{
			JobRow: &rivertype.JobRow{AttemptedAt: &attempted},
			Args:   riverqueue.Args{Ref: refund.Ref{OrderID: "O-1", RefundNo: number}},
		})
	}
	sleeps := func(want time.Duration, err error) {
		t.Helper()
		var snooze *rivertype.JobSnoozeError
		require.ErrorAs(t, err, &snooze)
		require.Equal(t, want, snooze.Duration)
	}
	sleeps(time.Minute, work("R-1", clock.Now()))
	clock.Advance(20 * time.Second)
	sleeps(40*time.Second, work("R-1", clock.Now().Add(-time.Second)))
	sleeps(time.Hour+40*time.Second, work("R-1", clock.Now().Add(time.Hour)))
	clock.Advance(40 * time.Second)
	backoff = 0
	sleeps(time.Second, work("R-1", clock.Now()))

	cancelled := river.JobCancel(nil)
	require.ErrorIs(t, work("R-none", clock.Now()), cancelled)
	broken = true
	sleeps(10*time.Second, work("R-1", clock.Now()))
	broken = false

	stopped, stop := context.WithCancel(bg)
	stop()
	ctx = stopped
	sleeps(time.Second, work("R-1", clock.Now()))
	ctx = bg
	s.db.Close()
	sleeps(10*time.Second, work("R-1", clock.Now()))

	var invalid *order.InvalidError
	_, err = riverqueue.Config(nil, s.scheduler, riverqueue.Options{})
	require.ErrorAs(t, err, &invalid)
	_, err = riverqueue.Config(s.svc, s.scheduler, riverqueue.Options{CallTimeout: -1})
	require.ErrorAs(t, err, &invalid)
	_, err = riverqueue.Config[*sql.Tx](s.svc, nil, riverqueue.Options{})
	require.ErrorAs(t, err, &invalid)
}

// TestConfigRescuesWithinAMinute: the refund of a killed process is processed again in under a
// minute.
func TestConfigRescuesWithinAMinute(t *testing.T) {
	t.Parallel()
	s := newShop(t, freshDSN(t), refundtest.New(), advised)
	cfg, err := riverqueue.Config(s.svc, s.scheduler, riverqueue.Options{Logger: silent()})
	require.NoError(t, err)
	require.Greater(t, cfg.JobTimeout, advised.CallTimeout)
	require.Greater(t, cfg.RescueStuckJobsAfter, cfg.JobTimeout)
	// River looks for stuck jobs, then for jobs to retry, and then the client fetches.
	const rescuer, scheduler, fetch = 31 * time.Second, 5 * time.Second, time.Second
	require.Less(t, cfg.RescueStuckJobsAfter+rescuer+time.Second+scheduler+fetch, time.Minute)
	require.Less(t, advised.Lease+scheduler+fetch, time.Minute)
	_, err = river.NewClient(riverdatabasesql.New(s.db), cfg)
	require.NoError(t, err)
}

// TestConfigSweeps: the host need not call Sweep.
func TestConfigSweeps(t *testing.T) {
	t.Parallel()
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	before := *s
	before.svc = newService(t, s.db, refundtest.New(), refund.Options{})
	before.approve("1")
	require.Empty(t, s.list())
	s.start(riverqueue.Options{}, nil)
	s.becomes("1", order.StateRefunded)
	s.jobBecomes(rivertype.JobStateCompleted)
}

// TestWokenByTheDatabase: without a notification of PostgreSQL, the client would wait an hour.
func TestWokenByTheDatabase(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	s := newShop(t, dsn, refundtest.New(), refund.Options{})
	s.listens(dsn)
	s.start(riverqueue.Options{},
		func(c *river.Config) { c.FetchPollInterval, c.PeriodicJobs = time.Hour, nil })
	n := 0
	s.eventually(func() bool {
		n++ // the client may not listen yet, and River does not notify of each
		s.approve(strconv.Itoa(n))
		return n > 10 && s.refund("10").State == order.StateRefunded
	}, "refund 10 is settled")
}
