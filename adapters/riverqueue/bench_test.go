package riverqueue_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// engineListens is engineRiver, and the database wakes it.
const engineListens = "river-listens"

// BenchmarkApprove is how long it takes from Approve until the refund is submitted, one at a time,
// when nothing else is to do. The Poller is woken by the approval in its own process; River's
// client looks every second, or is woken by the database. Give it -benchtime 100x.
func BenchmarkApprove(b *testing.B) {
	for _, engine := range []string{enginePoller, engineRiver, engineListens} {
		b.Run(engine, func(b *testing.B) {
			bank, submitted := refundtest.New(), make(chan struct{}, 1)
			bank.ByDefault(refundtest.Pay().Before(func(context.Context) {
				submitted <- struct{}{}
			}))
			s := newShop(b, freshDSN(b), bank, refund.Options{})
			s.db.SetMaxIdleConns(20)
			switch engine {
			case enginePoller:
				s.svc = newService(b, s.db, bank, refund.Options{})
				s.poll(poller.Options{Logger: silent()})
			case engineListens:
				s.listens(s.dsn)
				fallthrough
			default:
				s.start(riverqueue.Options{},
					func(c *river.Config) { c.FetchCooldown, c.FetchPollInterval = 0, 0 })
			}
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for i := range b.N {
				p := s.ask(strconv.Itoa(i))
				start := b.Elapsed()
				if _, err := s.svc.Approve(bg, p); err != nil {
					b.Fatal(err)
				}
				<-submitted
				took = append(took, b.Elapsed()-start)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// poll runs a Poller until the benchmark ends.
func (s *shop) poll(opts poller.Options) {
	s.t.Helper()
	p, err := poller.New(s.svc, opts)
	require.NoError(s.t, err)
	ran := make(chan error, 1)
	go func() { ran <- p.Run(bg) }()
	s.t.Cleanup(func() {
		require.NoError(s.t, p.Shutdown(bg))
		require.NoError(s.t, <-ran)
	})
}

// counter counts the statements that are sent to the database.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// BenchmarkIdle is how many statements one process sends in a minute in which nothing is due, BEGIN
// and COMMIT included; River leads and sweeps in it. An iteration is a second, and the first five
// are not counted: give it -benchtime 60x.
func BenchmarkIdle(b *testing.B) {
	for _, engine := range []string{enginePoller, engineRiver, engineRiver + "/lanes=2"} {
		b.Run(engine, func(b *testing.B) {
			dsn := freshDSN(b)
			var count counter
			cfg, err := pgx.ParseConfig(dsn)
			require.NoError(b, err)
			cfg.Tracer = &count
			var s *shop
			if engine == enginePoller || engine == engineRiver {
				s = newShop(b, dsn, refundtest.New(), refund.Options{})
			} else {
				s = newLanes(b, dsn, refundtest.New(), refund.Options{}, "a", "b")
			}
			s.db = stdlib.OpenDB(*cfg)
			b.Cleanup(func() { s.db.Close() })
			s.db.SetMaxIdleConns(20)
			s.svc = newService(b, s.db, refundtest.New(), refund.Options{})
			if engine == enginePoller {
				s.poll(poller.Options{Logger: silent()})
			} else {
				s.start(riverqueue.Options{}, func(c *river.Config) {
					c.FetchCooldown, c.FetchPollInterval, c.TestOnly = 0, 0, false
				})
			}
			<-time.NewTimer(5 * time.Second).C
			before := count.n.Load()
			b.ResetTimer()
			for range b.N {
				<-time.NewTimer(time.Second).C
			}
			b.ReportMetric(float64(count.n.Load()-before)/b.Elapsed().Minutes(), "statements/min")
		})
	}
}
