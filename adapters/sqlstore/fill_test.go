package sqlstore_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// The numbers that fill divides by. A shop has more history next year, and not a longer queue.
const (
	filledReview = 2000 // in review, asked for at any time
	filledOpen   = 500  // approved, every second one due
	filledRare   = 20   // of a gateway that is seldom used
	filledStart  = 1_000_000_000_000
	filledEvery  = 30 // seconds between two refunds
)

// filledID returns the order of the i-th refund that fill makes.
func filledID(i int) string { return fmt.Sprintf("O-%d", filledStart+i) }

// fill writes orders with one refund each, nearly all settled, as in a shop. It writes a thousand
// at a time, without checking foreign keys. refunds is a multiple of 1000.
func fill(t testing.TB, d database, dsn string, refunds int) {
	t.Helper()
	const batch = 1000
	require.Zero(t, refunds%batch)
	db, err := d.open(dsn)
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1) // its settings go with it
	for _, setting := range map[sqlstore.Dialect][]string{
		sqlstore.SQLite:     {"PRAGMA foreign_keys = 0", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -262144"},
		sqlstore.PostgreSQL: {"SET session_replication_role = replica", "SET synchronous_commit = off"},
		sqlstore.MySQL:      {"SET foreign_key_checks = 0", "SET unique_checks = 0"},
	}[d.dialect] {
		_, err := db.ExecContext(bg, setting)
		require.NoError(t, err)
	}
	for from := 0; from < refunds; from += batch {
		tx, err := db.BeginTx(bg, nil)
		require.NoError(t, err)
		for _, statement := range filling(refunds, from) {
			_, err := tx.ExecContext(bg, statement)
			require.NoError(t, err)
		}
		require.NoError(t, tx.Commit())
	}
}

// analyze updates the statistics of the planner.
func analyze(t testing.TB, d database, dsn string) {
	t.Helper()
	db, err := d.open(dsn)
	require.NoError(t, err)
	defer db.Close()
	analyzeTables(t, d, db)
}

func analyzeTables(t testing.TB, d database, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(bg, map[sqlstore.Dialect]string{
		sqlstore.SQLite:     "ANALYZE",
		sqlstore.PostgreSQL: "VACUUM (ANALYZE) orderfsm_orders, orderfsm_refunds, orderfsm_transitions",
		sqlstore.MySQL:      "ANALYZE TABLE orderfsm_orders, orderfsm_refunds, orderfsm_transitions",
	}[d.dialect])
	require.NoError(t, err)
}

// filling returns the statements for the refunds from to from + 999, in SQL that all databases
// understand.
func filling(refunds, from int) []string {
	digits := "(SELECT 0 AS d" + strings.Repeat(" UNION ALL SELECT %d", 9) + ")"
	digits = fmt.Sprintf(digits, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	// n and i are 64 bits wide because filledStart is.
	rows := fmt.Sprintf(`(SELECT n, n - %[1]d AS i, %[2]d + %[3]d * (n - %[1]d) AS at FROM
		(SELECT %[4]d + a.d + 10 * b.d + 100 * c.d AS n
		FROM %[5]s a CROSS JOIN %[5]s b CROSS JOIN %[5]s c) numbers) s`,
		filledStart, at(0).UnixMicro(), filledEvery*1_000_000, filledStart+from, digits)
	// one in so many
	review, open, rare := max(5, refunds/filledReview), max(20, refunds/filledOpen), max(500,
		refunds/filledRare)
	state := func(reviewed, opened, rejected, refunded string) string {
		return fmt.Sprintf("CASE WHEN i %% %d = 1 THEN %s WHEN i %% %d = 2 THEN %s WHEN i %% 20 = 3 THEN %s ELSE %s END",
			review, reviewed, open, opened, rejected, refunded)
	}
	gateway := fmt.Sprintf(`CASE WHEN i %% %d = 7 THEN 'rare'
		WHEN i * 7919 %% 101 < 70 THEN 'wechat'
		WHEN i * 7919 %% 101 < 95 THEN 'alipay' ELSE 'card' END`, rare)
	return []string{
		`INSERT INTO orderfsm_orders (id, gateway, payment_id, currency, total, refunded,
			reserved, excess, state, seq, version, update_id, paid_at, created_at, updated_at)
			SELECT concat('O-', n),
			` + gateway + `,
			concat('42000', n), 'CNY', 100, ` + state("0", "0", "0", "100") + `, ` + state("100", "100", "0", "0") + `, 0,
			` + state("'refund_requested'", "'approved'", "'paid'", "'refunded'") + `, 3, 4, 0, at, at, at
			FROM ` + rows + ` ORDER BY n`,
		`INSERT INTO orderfsm_refunds (no, order_id, gateway, place, amount, reason, state,
			requested_by, reviewed_by, review_note, provider_refund_id, code, message, attempts,
			retries, outstanding, next_attempt_at, submitted_at, requested_at, reviewed_at,
			approved_at, ended_at, refunded_at, recipient, settled)
			SELECT concat('R-', n), concat('O-', n), ` + gateway + `, 0, 100, 'does not fit',
			` + state("'refund_requested'", "'approved'", "'rejected'", "'refunded'") + `,
			'buyer:1', 'staff:1', '', concat('50300', n), 'SUCCESS', '', 1, 0, 0,
			CASE WHEN i % ` + fmt.Sprint(open) + ` <> 2 THEN -62135596800000000
				WHEN i % ` + fmt.Sprint(2*open) + ` = 2 THEN at + 60000000 ELSE at + 4000000000000000 END,
			at, at, at, at, at, at, '', 0
			FROM ` + rows + ` ORDER BY n`,
		`INSERT INTO orderfsm_transitions (order_id, seq, event, refund_no, from_state, to_state,
			order_from, order_to, actor, note, at)
			SELECT concat('O-', n), seq, event, concat('R-', n), from_state, to_state, from_state,
			to_state, 'staff:1', '', at
			FROM ` + rows + ` CROSS JOIN (SELECT 1 AS seq, 'request_refund' AS event,
			'paid' AS from_state, 'refund_requested' AS to_state
			UNION ALL SELECT 2, 'approve', 'refund_requested', 'approved'
			UNION ALL SELECT 3, 'settle', 'approved', 'refunded') steps ORDER BY n, seq`,
	}
}
