package riverqueue_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// The engines of the comparison. Each is also a mode of a child.
const (
	engineFloor       = "floor"
	enginePoller      = "poller" // as its Options are
	engineRiver       = "river"  // as its Config is
	enginePollerTuned = "poller-tuned"
	engineRiverTuned  = "river-tuned"
)

// places is how many refunds an engine has in flight in a process.
var places = map[string]int{
	engineFloor: 10, enginePoller: 6, engineRiver: riverqueue.MaxWorkers, enginePollerTuned: 24,
	engineRiverTuned: 24,
}

// BenchmarkEngines is how many refunds of a backlog are settled per second on PostgreSQL, by
// separate processes, with a provider that answers at once. Give it -benchtime 2000x.
//
// The floor is what no engine can undercut that leases before it asks and records afterwards: two
// transactions per refund, each one UPDATE and one INSERT by primary key, from as many processes
// with ten connections each.
func BenchmarkEngines(b *testing.B) {
	for _, engine := range []string{
		engineFloor, enginePoller, engineRiver, enginePollerTuned, engineRiverTuned,
	} {
		for _, processes := range []int{1, 3} {
			b.Run(fmt.Sprintf("%s/processes=%d", engine, processes), func(b *testing.B) {
				s := newShop(b, freshDSN(b), refundtest.New(), refund.Options{})
				s.backlog("bank", b.N)
				if engine == engineRiver || engine == engineRiverTuned {
					s.jobsOf(riverqueue.Queue, b.N)
				}
				settled := "SELECT count(*) FROM orderfsm_refunds WHERE state = 'refunded'"
				if engine == engineFloor {
					s.makeFloor(b.N)
					settled = "SELECT count(*) FROM floor_log WHERE n = 2"
				}
				start := s.startEngines(engine, processes)
				b.ResetTimer()
				start()
				for n := 0; n < b.N; {
					<-time.NewTimer(20 * time.Millisecond).C
					require.NoError(b, s.db.QueryRowContext(bg, settled).Scan(&n))
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refunds/s")
			})
		}
	}
}

func (s *shop) makeFloor(n int) {
	s.t.Helper()
	for _, statement := range []string{
		"CREATE TABLE floor_orders (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
		"CREATE TABLE floor_log (id BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (id, n))",
		fmt.Sprintf("INSERT INTO floor_orders SELECT i, 0 FROM generate_series(1, %d) i", n),
	} {
		_, err := s.db.ExecContext(bg, statement)
		require.NoError(s.t, err)
	}
}

// startEngines starts the processes, which wait for start.
func (s *shop) startEngines(engine string, processes int) (start func()) {
	s.t.Helper()
	var stdins []*os.File
	for i := range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"="+engine+" "+s.dsn,
			fmt.Sprintf("%s=%d/%d", shareVar, i, processes))
		cmd.Stderr = os.Stderr
		read, write, err := os.Pipe()
		require.NoError(s.t, err)
		cmd.Stdin = read
		out, err := cmd.StdoutPipe()
		require.NoError(s.t, err)
		require.NoError(s.t, cmd.Start())
		s.t.Cleanup(func() {
			require.NoError(s.t, write.Close())
			require.NoError(s.t, cmd.Process.Kill())
			require.Error(s.t, cmd.Wait())
			require.NoError(s.t, read.Close())
		})
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(s.t, err)
		require.Equal(s.t, "ready\n", line)
		stdins = append(stdins, write)
	}
	return func() {
		for _, in := range stdins {
			_, err := fmt.Fprintln(in, "begin")
			require.NoError(s.t, err)
		}
	}
}

// shareVar says which refunds a floor process processes: every n-th.
const shareVar = "ORDERFSM_TEST_SHARE"

// runEngine is a process of BenchmarkEngines. It runs until it is killed.
func runEngine(engine, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(places[engine] + 5)
	db.SetMaxIdleConns(places[engine] + 5) // so that it keeps its connections
	if err := db.PingContext(bg); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if engine == engineFloor {
		return floor(db)
	}
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	if err != nil {
		return err
	}
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		return err
	}
	svc, err := refund.NewService(m, store, refundtest.New(), refund.Options{})
	if err != nil {
		return err
	}
	if engine == enginePoller || engine == enginePollerTuned {
		opts := poller.Options{}
		if engine == enginePollerTuned {
			n := places[engine]
			opts = poller.Options{
				Concurrency: n, Batch: 10 * n,
				Gateways: map[string]poller.GatewayOptions{"bank": {Concurrency: n}},
			}
		}
		p, err := poller.New(svc, opts)
		if err != nil {
			return err
		}
		return p.Run(bg)
	}
	_, err = startRiver(db, svc, riverqueue.Options{}, func(c *river.Config) {
		if engine == engineRiverTuned {
			c.FetchCooldown = 10 * time.Millisecond
			c.Queues[riverqueue.Queue] = river.QueueConfig{MaxWorkers: places[engine]}
		}
	})
	if err != nil {
		return err
	}
	select {}
}

// floor makes the two transactions of each refund of this process.
func floor(db *sql.DB) error {
	var own, of, n int
	if _, err := fmt.Sscanf(os.Getenv(shareVar), "%d/%d", &own, &of); err != nil {
		return err
	}
	if err := db.QueryRowContext(bg, "SELECT count(*) FROM floor_orders").Scan(&n); err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range places[engineFloor] {
		wg.Go(func() {
			for {
				id := next.Add(1)*int64(of) - int64(own)
				if id > int64(n) {
					return
				}
				for step := 1; step <= 2; step++ {
					if err := floorStep(db, id, step); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
				}
			}
		})
	}
	wg.Wait()
	select {}
}

func floorStep(db *sql.DB, id int64, n int) error {
	tx, err := db.BeginTx(bg, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(bg, "UPDATE floor_orders SET n = $1 WHERE id = $2", n,
		id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(bg, "INSERT INTO floor_log VALUES ($1, $2)", id, n); err != nil {
		return err
	}
	return tx.Commit()
}
