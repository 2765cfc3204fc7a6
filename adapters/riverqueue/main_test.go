package riverqueue_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

const dsnVar = "ORDERFSM_POSTGRES_DSN"

var bg = context.Background()

// patience is how long a test waits on a slow and busy machine. No shorter wait fails a test.
const patience = 3 * time.Minute

// patient are options with which no call and no lease ends while a test waits.
var patient = refund.Options{CallTimeout: 2 * patience, Lease: 4 * patience}

// advised are the options that the package documentation advises.
var advised = refund.Options{CallTimeout: 10 * time.Second, Lease: 30 * time.Second}

// TestMain is also the main function of the processes that tests start and kill.
func TestMain(m *testing.M) {
	logtest.Silence()
	if dsn := os.Getenv(childVar); dsn != "" {
		if err := child(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

var serial atomic.Int64

// freshDSN returns the DSN of a new schema with the tables of both. The end of the test drops it.
func freshDSN(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(dsnVar)
	if dsn == "" {
		t.Skip("set " + dsnVar + ", for example postgres://postgres@127.0.0.1:5432/test")
	}
	name := fmt.Sprintf("orderfsm_river_%d_%d", os.Getpid(), serial.Add(1))
	admin := open(t, dsn)
	_, err := admin.ExecContext(bg, "CREATE SCHEMA "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		if _, err := admin.ExecContext(bg, "DROP SCHEMA "+name+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()

	db := open(t, u.String())
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(bg))
	migrator, err := rivermigrate.New(riverdatabasesql.New(db), &rivermigrate.Config{
		Logger: silent(),
	})
	require.NoError(t, err)
	_, err = migrator.Migrate(bg, rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	return u.String()
}

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { db.Close() })
	return db
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// firstCalls returns a function for Choose that gives the first n calls step, and the others
// AsUsual.
func firstCalls(n int64, step refundtest.Step) func(refundtest.Call) refundtest.Step {
	var calls atomic.Int64
	return func(refundtest.Call) refundtest.Step {
		if calls.Add(1) <= n {
			return step
		}
		return refundtest.AsUsual()
	}
}

// until returns a function for Choose that gives calls step until stop is true, and AsUsual then.
func until(stop *atomic.Bool, step refundtest.Step) func(refundtest.Call) refundtest.Step {
	return func(refundtest.Call) refundtest.Step {
		if stop.Load() {
			return refundtest.AsUsual()
		}
		return step
	}
}

// hanging returns a provider that never answers. It sends to called for each call.
func hanging(called chan<- struct{}) *refundtest.Gateway {
	b := refundtest.New()
	b.Choose(func(refundtest.Call) refundtest.Step {
		return refundtest.Fail(nil).Before(func(ctx context.Context) {
			called <- struct{}{}
			<-ctx.Done()
		})
	})
	return b
}

// gated returns a provider whose first call sends to called and waits for gate. The call ignores
// its context.
func gated(called chan<- struct{}, gate <-chan struct{}) *refundtest.Gateway {
	b := refundtest.New()
	b.Next(refundtest.AsUsual().IgnoreContext().Before(func(context.Context) {
		close(called)
		<-gate
	}))
	return b
}

// requirePaid requires that the refund of order O-number was paid, once.
func requirePaid(t *testing.T, b *refundtest.Gateway, number string) {
	t.Helper()
	require.EqualValues(t, 60, b.Paid("R-"+number))
	require.EqualValues(t, 60, b.PaidTotal("O-"+number))
}

// shop is a host's process.
type shop struct {
	t         testing.TB
	dsn       string
	db        *sql.DB
	jobs      *river.Client[*sql.Tx]
	scheduler *riverqueue.Scheduler[*sql.Tx]
	svc       *refund.Service
	// listen, if not nil, is the pool by which PostgreSQL wakes the clients of start.
	listen *pgxpool.Pool
}

// listens makes PostgreSQL wake the clients of s.
func (s *shop) listens(dsn string) {
	s.t.Helper()
	var err error
	s.listen, err = pgxpool.New(bg, dsn)
	require.NoError(s.t, err)
	s.t.Cleanup(s.listen.Close)
}

func newShop(t testing.TB, dsn string, b refund.RefundGateway, opts refund.Options) *shop {
	t.Helper()
	return newShopOn(t, dsn, open(t, dsn), b, opts)
}

// newShopOn returns a shop on an open database.
func newShopOn(
	t testing.TB, dsn string, db *sql.DB, b refund.RefundGateway, opts refund.Options,
) *shop {
	t.Helper()
	s := &shop{t: t, dsn: dsn, db: db}
	var err error
	s.jobs, err = river.NewClient(riverdatabasesql.New(s.db), &river.Config{Logger: silent()})
	require.NoError(t, err)
	s.scheduler, err = riverqueue.NewScheduler(s.jobs, sqlstore.TxFrom, riverqueue.Lanes{})
	require.NoError(t, err)
	if opts.Scheduler == nil {
		opts.Scheduler = s.scheduler
	}
	s.svc = newService(t, s.db, b, opts)
	return s
}

func newService(
	t testing.TB, db *sql.DB, b refund.RefundGateway, opts refund.Options,
) *refund.Service {
	t.Helper()
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	require.NoError(t, err)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	opts.Logger = cmp.Or(opts.Logger, silent())
	svc, err := refund.NewService(m, store, b, opts)
	require.NoError(t, err)
	return svc
}

// ask registers order O-number and requests refund R-number of it.
func (s *shop) ask(number string) refund.ApproveParams {
	s.t.Helper()
	return s.askAt("bank", number)
}

func (s *shop) askAt(gateway, number string) refund.ApproveParams {
	s.t.Helper()
	_, err := s.svc.Register(bg, refund.RegisterParams{
		OrderID: "O-" + number, Gateway: gateway, Currency: "CNY", Total: 100,
	})
	require.NoError(s.t, err)
	_, err = s.svc.Request(bg, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O-" + number, RefundNo: "R-" + number}, Amount: 60, Actor: "buyer:1",
	})
	require.NoError(s.t, err)
	return refund.ApproveParams{
		Ref: refund.Ref{OrderID: "O-" + number, RefundNo: "R-" + number}, Amount: 60, Actor: "staff:1",
	}
}

func (s *shop) approve(number string) {
	s.t.Helper()
	s.approveAt("bank", number)
}

func (s *shop) approveAt(gateway, number string) {
	s.t.Helper()
	_, err := s.svc.Approve(bg, s.askAt(gateway, number))
	require.NoError(s.t, err)
}

func (s *shop) refund(number string) order.Refund {
	s.t.Helper()
	o, err := s.svc.Order(bg, "O-"+number)
	require.NoError(s.t, err)
	return *o.Refund("R-" + number)
}

// list returns the jobs of refunds, oldest first.
func (s *shop) list() []*rivertype.JobRow {
	s.t.Helper()
	res, err := s.jobs.JobList(bg,
		river.NewJobListParams().Kinds(riverqueue.Args{}.Kind()).First(100))
	require.NoError(s.t, err)
	return res.Jobs
}

// start runs a client that works the jobs until the test ends or stops it.
func (s *shop) start(opts riverqueue.Options, change func(*river.Config)) *river.Client[*sql.Tx] {
	s.t.Helper()
	opts.Logger = cmp.Or(opts.Logger, silent())
	cfg, err := riverqueue.Config(s.svc, s.scheduler, opts)
	require.NoError(s.t, err)
	cfg.Logger, cfg.TestOnly = silent(), true
	cfg.FetchCooldown, cfg.FetchPollInterval = 5*time.Millisecond, 5*time.Millisecond
	if change != nil {
		change(cfg)
	}
	if s.listen != nil {
		run(s.t, riverpgxv5.New(s.listen), cfg)
		return nil
	}
	return run(s.t, riverdatabasesql.New(s.db), cfg)
}

// run runs a client until the test ends, or it is stopped.
func run[Tx any](t testing.TB, driver riverdriver.Driver[Tx], cfg *river.Config) *river.Client[Tx] {
	t.Helper()
	c, err := river.NewClient(driver, cfg)
	require.NoError(t, err)
	require.NoError(t, c.Start(bg))
	t.Cleanup(func() { require.NoError(t, c.StopAndCancel(bg)) })
	return c
}

// eventually waits until ok, at most for patience.
func (s *shop) eventually(ok func() bool, msg string) {
	s.t.Helper()
	require.Eventually(s.t, ok, patience, 10*time.Millisecond, msg)
}

func (s *shop) becomes(number string, want order.State) {
	s.t.Helper()
	s.eventually(func() bool { return s.refund(number).State == want },
		"refund "+number+" becomes "+string(want))
}

func (s *shop) jobBecomes(want rivertype.JobState) *rivertype.JobRow {
	s.t.Helper()
	s.eventually(func() bool { jobs := s.list(); return len(jobs) == 1 && jobs[0].State == want },
		"the one job becomes "+string(want))
	return s.list()[0]
}
