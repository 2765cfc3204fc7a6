package sqlstore

import (
	"strings"

	"github.com/orderfsm/orderfsm/order"
)

// The columns of a refund: texts, then numbers, in the order of refundValues and row.refund.
const (
	refundTexts   = "no, reason, state, requested_by, reviewed_by, review_note, provider_refund_id, code, message"
	refundNumbers = "amount, attempts, retries, outstanding, next_attempt_at, leased_until, submitted_at, declined_at, " +
		"accepted_at, confirmed_at, requested_at, reviewed_at, approved_at, ended_at, refunded_at"
	transitionColumns = "seq, event, refund_no, from_state, to_state, order_from, order_to, actor, note, at"
)

// The columns of an order beside its ID, in the order of orderValues, and those of a refund, in that of refundValues.
var (
	orderColumns = strings.Split("gateway, payment_id, currency, total, refunded, reserved, excess, state, seq, version, "+
		"paid_at, created_at, updated_at", ", ")
	refundColumns = append(strings.Split(refundTexts+", "+refundNumbers, ", "), "gateway")
)

// statements are all the SQL there is: complete, or a beginning and an end where a part depends on the call.
type statements struct {
	load, lock, reload                            string // an order by its ID, as every argument
	history, exists                               string // transitions of an order behind a number; its ID
	loadArgs, lockArgs                            int
	touch, updateID                               string
	orders, refunds                               string // the tables
	insertOrder, insertRefunds, insertTransitions string // the last two without the rows
	due, ahead, dueEnd                            string
	list, listJoin, listEnd                       string
}

func newStatements(d Dialect, prefix string) statements {
	const approved = `state = '` + string(order.StateApproved) + `'` // no parameter: it is the condition of an index
	orders, refunds, transitions := prefix+"orders", prefix+"refunds", prefix+"transitions"
	due := `SELECT order_id, no, gateway, next_attempt_at FROM ` + refunds + d.by(prefix+"refunds_due") + ` WHERE ` + approved +
		` AND next_attempt_at `
	s := statements{
		orders: orders, refunds: refunds,
		touch:    `UPDATE ` + orders + ` SET version = version WHERE id = NULL`,
		updateID: d.bind(`SELECT update_id FROM ` + orders + ` WHERE id = ?`),

		insertOrder: `INSERT INTO ` + orders + ` (id, update_id, ` + strings.Join(orderColumns, ", ") + `) VALUES (` +
			marks(2+len(orderColumns)) + `)` + d.ifNew("id"),
		insertRefunds:     `INSERT INTO ` + refunds + ` (order_id, place, ` + strings.Join(refundColumns, ", ") + `) VALUES `,
		insertTransitions: `INSERT INTO ` + transitions + ` (order_id, ` + transitionColumns + `) VALUES `,

		history: d.bind(`SELECT order_id, ` + transitionColumns + ` FROM ` + transitions +
			` WHERE order_id = ? AND seq > ? ORDER BY seq LIMIT ?`),
		exists: d.bind(`SELECT id FROM ` + orders + ` WHERE id = ?`),

		due:    due + `<= ` + d.value("BIGINT"),
		ahead:  due + `> ` + d.value("BIGINT"),
		dueEnd: ` ORDER BY next_attempt_at, order_id, no LIMIT ?`,
		list: `SELECT o.id, o.gateway, o.currency, o.total, o.refunded, r.` +
			strings.ReplaceAll(refundTexts+", "+refundNumbers, ", ", ", r.") + ` FROM ` + refunds + ` r`,
		listJoin: ` ` + d.join() + ` ` + orders + ` o ON o.id = r.order_id WHERE `,
		listEnd:  `r.requested_at, r.order_id, r.no`,
	}
	s.loads(d, orders, refunds)
	return s
}

// What a row of a load is.
const (
	rowRefund = iota
	rowOrder
	rowLock
)

// loads writes the ways to read an order by one statement, and so as of one moment: its parts have the same
// columns, what the row is, its place, nine texts and fifteen numbers. Refunds come first: they set the types.
func (s *statements) loads(d Dialect, orders, refunds string) {
	key := "?"
	if d == SQLite {
		key = d.value("TEXT")
	}
	const nulls = ", NULL, NULL, NULL, NULL, NULL, NULL, NULL"
	parts := []string{
		`SELECT 0 AS kind, place, ` + refundTexts + `, ` + refundNumbers + ` FROM ` + refunds + ` WHERE order_id = ` + key,
		`SELECT 1, version, id, gateway, payment_id, currency, state, '', '', '', '',
			total, refunded, reserved, seq, paid_at, created_at, updated_at, NULL` + nulls + ` FROM ` + orders + ` WHERE id = ?`,
	}
	all := strings.Join(parts, " UNION ALL ")
	s.load, s.loadArgs = d.bind(all), len(parts)
	s.lock, s.lockArgs, s.reload = s.load, len(parts), s.load
	// One more part waits for the order's row, and brings the version that it then has: the other parts may
	// be older, of the moment at which the statement or its transaction began.
	const version = `SELECT 2, version, '', '', '', '', '', '', '', '', ''` + ", NULL" + nulls + nulls + ` FROM `
	row := orders + ` WHERE id = ?`
	switch d {
	case SQLite: // locks the database: see Store.lock
	case PostgreSQL:
		// FOR UPDATE would also keep the host from adding rows that refer to the order.
		s.lock, s.lockArgs = d.bind(`WITH l AS (SELECT version FROM `+row+` FOR NO KEY UPDATE) `+version+`l UNION ALL `+all), len(parts)+1
	case MySQL:
		s.lock, s.lockArgs = `(`+version+row+` FOR UPDATE) UNION ALL `+all, len(parts)+1
		// Of a transaction with an older view, only locking reads see the present.
		s.reload = `(` + strings.Join(parts, ` LOCK IN SHARE MODE) UNION ALL (`) + ` LOCK IN SHARE MODE)`
	}
}
