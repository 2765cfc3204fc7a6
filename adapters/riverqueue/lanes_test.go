package riverqueue_test

import (
	"context"
	"testing"

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

// newLanes returns a shop whose gateways have their own queues.
func newLanes(
	t testing.TB, dsn string, b refund.RefundGateway, opts refund.Options, gateways ...string,
) *shop {
	t.Helper()
	db := open(t, dsn)
	jobs, err := river.NewClient(riverdatabasesql.New(db), &river.Config{Logger: silent()})
	require.NoError(t, err)
	orders, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	require.NoError(t, err)
	scheduler, err := riverqueue.NewScheduler(jobs, sqlstore.TxFrom, riverqueue.Lanes{
		Gateways: gateways, Orders: orders,
	})
	require.NoError(t, err)
	opts.Scheduler = scheduler
	s := newShopOn(t, dsn, db, b, opts)
	s.scheduler = scheduler
	return s
}

// TestOneGatewayDoesNotStarveAnother: one gateway hangs with 10,000 refunds due. What is approved
// last, for another one, is settled before any of the calls that hang ends.
func TestOneGatewayDoesNotStarveAnother(t *testing.T) {
	t.Parallel()
	const backlog = 10_000
	called := make(chan struct{}, backlog)
	routes, err := refund.NewGateways(map[string]refund.RefundGateway{
		"hangs": hanging(called), "works": refundtest.New(),
	})
	require.NoError(t, err)
	s := newLanes(t, freshDSN(t), routes, patient, "hangs", "works")
	s.backlog("hangs", backlog)
	s.jobsOf(riverqueue.QueueOf("hangs"), backlog)
	s.start(riverqueue.Options{CallTimeout: patient.CallTimeout}, nil)
	for range riverqueue.MaxWorkers {
		<-called
	}
	s.approveAt("works", "1")
	s.becomes("1", order.StateRefunded)
	require.Empty(t, called, "the gateway uses no more than its places")
	var left int
	require.NoError(t, s.db.QueryRowContext(bg, `
		SELECT count(*) FROM river_job WHERE queue = $1 AND state IN ('available', 'running')`,
		riverqueue.QueueOf("hangs")).Scan(&left))
	require.Equal(t, backlog, left)
}

// TestJobWaitsInTheQueueOfItsGateway: a refund has one job in all queues.
func TestJobWaitsInTheQueueOfItsGateway(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	s := newLanes(t, dsn, refundtest.New(), refund.Options{}, "a", "b.c")
	s.approveAt("a", "1")
	s.approveAt("b.c", "2")
	// others do not see it yet
	require.NoError(t, sqlstore.InTx(bg, s.db, func(ctx context.Context) error {
		_, err := s.svc.Register(ctx, refund.RegisterParams{
			OrderID: "O-3", Gateway: "other", Currency: "CNY", Total: 100,
		})
		require.NoError(t, err)
		_, err = s.svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: "O-3", RefundNo: "R-3"}, Amount: 60, Actor: "buyer:1",
		})
		require.NoError(t, err)
		_, err = s.svc.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: "O-3", RefundNo: "R-3"}, Amount: 60, Actor: "staff:1",
		})
		return err
	}))
	queues := func() (names []string) {
		for _, job := range s.list() {
			names = append(names, job.Queue)
		}
		return names
	}
	want := []string{riverqueue.QueueOf("a"), riverqueue.QueueOf("b.c"), riverqueue.Queue}
	require.Equal(t, want, queues())

	cfg, err := riverqueue.Config(s.svc, s.scheduler, riverqueue.Options{Logger: silent()})
	require.NoError(t, err)
	require.Len(t, cfg.Queues, 3)
	for _, name := range want {
		require.Equal(t, riverqueue.MaxWorkers, cfg.Queues[name].MaxWorkers)
	}

	// A shop that has only one of these queues moves the other jobs to a queue that is worked.
	fewer := newLanes(t, dsn, refundtest.New(), refund.Options{}, "a")
	_, err = s.db.ExecContext(bg, "UPDATE river_job SET state = 'running' WHERE queue = $1",
		riverqueue.QueueOf("b.c"))
	require.NoError(t, err)
	n, err := fewer.scheduler.Sweep(bg, fewer.svc, 100)
	require.NoError(t, err)
	require.Zero(t, n, "a client works it")
	_, err = s.db.ExecContext(bg,
		"UPDATE river_job SET state = 'available' WHERE state = 'running'")
	require.NoError(t, err)
	n, err = fewer.scheduler.Sweep(bg, fewer.svc, 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ElementsMatch(t, []string{riverqueue.QueueOf("a"), riverqueue.Queue, riverqueue.Queue},
		queues())

	// A shop that has more queues leaves them there.
	n, err = s.scheduler.Sweep(bg, s.svc, 100)
	require.NoError(t, err)
	require.Zero(t, n)
	fewer.start(riverqueue.Options{}, nil)
	for _, number := range []string{"1", "2", "3"} {
		fewer.becomes(number, order.StateRefunded)
	}
}

// TestSweepBehindABacklog: what has no job is found behind more refunds of another gateway than a
// sweep looks at.
func TestSweepBehindABacklog(t *testing.T) {
	t.Parallel()
	s := newLanes(t, freshDSN(t), refundtest.New(), refund.Options{}, "hangs")
	s.backlog("hangs", 50)
	s.jobsOf(riverqueue.QueueOf("hangs"), 50)
	s.approveAt("works", "1")
	jobs := s.list()
	last := jobs[len(jobs)-1]
	_, err := s.jobs.JobDelete(bg, last.ID)
	require.NoError(t, err)
	n, err := s.scheduler.Sweep(bg, s.svc, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	jobs = s.list()
	require.Equal(t, last.EncodedArgs, jobs[len(jobs)-1].EncodedArgs)
	require.Equal(t, rivertype.JobStateAvailable, jobs[len(jobs)-1].State)

	n, err = s.scheduler.Sweep(bg, ignoring{s.svc}, 10)
	require.NoError(t, err, "the sweep ends although the store leaves nothing out")
	require.Zero(t, n)
}

// ignoring lists the refunds of all gateways always.
type ignoring struct{ svc *refund.Service }

func (d ignoring) Due(ctx context.Context, limit int, _ []string) ([]refund.DueRefund, error) {
	return d.svc.Due(ctx, limit, nil)
}

// TestQueueOf: every name of a gateway makes a queue that River takes, and no two make the same.
func TestQueueOfIsValidAndUnique(t *testing.T) {
	t.Parallel()
	names := []string{
		"wechatv2", "wechat-v2.cn_1", "a", "a_b", "a-b", "a.b", "a__b", "a-_b", "_a", "a_", "_", ".", "-", "a--",
		"gggggggggggggggggggggggggggggggg",
	}
	require.Equal(t, "orderfsm_refund_wechatv2", riverqueue.QueueOf("wechatv2"))
	queues := map[string]river.QueueConfig{riverqueue.Queue: {MaxWorkers: 1}}
	for _, name := range names {
		queues[riverqueue.QueueOf(name)] = river.QueueConfig{MaxWorkers: 1}
	}
	require.Len(t, queues, len(names)+1)
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	cfg, err := riverqueue.Config(s.svc, s.scheduler, riverqueue.Options{Logger: silent()})
	require.NoError(t, err)
	cfg.Queues = queues
	_, err = river.NewClient(riverdatabasesql.New(s.db), cfg)
	require.NoError(t, err)
}
