package sqlstore_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// BenchmarkSize reports what a settled refund leaves: the rows of an order, its refund and its
// history, and their bytes with the indexes, as written and after the database has cleaned up.
//
//	go test -run '^$' -bench Size -benchtime 5000x ./adapters/sqlstore
func BenchmarkSize(b *testing.B) {
	for _, d := range databases() {
		b.Run(d.name, func(b *testing.B) {
			s, db := d.store(b)
			keep(db, 16)
			svc := service(b, s, refund.Options{})
			before := size(b, d, db)
			each(b, 16, func(i int64) error {
				// as WeChat Pay has them
				id, number := fmt.Sprintf("2026010203%08d", i), fmt.Sprintf("2026010203%08d-R1", i)
				if _, err := svc.Register(bg, refund.RegisterParams{
					OrderID: id, Gateway: "wechat", Currency: "CNY", Total: 9900,
					PaymentID: fmt.Sprintf("42000012342026010%011d", i),
				}); err != nil {
					return err
				}
				if _, err := svc.Request(bg, refund.RequestParams{
					Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 9900,
					Reason: "does not fit", Actor: "buyer:10086",
				}); err != nil {
					return err
				}
				_, err := svc.ApproveAndSend(bg, refund.ApproveParams{
					Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 9900, Note: "goods are back",
					Actor: "staff:7",
				})
				return err
			})
			written := size(b, d, db)
			for _, table := range []string{"orders", "refunds", "transitions"} {
				tidy := map[sqlstore.Dialect]string{
					sqlstore.SQLite: "VACUUM", sqlstore.PostgreSQL: "VACUUM FULL orderfsm_" + table,
					sqlstore.MySQL: "OPTIMIZE TABLE orderfsm_" + table,
				}[d.dialect]
				_, err := db.ExecContext(bg, tidy)
				require.NoError(b, err)
			}
			rows := 0
			require.NoError(b, db.QueryRowContext(bg, `SELECT
				(SELECT COUNT(*) FROM orderfsm_orders) + (SELECT COUNT(*) FROM orderfsm_refunds) +
				(SELECT COUNT(*) FROM orderfsm_transitions)`).Scan(&rows))
			b.ReportMetric(float64(rows)/float64(b.N), "rows/op")
			b.ReportMetric((written-before)/float64(b.N), "bytes/op")
			b.ReportMetric((size(b, d, db)-before)/float64(b.N), "tidy-bytes/op")
		})
	}
}

// size returns the bytes of the tables on disk.
func size(b *testing.B, d database, db *sql.DB) (bytes float64) {
	b.Helper()
	if d.dialect == sqlstore.MySQL { // which keeps the sizes until it counts again
		analyzeTables(b, d, db)
	}
	require.NoError(b, db.QueryRowContext(bg, map[sqlstore.Dialect]string{
		sqlstore.SQLite: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
		sqlstore.PostgreSQL: `SELECT SUM(pg_total_relation_size(c))
			FROM unnest(ARRAY['orderfsm_orders', 'orderfsm_refunds',
			'orderfsm_transitions']::regclass[]) c`,
		sqlstore.MySQL: "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()",
	}[d.dialect]).Scan(&bytes))
	return bytes
}
