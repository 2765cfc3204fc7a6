package sqlstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// counting are fresh databases: on MySQL also one whose driver counts the rows that it found, not those that it changed.
func (d database) counting(t *testing.T) []string {
	t.Helper()
	dsns := []string{d.fresh(t)}
	if d.dialect == sqlstore.MySQL {
		dsns = append(dsns, with(d.fresh(t), "clientFoundRows=true"))
	}
	return dsns
}

// TestUpdateOfSeveral: whatever changes at once is stored, also where MySQL is to count the rows that it found.
func TestUpdateOfSeveral(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		for _, dsn := range d.counting(t) {
			s := d.on(t, d.connect(t, dsn))
			require.NoError(t, s.Migrate(bg))
			require.NoError(t, s.Create(bg, newOrder("O-1")))
			for _, change := range []func(o *order.Order){
				func(o *order.Order) { request(t, o, "R-1", 10); request(t, o, "R-2", 10) },
				func(o *order.Order) { o.Refunds[1].Message = "second" },
				func(o *order.Order) { o.Refunds[0].Message, o.Refunds[1].Code = "first", "A"; o.PaymentID = "4200" },
				func(o *order.Order) { o.Refunds[0].Attempts++; request(t, o, "R-3", 10); request(t, o, "R-4", 10) },
				func(o *order.Order) { o.Refunds[0].Attempts++; o.Refunds[3].Attempts++; request(t, o, "R-5", 10) },
			} {
				var want *order.Order
				require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
					change(o)
					want = o.Clone()
					return nil
				}))
				want.Version++
				require.Equal(t, want, requireLegal(t, s, "O-1"))
			}
		}
	})
}

// TestGatewayOfRefunds: the lists have an order's refunds under its gateway, also when it gets another name.
func TestGatewayOfRefunds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		o.Refunds[0].State = order.StateApproved
		require.NoError(t, s.Create(bg, o))
		listed := func(gateway string) bool {
			queue, err := s.List(bg, refund.Filter{States: []order.State{order.StateApproved}, Gateway: gateway})
			require.NoError(t, err)
			all, err := s.List(bg, refund.Filter{Gateway: gateway})
			require.NoError(t, err)
			require.Equal(t, queue, all)
			for _, e := range all.Entries {
				require.Equal(t, gateway, e.Gateway)
			}
			due, err := s.DueExcept(bg, at(0), 10, []string{gateway})
			require.NoError(t, err)
			require.Equal(t, len(due) == 0, len(all.Entries) == 1)
			return len(all.Entries) == 1
		}
		require.True(t, listed("bank"))
		require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error { o.Gateway = "wechat"; return nil }))
		require.False(t, listed("bank"))
		require.True(t, listed("wechat"))
	})
}

// TestStatements: a command costs as few round trips as the database allows, beside BEGIN and COMMIT.
func TestStatements(t *testing.T) {
	t.Parallel()
	// To ask for a refund, to approve it, to lease it and to record its outcome.
	want := map[sqlstore.Dialect][]int{
		sqlstore.PostgreSQL: {2, 2, 2, 2}, // it is locked and read, and written
		sqlstore.MySQL:      {4, 3, 2, 3}, // what is inserted is on its own
		sqlstore.SQLite:     {5, 5, 4, 5}, // a statement for each table; calls in one process
	}
	onEach(t, func(t *testing.T, d database) {
		s, db := d.store(t)
		svc := service(t, s, refund.Options{})
		register(t, svc, "O-1")
		tx, err := db.BeginTx(bg, nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		conn, ok := sqlstore.ConnFrom(sqlstore.WithTx(bg, tx))
		require.True(t, ok)
		rec := &recorder{Conn: conn}
		ctx := sqlstore.WithConn(bg, rec)
		var got []int
		ran := func(err error) {
			require.NoError(t, err)
			rec.ran = slices.DeleteFunc(rec.ran, func(r recorded) bool { return strings.Contains(r.query, "SAVEPOINT") })
			got = append(got, len(rec.ran))
			rec.ran = nil
		}
		ran(ask(ctx, svc, "O-1", "R-1", 100))
		_, err = svc.Approve(ctx, refund.ApproveParams{OrderID: "O-1", RefundNo: "R-1", Amount: 100, Actor: "staff:1"})
		ran(err)
		ran(s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error { // no Process in a transaction
			o.Refunds[0].Attempts++
			o.Refunds[0].NextAttemptAt = at(60)
			return nil
		}))
		ran(s.Update(ctx, "O-1", func(ctx context.Context, o *order.Order) error {
			_, err := newMachine(t).Fire(ctx, o, order.Firing{Event: order.EventSettle, RefundNo: "R-1", Actor: order.ActorProvider, At: at(9)})
			return err
		}))
		require.Equal(t, want[d.dialect], got)
	})
}

// TestUpdateOfNothingStored: a change that is too small to be stored, as of a time by a nanosecond, leaves nothing of
// the refund to write. MySQL counts the rows that a statement changed, and not those that it found: to write what is
// there already would look like an order that is gone.
func TestUpdateOfNothingStored(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		require.NoError(t, s.Create(bg, o))
		require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			o.Refunds[0].NextAttemptAt = o.Refunds[0].NextAttemptAt.Add(time.Nanosecond)
			return nil
		}))
		got := requireLegal(t, s, "O-1")
		require.Equal(t, o.Refunds, got.Refunds)
		require.EqualValues(t, 2, got.Version)
	})
}

// TestOverwritten: what others wrote to a locked order all the same, in the same transaction, is not written over.
func TestOverwritten(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		for _, dsn := range d.counting(t) {
			s := d.on(t, d.connect(t, dsn))
			require.NoError(t, s.Migrate(bg))
			o := newOrder("O-1")
			request(t, o, "R-1", 10)
			require.NoError(t, s.Create(bg, o))
			before := requireLegal(t, s, "O-1")
			for _, statement := range []string{
				"UPDATE orderfsm_orders SET version = version + 1",
				"UPDATE orderfsm_refunds SET place = place + 1",
				"INSERT INTO orderfsm_transitions SELECT order_id, seq + 1, event, refund_no, from_state, to_state, order_from, order_to, " +
					"actor, note, at FROM orderfsm_transitions",
				"UPDATE orderfsm_refunds SET no = 'R-2'",
			} {
				if strings.Contains(statement, "R-2") {
					_, err := d.connect(t, dsn).ExecContext(bg, "DELETE FROM orderfsm_transitions") // that refer to the number
					require.NoError(t, err)
					before.History = nil
				}
				err := s.Update(bg, "O-1", func(ctx context.Context, o *order.Order) error {
					tx, ok := sqlstore.TxFrom(ctx)
					require.True(t, ok)
					_, err := tx.ExecContext(ctx, statement)
					require.NoError(t, err)
					o.Refunds[0].Message = "mine"
					if strings.HasPrefix(statement, "INSERT") {
						_, err = newMachine(t).Fire(ctx, o, order.Firing{Event: order.EventApprove, RefundNo: "R-1", Actor: "staff:1", At: at(9)})
					}
					return err
				})
				require.ErrorContains(t, err, "changed by others while it was locked", statement)
				got, err := s.Get(bg, "O-1")
				require.NoError(t, err)
				require.Equal(t, before, got)
			}
		}
	})
}

// TestTemporaryTables: MySQL writes an order and its refund without one on disk.
func TestTemporaryTables(t *testing.T) {
	t.Parallel()
	d := databases()[2]
	s, db := d.store(t)
	o := newOrder("O-1")
	request(t, o, "R-1", 10)
	require.NoError(t, s.Create(bg, o))
	require.NoError(t, s.InTx(bg, func(ctx context.Context) error {
		tx, ok := sqlstore.TxFrom(ctx)
		require.True(t, ok)
		made := func() (n int) {
			var name string
			require.NoError(t, tx.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Created_tmp_disk_tables'").Scan(&name, &n))
			return n
		}
		before := made()
		err := s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error { o.Refunds[0].Message = "not yet"; return nil })
		require.Equal(t, before, made())
		return err
	}))
	require.Equal(t, 0, db.Stats().InUse)
}
