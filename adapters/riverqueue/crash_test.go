package riverqueue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
)

// TestHardStop cancels a call: the job does not stay behind as running, nor the refund with a lease.
func TestHardStop(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	hanging := &bank{hang: make(chan struct{})}
	s := newShop(t, dsn, hanging, refund.Options{Backoff: soon})
	s.approve("1")
	c := s.start(riverqueue.Options{}, nil)
	<-hanging.hang
	require.NoError(t, c.StopAndCancel(bg))
	require.Equal(t, order.StateApproved, s.refund("1").State)
	require.Equal(t, rivertype.JobStateAvailable, s.jobBecomes(rivertype.JobStateAvailable).State)

	b := &bank{}
	next := newShop(t, dsn, b, refund.Options{Backoff: soon})
	next.start(riverqueue.Options{}, nil)
	next.becomes("1", order.StateRefunded)
	next.jobBecomes(rivertype.JobStateCompleted)
	require.Equal(t, map[string]int{"R-1": 1}, b.paid)
}

// childVar is the DSN that a process works on which is to be killed.
const childVar = "ORDERFSM_TEST_CHILD"

// Short times, so that a test need not wait for a minute.
const (
	shortCall  = time.Second
	shortLease = 2 * time.Second
)

// talking tells of each call, and hangs.
type talking struct{}

func (talking) Refund(ctx context.Context, _ refund.Request) (refund.Result, error) {
	fmt.Fprintln(os.Stdout, "called")
	<-ctx.Done()
	select {} // nothing stops it but the kill
}

func (talking) Query(context.Context, refund.Query) (refund.Result, error) {
	return refund.Result{}, errors.New("not asked")
}

func child(dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	if err != nil {
		return err
	}
	m, err := order.NewMachine()
	if err != nil {
		return err
	}
	svc, err := refund.NewService(m, store, talking{}, refund.Options{CallTimeout: shortCall, Lease: shortLease})
	if err != nil {
		return err
	}
	w, err := riverqueue.NewWorker(svc, riverqueue.Options{CallTimeout: shortCall})
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	c, err := river.NewClient(riverdatabasesql.New(db), &river.Config{
		LeaderElectionDisabled: true, // the test does not wait until a dead leader is missed
		Queues:                 map[string]river.QueueConfig{riverqueue.Queue: {MaxWorkers: 1}},
		Workers:                workers,
	})
	if err != nil {
		return err
	}
	if err := c.Start(context.Background()); err != nil {
		return err
	}
	select {}
}

// TestKilled kills a process in the middle of a call. Its job is rescued, and the money moves once.
func TestKilled(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	b := &bank{}
	s := newShop(t, dsn, b, refund.Options{CallTimeout: shortCall, Lease: shortLease, Backoff: soon})
	s.approve("1")

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.NoError(t, err)
	require.Equal(t, "called\n", line)
	require.Equal(t, order.StateApproved, s.refund("1").State)
	job := s.jobBecomes(rivertype.JobStateRunning)

	w, err := riverqueue.NewWorker(s.svc, riverqueue.Options{CallTimeout: shortCall})
	require.NoError(t, err)
	stuck := job.AttemptedAt.Add(riverqueue.Config(w, s.scheduler).RescueStuckJobsAfter)
	s.eventually(func() (over bool) {
		require.NoError(t, s.db.QueryRowContext(bg, "SELECT now() > $1", stuck).Scan(&over))
		return over
	}, "River's rescuer looks at once, and then every 30 s")
	s.start(riverqueue.Options{CallTimeout: shortCall}, nil)
	s.becomes("1", order.StateRefunded)
	rescued := s.jobBecomes(rivertype.JobStateCompleted)
	require.Equal(t, job.ID, rescued.ID)
	require.Len(t, rescued.Errors, 1)
	require.Equal(t, map[string]int{"R-1": 1}, b.paid)
}
