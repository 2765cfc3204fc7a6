package sqlstore_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// counting returns fresh databases. On MySQL a second one counts the rows that a statement finds
// and not those that it changes.
func (d database) counting(t *testing.T) []string {
	t.Helper()
	dsns := []string{d.fresh(t)}
	if d.dialect == sqlstore.MySQL {
		dsns = append(dsns, with(d.fresh(t), "clientFoundRows=true"))
	}
	return dsns
}

// TestUpdateOfSeveral: all changes of an Update are stored, also if MySQL counts the rows that it
// finds.
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
				func(o *order.Order) {
					o.Refunds[0].Message, o.Refunds[1].Code = "first", "A"
					o.PaymentID = "4200"
				},
				func(o *order.Order) {
					o.Refunds[0].Attempts++
					request(t, o, "R-3", 10)
					request(t, o, "R-4", 10)
				},
				func(o *order.Order) {
					o.Refunds[0].Attempts++
					o.Refunds[3].Attempts++
					request(t, o, "R-5", 10)
				},
			} {
				var want *order.Order
				past := requireLegal(t, s, "O-1").History
				require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
					change(o)
					want = o.Clone()
					return nil
				}))
				want.Version++
				want.History = append(past, want.History...)
				require.Equal(t, want, requireLegal(t, s, "O-1"))
			}
		}
	})
}

// TestGatewayOfRefunds: lists find an order's refunds under its gateway, also after the gateway has
// changed.
func TestGatewayOfRefunds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		request(t, o, "R-1", 10)
		o.Refunds[0].State = order.StateApproved
		require.NoError(t, s.Create(bg, o))
		listed := func(gateway string) bool {
			queue, err := s.ListRefunds(bg, refund.Filter{
				States: []order.State{order.StateApproved}, Gateway: gateway,
			})
			require.NoError(t, err)
			all, err := s.ListRefunds(bg, refund.Filter{Gateway: gateway})
			require.NoError(t, err)
			require.Equal(t, queue, all)
			for _, e := range all.Entries {
				require.Equal(t, gateway, e.Gateway)
			}
			due, err := s.Due(bg, refund.DueQuery{Now: at(0), Limit: 10, Except: []string{gateway}})
			require.NoError(t, err)
			require.Equal(t, len(due) == 0, len(all.Entries) == 1)
			return len(all.Entries) == 1
		}
		require.True(t, listed("bank"))
		require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
			o.Gateway = "wechat"
			return nil
		}))
		require.False(t, listed("bank"))
		require.True(t, listed("wechat"))
	})
}

// TestStatements: a command costs as few round trips as the database allows, besides BEGIN and
// COMMIT. Hosts whose hooks do not use the transaction do not pay for the checks.
func TestStatements(t *testing.T) {
	t.Parallel()
	// To request a refund, to approve it, to lease it and to record its outcome.
	want := map[sqlstore.Dialect][4]int{
		sqlstore.PostgreSQL: {2, 2, 2, 2}, // it is locked and read, and written
		sqlstore.MySQL:      {4, 3, 2, 3}, // what is inserted is on its own
		sqlstore.SQLite:     {5, 5, 4, 5}, // a statement for each table; calls in one process
	}
	// With a hook that uses the transaction: MySQL's marker is set and released, and SQLite is
	// probed before the command writes and before the commit.
	lent := map[sqlstore.Dialect]int{sqlstore.PostgreSQL: 0, sqlstore.MySQL: 2, sqlstore.SQLite: 2}
	// In a transaction of the host: the savepoint, and the marker or two probes.
	joined := map[sqlstore.Dialect]int{
		sqlstore.PostgreSQL: 2, sqlstore.MySQL: 4, sqlstore.SQLite: 4,
	}
	onEach(t, func(t *testing.T, d database) {
		dsn := d.fresh(t)
		require.NoError(t, d.on(t, d.connect(t, dsn)).Migrate(bg))
		c := &parses{Connector: d.connector(t, dsn)}
		db := sql.OpenDB(c)
		defer db.Close()
		s, err := sqlstore.New(db, d.dialect, sqlstore.Options{NoPrepare: true})
		require.NoError(t, err)
		takes := false
		inTx := func(ctx context.Context, _ *order.Order, _ order.Transition) error {
			if takes {
				_, ok := sqlstore.TxFrom(ctx)
				require.True(t, ok)
			}
			return nil
		}
		svc := service(t, s, refund.Options{Hooks: []refund.Hooks{{InTx: inTx}}})
		lifecycle := func(ctx context.Context, id string) (got [4]int) {
			number := "R-" + id
			for i, command := range []func() error{
				func() error { return ask(ctx, svc, id, number, 100) },
				func() error {
					_, err := svc.Approve(ctx, refund.ApproveParams{
						Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 100, Actor: "staff:1",
					})
					return err
				},
				func() error { // as Process does it, which refuses in a transaction
					return s.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
						if takes {
							sqlstore.TxFrom(ctx)
						}
						return lease(ctx, o)
					})
				},
				func() error {
					return s.Update(ctx, id, func(ctx context.Context, o *order.Order) error {
						if takes {
							sqlstore.TxFrom(ctx)
						}
						_, err := newMachine(t).Fire(ctx, o, order.Trigger{
							Event: order.EventSettle, RefundNo: number, Actor: order.ActorProvider,
							At: at(9),
						})
						return err
					})
				},
			} {
				c.plain.Store(0)
				require.NoError(t, command())
				got[i] = int(c.plain.Load())
			}
			return got
		}
		added := func(n int) (sum [4]int) {
			for i, statements := range want[d.dialect] {
				sum[i] = statements + n
			}
			return sum
		}
		for _, id := range []string{"O-own", "O-lent", "O-joined"} {
			register(t, svc, id)
		}
		require.Equal(t, want[d.dialect], lifecycle(bg, "O-own"))
		takes = true
		require.Equal(t, added(lent[d.dialect]), lifecycle(bg, "O-lent"))
		tx, err := db.BeginTx(bg, nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		require.Equal(t, added(joined[d.dialect]), lifecycle(sqlstore.WithTx(bg, tx), "O-joined"))
	})
}

// TestUpdateOfNothingStored: a change that is too small to be stored, for example of a time by a
// nanosecond, does not write the refund. MySQL counts the rows that a statement changes, so that an
// unchanged row would look like a missing one.
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

// TestOverwritten: what others write to a locked order in the same transaction is not overwritten.
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
				"INSERT INTO orderfsm_transitions SELECT order_id, seq + 1, event, refund_no, from_state, " +
					"to_state, order_from, order_to, " +
					"actor, note, at FROM orderfsm_transitions",
				"UPDATE orderfsm_refunds SET no = 'R-2'",
			} {
				if strings.Contains(statement, "R-2") {
					db := d.connect(t, dsn)
					for _, query := range []string{
						"DELETE FROM orderfsm_transitions", /* that refer to the number */
						"UPDATE orderfsm_orders SET seq = 0",
					} {
						_, err := db.ExecContext(bg, query)
						require.NoError(t, err)
					}
					before.History, before.Seq = nil, 0
				}
				err := s.Update(bg, "O-1", func(ctx context.Context, o *order.Order) error {
					tx, ok := sqlstore.TxFrom(ctx)
					require.True(t, ok)
					_, err := tx.ExecContext(ctx, statement)
					require.NoError(t, err)
					o.Refunds[0].Message = "mine"
					if strings.HasPrefix(statement, "INSERT") {
						_, err = newMachine(t).Fire(ctx, o, order.Trigger{
							Event: order.EventApprove, RefundNo: "R-1", Actor: "staff:1", At: at(9),
						})
					}
					return err
				})
				require.ErrorContains(t, err, "changed by others while it was locked", statement)
				got, err := refund.LoadOrder(bg, s, "O-1")
				require.NoError(t, err)
				require.Equal(t, before, got)
			}
		}
	})
}

// TestTemporaryTables: MySQL writes an order and its refund without a temporary table on disk.
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
		err := s.Update(ctx, "O-1", func(_ context.Context, o *order.Order) error {
			o.Refunds[0].Message = "not yet"
			return nil
		})
		require.Equal(t, before, made())
		return err
	}))
	require.Equal(t, 0, db.Stats().InUse)
}

// TestTimeAtTheEpochIsNotNULL: the first microsecond of 1970 is a time like any other.
func TestTimeAtTheEpochIsNotNULL(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s, _ := d.store(t)
		o := newOrder("O-1")
		o.PaidAt = time.Time{}
		require.NoError(t, s.Create(bg, o))
		for _, at := range []time.Time{time.Unix(0, 0).UTC(), {}} {
			require.NoError(t, s.Update(bg, "O-1", func(_ context.Context, o *order.Order) error {
				o.PaidAt = at
				return nil
			}))
			got, err := s.Get(bg, "O-1")
			require.NoError(t, err)
			require.Equal(t, at, got.PaidAt)
		}
	})
}
