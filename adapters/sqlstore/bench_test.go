package sqlstore_test

import (
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// BenchmarkLifecycle requests, approves and processes a refund, with one client and with 16. It
// compares that with as many transactions of one UPDATE and one INSERT by primary key, in two
// tables of two columns (floor) and in the store's own tables (own-tables).
//
// SQLite is as durable as the servers: each COMMIT reaches the disk.
//
//	go test -run '^$' -bench Lifecycle -benchtime 2000x ./adapters/sqlstore
func BenchmarkLifecycle(b *testing.B) {
	for _, d := range databases() {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", d.name, clients), func(b *testing.B) {
				benchLifecycle(b, d, clients)
			})
			b.Run(fmt.Sprintf("%s/clients=%d/floor", d.name, clients), func(b *testing.B) {
				benchFloor(b, d, clients)
			})
			b.Run(fmt.Sprintf("%s/clients=%d/own-tables", d.name, clients), func(b *testing.B) {
				benchOwnTables(b, d, clients)
			})
		}
	}
}

// durable returns a fresh database that keeps every commit if the machine fails.
func durable(b *testing.B, d database, clients int) *sql.DB {
	b.Helper()
	db := d.connect(b, strings.Replace(d.fresh(b), "synchronous(NORMAL)", "synchronous(FULL)", 1))
	keep(db, clients)
	return db
}

func keep(db *sql.DB, clients int) {
	db.SetMaxOpenConns(clients)
	db.SetMaxIdleConns(clients)
}

// registered returns a service with b.N orders.
func registered(b *testing.B, d database, db *sql.DB) *refund.Service {
	b.Helper()
	s := d.on(b, db)
	require.NoError(b, s.Migrate(bg))
	svc := service(b, s, refund.Options{})
	for i := range b.N {
		register(b, svc, orderID(i))
	}
	return svc
}

func orderID[I int | int64](i I) string { return fmt.Sprintf("O-%d", i) }

func refundNo[I int | int64](i I) string { return fmt.Sprintf("R-%d", i) }

func benchLifecycle(b *testing.B, d database, clients int) {
	svc := registered(b, d, durable(b, d, clients))
	each(b, clients, func(i int64) error {
		id, number := orderID(i), refundNo(i)
		if err := ask(bg, svc, id, number, 100); err != nil {
			return err
		}
		if _, err := svc.Approve(bg, refund.ApproveParams{
			Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: "staff:1", Note: "ok",
		}); err != nil {
			return err
		}
		_, err := svc.Process(bg, refund.Ref{OrderID: id, RefundNo: number})
		return err
	})
}

func benchFloor(b *testing.B, d database, clients int) {
	db := durable(b, d, clients)
	for _, statement := range []string{
		"CREATE TABLE floor_orders (id VARCHAR(64) PRIMARY KEY, n BIGINT NOT NULL)",
		"CREATE TABLE floor_log (id VARCHAR(64) NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (id, n))",
	} {
		_, err := db.ExecContext(bg, statement)
		require.NoError(b, err)
	}
	insert := d.marked("INSERT INTO floor_orders VALUES (?, 0)")
	for i := range b.N {
		_, err := db.ExecContext(bg, insert, orderID(i))
		require.NoError(b, err)
	}
	update := d.marked("UPDATE floor_orders SET n = ? WHERE id = ?")
	benchTwo(b, db, clients, update, d.marked("INSERT INTO floor_log VALUES (?, ?)"),
		func(i int64, n int) []any { return []any{orderID(i), n} })
}

func benchOwnTables(b *testing.B, d database, clients int) {
	db := durable(b, d, clients)
	svc := registered(b, d, db)
	for i := range b.N {
		require.NoError(b, ask(bg, svc, orderID(i), refundNo(i), 100))
	}
	benchTwo(b, db, clients, d.marked("UPDATE orderfsm_orders SET version = ? WHERE id = ?"),
		d.marked(`INSERT INTO orderfsm_transitions (order_id, seq, event, refund_no, from_state,
			to_state, order_from, order_to, actor, note, at) VALUES (?, ?, 'approve', ?,
			'refund_requested', 'approved', 'refund_requested', 'approved', 'staff:1', '', ?)`),
		func(i int64, n int) []any {
			return []any{orderID(i), 10 + n, refundNo(i), at(n).UnixMicro()}
		})
}

// benchTwo runs four transactions for every order.
func benchTwo(
	b *testing.B, db *sql.DB, clients int, update, insert string, values func(i int64, n int) []any,
) {
	step := func(i int64, n int) error {
		tx, err := db.BeginTx(bg, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(bg, update, 10+n, orderID(i)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(bg, insert, values(i, n)...); err != nil {
			return err
		}
		return tx.Commit()
	}
	each(b, clients, func(i int64) error {
		for n := range 4 {
			if err := step(i, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// marked replaces the question marks of a query by the placeholders of the database.
func (d database) marked(query string) string {
	for n := 1; d.dialect == sqlstore.PostgreSQL && strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", fmt.Sprintf("$%d", n), 1)
	}
	return query
}

// each calls run b.N times, from several clients.
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

// BenchmarkUpdateLongOrder leases a refund of an order with ten transitions and of one with ten
// thousand. The cost must not depend on the history: long/short is the ratio of the times.
//
//	go test -run '^$' -bench UpdateLongOrder -benchtime 500x ./adapters/sqlstore
func BenchmarkUpdateLongOrder(b *testing.B) {
	for _, d := range databases() {
		b.Run(d.name, func(b *testing.B) {
			s, _ := d.store(b)
			var took [2]time.Duration
			ids := [2]string{"O-short", "O-long"}
			for i, transitions := range []int{10, 10_000} {
				require.NoError(b, s.Create(bg, longOrder(b, ids[i], transitions)))
			}
			b.ResetTimer()
			for range b.N {
				for i, id := range ids {
					began := b.Elapsed()
					if err := s.Update(bg, id, lease); err != nil {
						b.Fatal(err)
					}
					took[i] += b.Elapsed() - began
				}
			}
			for i, name := range []string{"short-ns", "long-ns"} {
				b.ReportMetric(float64(took[i].Nanoseconds())/float64(b.N), name)
			}
			b.ReportMetric(float64(took[1])/float64(took[0]), "long/short")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// longOrder returns an order with two refunds, one of which has failed and was retried many times.
func longOrder(t testing.TB, id string, transitions int) *order.Order {
	t.Helper()
	m := newMachine(t)
	o := newOrder(id)
	fire := func(event order.Event, number string) {
		_, err := m.Fire(bg, o, order.Trigger{
			Event: event, RefundNo: number, Amount: 10, Actor: "staff:1", At: at(1),
		})
		require.NoError(t, err)
	}
	for _, number := range []string{"R-" + id + "-1", "R-" + id + "-2"} {
		fire(order.EventRequestRefund, number)
		fire(order.EventApprove, number)
	}
	for len(o.History) < transitions {
		fire(order.EventFail, "R-"+id+"-1")
		fire(order.EventRetry, "R-"+id+"-1")
	}
	return o
}
