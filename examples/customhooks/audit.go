package customhooks

import (
	"context"
	"errors"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// AuditSchema creates the shop's own table (SQLite). The primary key prevents a second row for a
// transition. The triggers refuse every change of a row.
const AuditSchema = `
CREATE TABLE audit (
	order_id TEXT NOT NULL, seq INTEGER NOT NULL, refund_no TEXT NOT NULL, event TEXT NOT NULL,
	"from" TEXT NOT NULL, "to" TEXT NOT NULL, actor TEXT NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL,
	PRIMARY KEY (order_id, seq));
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;`

// audit is the InTx hook. It writes with the update's transaction, which ctx carries, so that the
// row and the transition are committed together. An error rolls both back: a shop that cannot write
// its audit does not approve.
func audit(ctx context.Context, o *order.Order, t order.Transition) error {
	tx, ok := sqlstore.TxFrom(ctx)
	if !ok {
		return errors.New("audit: the context carries no transaction of the store")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		o.ID, t.Seq, t.RefundNo, string(t.Event), string(t.From), string(t.To),
		string(t.Actor), t.Note, t.At.Format(time.RFC3339Nano))
	return err
}
