package sqlstore

import "strings"

// refundColumns are in the order of refundValues and refundRow.dest.
const refundColumns = `no, amount, reason, state, requested_by, reviewed_by, review_note, refund_id, code, message,
	attempts, retries, outstanding, next_attempt_at, leased_until, submitted_at, declined_at, requested_at,
	reviewed_at, approved_at, ended_at, refunded_at`

const transitionColumns = `seq, event, refund_no, from_state, to_state, order_from, order_to, actor, note, at`

// statements are all the SQL there is: complete, or a beginning and an end where a part depends on the call.
type statements struct {
	selectOrder, selectRefunds, selectTransitions  string
	touch                                          string
	insertOrder, updateOrder                       string
	insertRefunds, updateRefund, insertTransitions string // insert…: without the rows
	due, dueExcept, dueExceptEnd, list, listEnd    string
}

func newStatements(d Dialect, prefix string) statements {
	orders, refunds, transitions := prefix+"orders", prefix+"refunds", prefix+"transitions"
	columns := strings.Split(strings.Join(strings.Fields(refundColumns), ""), ",")
	return statements{
		selectOrder: d.bind(`SELECT id, gateway, payment_id, currency, total, refunded, reserved, state, seq, version,
			paid_at, created_at, updated_at FROM ` + orders + ` WHERE id = ?`),
		selectRefunds:     d.bind(`SELECT ` + refundColumns + ` FROM ` + refunds + ` WHERE order_id = ? ORDER BY place`),
		selectTransitions: d.bind(`SELECT ` + transitionColumns + ` FROM ` + transitions + ` WHERE order_id = ? ORDER BY seq`),
		touch:             d.bind(`UPDATE ` + orders + ` SET version = version WHERE id = ?`),

		insertOrder: d.bind(`INSERT INTO ` + orders + ` (id, gateway, payment_id, currency, total, refunded, reserved, excess,
			state, seq, version, paid_at, created_at, updated_at) VALUES (` + marks(14) + `)` + d.ifNew("id")),
		updateOrder: d.bind(`UPDATE ` + orders + ` SET gateway = ?, payment_id = ?, currency = ?, total = ?, refunded = ?,
			reserved = ?, excess = ?, state = ?, seq = ?, version = ?, paid_at = ?, created_at = ?, updated_at = ?
			WHERE id = ? AND version = ?`),
		insertRefunds: `INSERT INTO ` + refunds + ` (order_id, place, ` + refundColumns + `) VALUES `,
		updateRefund: d.bind(`UPDATE ` + refunds + ` SET ` + strings.Join(columns[1:], ` = ?, `) +
			` = ? WHERE no = ? AND order_id = ?`),
		insertTransitions: `INSERT INTO ` + transitions + ` (order_id, ` + transitionColumns + `) VALUES `,

		due: d.bind(`SELECT order_id, no FROM ` + refunds + ` WHERE state = ? AND next_attempt_at <= ?
			ORDER BY next_attempt_at, order_id, no LIMIT ?`),
		dueExcept: `SELECT r.order_id, r.no, o.gateway, r.next_attempt_at FROM ` + refunds + ` r JOIN ` + orders +
			` o ON o.id = r.order_id WHERE r.state = ? AND r.next_attempt_at <= ?`,
		dueExceptEnd: ` ORDER BY r.next_attempt_at, r.order_id, r.no LIMIT ?`,
		list: `SELECT o.id, o.gateway, o.currency, o.total, o.refunded, r.` + strings.Join(columns, `, r.`) +
			` FROM ` + refunds + ` r JOIN ` + orders + ` o ON o.id = r.order_id WHERE 1 = 1`,
		listEnd: ` ORDER BY r.requested_at, r.order_id, r.no LIMIT ?`,
	}
}
