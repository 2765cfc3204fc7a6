package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// BenchmarkLifecycle takes an order from request over approve and process to refunded, alone and 16 at once,
// beside the floor: the same number of transactions on the same database, each one UPDATE and one INSERT.
//
//	go test -run '^$' -bench Lifecycle -benchtime 2000x ./adapters/sqlstore
func BenchmarkLifecycle(b *testing.B) {
	for _, d := range databases() {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", d.name, clients), func(b *testing.B) { benchLifecycle(b, d, clients) })
			b.Run(fmt.Sprintf("%s/clients=%d/floor", d.name, clients), func(b *testing.B) { benchFloor(b, d, clients) })
		}
	}
}

func benchLifecycle(b *testing.B, d database, clients int) {
	s, db := d.store(b)
	keep(db, clients)
	svc := service(b, s, refund.Options{})
	register(b, svc, "warm")
	for i := range b.N {
		register(b, svc, fmt.Sprintf("O-%d", i))
	}
	each(b, clients, func(i int64) error {
		id, no := fmt.Sprintf("O-%d", i), fmt.Sprintf("R-%d", i)
		if err := ask(bg, svc, id, no, 100); err != nil {
			return err
		}
		if _, err := svc.Approve(bg, refund.ApproveParams{OrderID: id, RefundNo: no, Amount: 100, Actor: "staff:1"}); err != nil {
			return err
		}
		_, err := svc.Process(bg, refund.Ref{OrderID: id, RefundNo: no})
		return err
	})
}

func benchFloor(b *testing.B, d database, clients int) {
	db := d.connect(b, d.fresh(b))
	keep(db, clients)
	for _, statement := range []string{
		"CREATE TABLE floor_orders (id VARCHAR(64) PRIMARY KEY, n BIGINT NOT NULL)",
		"CREATE TABLE floor_log (id VARCHAR(64) NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (id, n))",
	} {
		_, err := db.ExecContext(bg, statement)
		require.NoError(b, err)
	}
	mark := func(n int) string {
		if d.dialect == sqlstore.PostgreSQL {
			return fmt.Sprintf("$%d", n)
		}
		return "?"
	}
	for i := range b.N {
		_, err := db.ExecContext(bg, "INSERT INTO floor_orders VALUES ("+mark(1)+", 0)", fmt.Sprintf("O-%d", i))
		require.NoError(b, err)
	}
	step := func(id string, n int) error {
		tx, err := db.BeginTx(bg, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(bg, "UPDATE floor_orders SET n = "+mark(1)+" WHERE id = "+mark(2), n, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(bg, "INSERT INTO floor_log VALUES ("+mark(1)+", "+mark(2)+")", id, n); err != nil {
			return err
		}
		return tx.Commit()
	}
	each(b, clients, func(i int64) error {
		for n := range 4 {
			if err := step(fmt.Sprintf("O-%d", i), n); err != nil {
				return err
			}
		}
		return nil
	})
}

func keep(db *sql.DB, clients int) {
	db.SetMaxOpenConns(clients)
	db.SetMaxIdleConns(clients)
}

// each calls run b.N times, from that many clients.
func each(b *testing.B, clients int, run func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	if clients == 1 {
		for i := range b.N {
			require.NoError(b, run(int64(i)))
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := run(next.Add(1) - 1); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lifecycles/s")
}

// BenchmarkGrowth asks stores that hold ten thousand and a hundred thousand refunds: what is asked for does not
// take longer because there is more.
//
//	go test -run '^$' -bench Growth -benchtime 500x ./adapters/sqlstore
func BenchmarkGrowth(b *testing.B) {
	for _, d := range databases() {
		for _, refunds := range []int{10_000, 100_000} {
			if testing.Short() && refunds > 10_000 {
				continue
			}
			b.Run(fmt.Sprintf("%s/refunds=%d", d.name, refunds), func(b *testing.B) { benchGrowth(b, d, refunds) })
		}
	}
}

func benchGrowth(b *testing.B, d database, refunds int) {
	s, db := d.store(b)
	fill(b, d, db, refunds)
	ctx := context.Background()
	for name, op := range map[string]func(i int) error{
		"Get": func(i int) error { _, err := s.Get(ctx, fmt.Sprintf("O-%07d", i*7919%refunds)); return err },
		"Due": func(int) error { _, err := s.Due(ctx, at(1<<30), 100); return err },
		"List": func(i int) error {
			after := refund.Position{RequestedAt: at(i * 7919 % refunds)}
			_, err := s.List(ctx, refund.Filter{After: &after})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				require.NoError(b, op(i))
			}
		})
	}
}

// fill inserts orders with one settled refund each, and every hundredth due, by statements of a thousand rows.
func fill(b *testing.B, d database, db *sql.DB, refunds int) {
	b.Helper()
	const rows = 1000
	for from := 0; from < refunds; from += rows {
		orders, refs, steps := "", "", ""
		for i := from; i < from+rows; i++ {
			state := "refunded"
			if i%100 == 0 {
				state = "approved"
			}
			orders += fmt.Sprintf(",('O-%07d','bank','','CNY',100,0,0,0,'paid',1,1,1,1,1)", i)
			refs += fmt.Sprintf(",('O-%07d',0,'R-%07d',100,'','%s','b','','','','','',0,0,0,%d,NULL,NULL,NULL,%d,NULL,NULL,NULL,NULL)",
				i, i, state, at(i).UnixMicro(), at(i).UnixMicro())
			steps += fmt.Sprintf(",('O-%07d',1,'request_refund','R-%07d','paid','refund_requested','paid','refund_requested','b','',1)", i, i)
		}
		tx, err := db.BeginTx(bg, nil)
		require.NoError(b, err)
		for _, statement := range []string{
			"INSERT INTO orderfsm_orders VALUES " + orders[1:],
			"INSERT INTO orderfsm_refunds (order_id, place, no, amount, reason, state, requested_by, reviewed_by, review_note, " +
				"refund_id, code, message, attempts, retries, outstanding, next_attempt_at, leased_until, submitted_at, declined_at, " +
				"requested_at, reviewed_at, approved_at, ended_at, refunded_at) VALUES " + refs[1:],
			"INSERT INTO orderfsm_transitions VALUES " + steps[1:],
		} {
			_, err := tx.ExecContext(bg, statement)
			require.NoError(b, err)
		}
		require.NoError(b, tx.Commit())
	}
	if d.dialect != sqlstore.MySQL {
		_, err := db.ExecContext(bg, "ANALYZE")
		require.NoError(b, err)
	}
}
