package riverqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore/pgxtx"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestJobAndStateCommitTogether: commands fail at all places after the job was inserted.
func TestJobAndStateCommitTogether(t *testing.T) {
	t.Parallel()
	stop := errors.New("the host failed")
	var hook error
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{Hooks: []refund.Hooks{{
		InTx: func(context.Context, *order.Order, order.Transition) error { return hook },
	}}})
	p := s.ask("1")
	nothing := func() {
		t.Helper()
		require.Equal(t, order.StateRefundRequested, s.refund("1").State)
		require.Empty(t, s.list())
	}

	hook = stop
	_, err := s.svc.Approve(bg, p)
	require.ErrorIs(t, err, stop)
	nothing()

	hook = nil
	require.ErrorIs(t, sqlstore.InTx(bg, s.db, func(ctx context.Context) error {
		_, err := s.svc.Approve(ctx, p)
		require.NoError(t, err)
		return stop
	}), stop)
	nothing()

	tx, err := s.db.BeginTx(bg, nil)
	require.NoError(t, err)
	_, err = s.svc.Approve(sqlstore.WithTx(bg, tx), p)
	require.NoError(t, err)
	nothing()
	require.NoError(t, tx.Commit())
	require.Equal(t, order.StateApproved, s.refund("1").State)
	jobs := s.list()
	require.Len(t, jobs, 1)
	require.Equal(t, rivertype.JobStateAvailable, jobs[0].State)
	require.Equal(t, riverqueue.Queue, jobs[0].Queue)
	require.Equal(t, math.MaxInt16, jobs[0].MaxAttempts)
	require.JSONEq(t, `{"order_id": "O-1", "refund_no": "R-1"}`, string(jobs[0].EncodedArgs))

	_, err = s.svc.Approve(bg, p)
	require.NoError(t, err, "a repeated command")
	require.Len(t, s.list(), 1)
}

// TestScheduleDelaysNoJob: the time may come from a wrong clock of another process.
func TestScheduleDelaysNoJob(t *testing.T) {
	t.Parallel()
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	schedule := func(at time.Time) {
		t.Helper()
		require.NoError(t, sqlstore.InTx(bg, s.db, func(ctx context.Context) error {
			return s.scheduler.Schedule(ctx, refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, at)
		}))
	}
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	schedule(later)
	job := s.jobBecomes(rivertype.JobStateAvailable)
	require.Less(t, job.ScheduledAt.Sub(job.CreatedAt).Abs(), time.Minute)
	schedule(later.AddDate(-100, 0, 0))
	require.Equal(t, job.ID, s.jobBecomes(rivertype.JobStateAvailable).ID)
}

// listed lists the same refunds always.
type listed []refund.DueRefund

// Due is that of a refund.Service.
func (l listed) Due(context.Context, int, []string) ([]refund.DueRefund, error) {
	return l, nil
}

// TestClockAYearAheadHidesNoRefund: a process whose clock is a year ahead has asked about the
// refund and has scheduled it and its job for next year. No other job can be inserted. The sweep of
// a process with a right clock wakes the job, and the refund is paid.
func TestClockAYearAheadHidesNoRefund(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	year := wall().AddDate(1, 0, 0)
	b := refundtest.New()
	b.ByDefault(refundtest.PayWhenAsked())
	s := newShop(t, dsn, b, refund.Options{})
	wrong := *s
	wrong.svc = newService(t, s.db, b, refund.Options{
		Scheduler: s.scheduler, Now: refundtest.NewClock(year).Now,
	})
	wrong.approve("1")
	job := s.jobBecomes(rivertype.JobStateAvailable)
	ref := refund.Ref{OrderID: "O-1", RefundNo: "R-1"}
	next, err := wrong.svc.Process(bg, ref)
	require.NoError(t, err)
	require.True(t, next.At.After(year))
	for _, state := range []string{"scheduled", "available", "retryable"} {
		_, err = s.db.ExecContext(bg, "UPDATE river_job SET state = $1, scheduled_at = $2", state,
			next.At)
		require.NoError(t, err)
		found, err := s.scheduler.Sweep(bg, listed{{Ref: ref, Gateway: "bank", At: next.At}}, 100)
		require.NoError(t, err)
		require.Equal(t, 1, found, state)
		woken := s.jobBecomes(rivertype.JobStateAvailable)
		require.Equal(t, job.ID, woken.ID)
		require.True(t, woken.ScheduledAt.Before(year.AddDate(0, -11, 0)), state)
	}
	s.start(riverqueue.Options{}, nil)
	s.becomes("1", order.StateRefunded)
	require.Equal(t, job.ID, s.jobBecomes(rivertype.JobStateCompleted).ID)
}

func TestCommandWithoutTransactionIsRefused(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	wrong, err := riverqueue.NewScheduler(newShop(t, dsn, refundtest.New(), refund.Options{}).jobs,
		func(context.Context) (*sql.Tx, bool) { return nil, false }, riverqueue.Lanes{})
	require.NoError(t, err)
	s := newShop(t, dsn, refundtest.New(), refund.Options{Scheduler: wrong})
	_, err = s.svc.Approve(bg, s.ask("1"))
	require.ErrorIs(t, err, riverqueue.ErrNoTx)
	require.Equal(t, order.StateRefundRequested, s.refund("1").State)

	var invalid *order.InvalidError
	_, err = riverqueue.NewScheduler[*sql.Tx](nil, sqlstore.TxFrom, riverqueue.Lanes{})
	require.ErrorAs(t, err, &invalid)
	_, err = riverqueue.NewScheduler(s.jobs, nil, riverqueue.Lanes{})
	require.ErrorAs(t, err, &invalid)
	_, err = riverqueue.NewScheduler(s.jobs, sqlstore.TxFrom, riverqueue.Lanes{
		Gateways: []string{"g"},
	})
	require.ErrorAs(t, err, &invalid)
}

// TestRetryWakesOrInsertsTheJob: it wakes a job that sleeps, and inserts one after a final job.
func TestRetryWakesOrInsertsTheJob(t *testing.T) {
	t.Parallel()
	b := refundtest.New()
	b.ByDefault(refundtest.Accept())
	s := newShop(t, freshDSN(t), b, refund.Options{
		Backoff: func(string, int) time.Duration { return time.Hour },
	})
	s.approve("1")
	c := s.start(riverqueue.Options{}, nil)
	job := s.jobBecomes(rivertype.JobStateScheduled)
	require.Greater(t, job.ScheduledAt.Sub(*job.AttemptedAt), 50*time.Minute)
	require.NoError(t, c.Stop(bg))

	fail := func() {
		t.Helper()
		_, err := s.svc.Resolve(bg, refund.ResolveParams{
			Ref:        refund.Ref{OrderID: "O-1", RefundNo: "R-1"},
			Resolution: refund.ResolutionReturned, Evidence: "ticket 1", Actor: "staff:1",
		})
		require.NoError(t, err)
		_, err = s.svc.Retry(bg, refund.RetryParams{
			Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}, Actor: "staff:1",
		})
		require.NoError(t, err)
	}
	fail()
	require.Equal(t, job.ID, s.jobBecomes(rivertype.JobStateAvailable).ID)

	_, err := s.jobs.JobCancel(bg, job.ID)
	require.NoError(t, err)
	fail()
	jobs := s.list()
	require.Len(t, jobs, 2)
	require.Equal(t, rivertype.JobStateAvailable, jobs[1].State)
}

// TestSweepFindsLostRefunds: due refunds without a job, or with a job that sleeps.
func TestSweepFindsLostRefunds(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	s := newShop(t, dsn, refundtest.New(), refund.Options{})
	before := *s // as the host was before it had River
	before.svc = newService(t, s.db, refundtest.New(), refund.Options{})
	before.approve("1")
	s.approve("2")
	require.Len(t, s.list(), 1)
	sweep := func(limit int) int {
		t.Helper()
		n, err := s.scheduler.Sweep(bg, s.svc, limit)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 1, sweep(1), "the refund that is due for the longest time comes first")
	require.Zero(t, sweep(100))
	jobs := s.list()
	require.Len(t, jobs, 2)

	_, err := s.jobs.JobCancel(bg, jobs[0].ID)
	require.NoError(t, err)
	_, err = s.jobs.JobDelete(bg, jobs[1].ID)
	require.NoError(t, err)
	require.Equal(t, 2, sweep(100))
	require.Zero(t, sweep(100))

	for _, state := range []string{"scheduled", "retryable", "available"} {
		_, err = s.db.ExecContext(bg, "UPDATE river_job SET state = '"+state+
			"', scheduled_at = now() + interval '1 hour' WHERE state = 'available'")
		require.NoError(t, err)
		require.Equal(t, 2, sweep(100), state)
		require.Zero(t, sweep(100), state)
	}
	_, err = s.db.ExecContext(bg, "UPDATE river_job SET state = 'running', "+
		"scheduled_at = now() + interval '1 hour' WHERE state = 'available'")
	require.NoError(t, err)
	require.Zero(t, sweep(100), "River rescues running jobs")

	_, err = s.scheduler.Sweep(bg, s.svc, 0)
	require.Error(t, err)
	_, err = s.db.ExecContext(bg, "ALTER TABLE river_job RENAME TO gone")
	require.NoError(t, err)
	_, err = s.scheduler.Sweep(bg, s.svc, 100)
	require.ErrorContains(t, err, "refund R-1 of order O-1")
	require.ErrorContains(t, err, "refund R-2 of order O-2", "one error does not hide the other")
	ended, cancel := context.WithCancel(bg)
	cancel()
	_, err = s.scheduler.Sweep(ended, s.svc, 100)
	require.ErrorIs(t, err, context.Canceled)
}

// TestSchedulerJoinsPgx: the transaction is one of pgx.
func TestSchedulerJoinsPgx(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	pool, err := pgxpool.New(bg, dsn)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: silent()})
	require.NoError(t, err)
	scheduler, err := riverqueue.NewScheduler[pgx.Tx](jobs, pgxtx.TxFrom, riverqueue.Lanes{})
	require.NoError(t, err)
	s := newShop(t, dsn, refundtest.New(), refund.Options{Scheduler: scheduler})
	p := s.ask("1")
	_, err = s.svc.Approve(bg, p)
	require.ErrorIs(t, err, riverqueue.ErrNoTx)
	stop := errors.New("the host failed")
	for _, want := range []error{stop, nil} {
		require.ErrorIs(t, pgxtx.InTx(bg, pool, func(ctx context.Context) error {
			_, err := s.svc.Approve(ctx, p)
			require.NoError(t, err)
			return want
		}), want)
		if want != nil {
			require.Empty(t, s.list())
		}
	}
	require.Equal(t, order.StateApproved, s.refund("1").State)
	require.Len(t, s.list(), 1)
}
