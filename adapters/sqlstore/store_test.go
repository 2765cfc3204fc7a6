package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		storetest.Run(t, storetest.Harness{
			New: func(t *testing.T) refund.Store {
				dsn := d.fresh(t)
				s := d.on(t, d.connect(t, dsn))
				require.NoError(t, s.Migrate(bg))
				return second{s, dsn}
			},
			Begin: func(t *testing.T, s refund.Store) (context.Context, func(bool) error) {
				tx, err := d.connect(t, s.(second).dsn).BeginTx(bg, nil)
				require.NoError(t, err)
				return sqlstore.WithTx(bg, tx), func(commit bool) error {
					if commit {
						return tx.Commit()
					}
					return tx.Rollback()
				}
			},
			Reopen: func(t *testing.T, s refund.Store) refund.Store {
				return d.on(t, d.connect(t, s.(second).dsn))
			},
		})
	})
}

// second is a store that knows how to be opened again.
type second struct {
	*sqlstore.Store
	dsn string
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for field, make := range map[string]func() (*sqlstore.Store, error){
		"db":      func() (*sqlstore.Store, error) { return sqlstore.New(nil, sqlstore.SQLite, sqlstore.Options{}) },
		"dialect": func() (*sqlstore.Store, error) { return sqlstore.New(&sql.DB{}, "oracle", sqlstore.Options{}) },
		"prefix": func() (*sqlstore.Store, error) {
			return sqlstore.New(&sql.DB{}, sqlstore.SQLite, sqlstore.Options{Prefix: "x; --"})
		},
	} {
		_, err := make()
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, d := range databases() {
		b.Run(d.name, func(b *testing.B) {
			storetest.Benchmark(b, func(b *testing.B) refund.Store {
				s, _ := d.store(b)
				return s
			})
		})
	}
}

// TestDueIsARange: what is due is found by one range of an index, however many refunds there are.
func TestDueIsARange(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		_, db := d.store(t)
		query, want := map[sqlstore.Dialect]string{
			sqlstore.SQLite: "EXPLAIN QUERY PLAN ", sqlstore.PostgreSQL: "EXPLAIN (FORMAT JSON) ", sqlstore.MySQL: "EXPLAIN ",
		}[d.dialect], "orderfsm_refunds_due"
		if d.dialect == sqlstore.PostgreSQL {
			db.SetMaxOpenConns(1)
			_, err := db.ExecContext(bg, "SET enable_seqscan = off") // the table is empty: it would rather read all of it
			require.NoError(t, err)
		}
		rows, err := db.QueryContext(bg, query+`SELECT order_id, no FROM orderfsm_refunds
			WHERE state = 'approved' AND next_attempt_at <= 5 ORDER BY next_attempt_at, order_id, no LIMIT 10`)
		require.NoError(t, err)
		defer rows.Close()
		columns, err := rows.Columns()
		require.NoError(t, err)
		plan := ""
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			dest := make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			require.NoError(t, rows.Scan(dest...))
			for _, v := range values {
				plan += v.String + " "
			}
		}
		require.NoError(t, rows.Err())
		require.Contains(t, plan, want)
		for _, sorted := range []string{"TEMP B-TREE", `"Sort"`, "filesort"} {
			require.NotContains(t, plan, sorted)
		}
	})
}
