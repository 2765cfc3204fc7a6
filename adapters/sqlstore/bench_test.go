package sqlstore_test

import (
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
