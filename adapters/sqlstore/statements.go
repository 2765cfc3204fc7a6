package sqlstore

import (
	"strings"

	"github.com/orderfsm/orderfsm/order"
)

// statements holds the SQL of a Store. A part that depends on a call is left out of its statement,
// which then has a beginning and an end.
type statements struct {
	load, lock, reload string // an order; every argument is its ID
	loadArgs, lockArgs int    // the number of arguments
	history, exists    string // transitions of an order after a number; the ID of an order
	touch, updateID    string
	orders, refunds    string // the tables
	versions           string // the table of migrations
	due, ahead, dueEnd string
	list, listJoin     string
	listEnd            string

	insertOrder, insertRefunds, insertTransitions string // the last two without the rows
}

func newStatements(d Dialect, prefix string) statements {
	orders, refunds, transitions := prefix+"orders", prefix+"refunds", prefix+"transitions"
	// The state is no parameter, because it is the condition of an index.
	due := `SELECT order_id, no, gateway, next_attempt_at FROM ` + refunds +
		d.useIndex(prefix+"refunds_due") + ` WHERE state = '` + string(order.StateApproved) +
		`' AND next_attempt_at `
	s := statements{
		orders: orders, refunds: refunds, versions: prefix + "migrations",
		touch:    `UPDATE ` + orders + ` SET version = version WHERE id = NULL`,
		updateID: d.bind(`SELECT update_id FROM ` + orders + ` WHERE id = ?`),

		insertOrder: `INSERT INTO ` + orders + ` (update_id, ` + orderColumns.Names("") +
			`) VALUES (` + placeholders(1+len(orderColumns)) + `)` + d.skipTaken("id"),
		insertRefunds: `INSERT INTO ` + refunds + ` (order_id, place, gateway, ` +
			refundColumns.Names("") + `) VALUES `,
		insertTransitions: `INSERT INTO ` + transitions + ` (order_id, ` +
			transitionColumns.Names("") + `) VALUES `,

		history: d.bind(`SELECT order_id, ` + transitionColumns.Names("") + ` FROM ` + transitions +
			` WHERE order_id = ? AND seq > ? ORDER BY seq LIMIT ?`),
		exists: d.bind(`SELECT id FROM ` + orders + ` WHERE id = ?`),

		due:    due + `<= ` + d.value("BIGINT"),
		ahead:  due + `> ` + d.value("BIGINT"),
		dueEnd: ` ORDER BY next_attempt_at, order_id, no LIMIT ?`,
		list: `SELECT o.id, o.gateway, o.currency, o.total, o.refunded, ` +
			refundColumns.Names("r.") + ` FROM ` + refunds + ` r`,
		listJoin: ` ` + d.join() + ` ` + orders + ` o ON o.id = r.order_id WHERE `,
		listEnd:  `r.requested_at, r.order_id, r.no`,
	}
	s.setLoads(d)
	return s
}

// The kinds of a row of a load.
const (
	rowRefund = iota
	rowOrder
	rowLock
)

// setLoads sets the statements that read an order as of one moment. Their rows have the kind, a
// number, the columns of an order and those of a refund; a row of one kind has blanks for the
// other.
func (s *statements) setLoads(d Dialect) {
	key := "?"
	if d == SQLite {
		key = d.value("TEXT")
	}
	parts := []string{
		`SELECT 0 AS kind, place, ` + orderColumns.Blanks() + `, ` + refundColumns.Names("") +
			` FROM ` + s.refunds + ` WHERE order_id = ` + key,
		`SELECT 1, 0, ` + orderColumns.Names("") + `, ` + refundColumns.Blanks() +
			` FROM ` + s.orders + ` WHERE id = ?`,
	}
	all := strings.Join(parts, " UNION ALL ")
	s.load, s.loadArgs = d.bind(all), len(parts)
	s.lock, s.lockArgs, s.reload = s.load, len(parts), s.load
	// One more part waits for the order's row and returns the version that it then has. The other
	// parts may be older, as of the moment at which the statement or its transaction began.
	version := `SELECT 2, version, ` + orderColumns.Blanks() + `, ` + refundColumns.Blanks() +
		` FROM `
	row := s.orders + ` WHERE id = ?`
	switch d {
	case SQLite: // Store.lock locks the database
	case PostgreSQL:
		// FOR UPDATE would also keep the host from adding rows that refer to the order.
		lock := `WITH l AS (SELECT version FROM ` + row + ` FOR NO KEY UPDATE) `
		s.lock, s.lockArgs = d.bind(lock+version+`l UNION ALL `+all), len(parts)+1
	case MySQL:
		s.lock, s.lockArgs = `(`+version+row+` FOR UPDATE) UNION ALL `+all, len(parts)+1
		// In a transaction with an older view, only locking reads see the present.
		const share = ` LOCK IN SHARE MODE)`
		s.reload = `(` + strings.Join(parts, share+` UNION ALL (`) + share
	}
}
