package customhooks

import (
	"context"
	"errors"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// AuditSchema makes the shop's own table (SQLite). The key lets no transition in twice, and the
// triggers let nobody change one.
const AuditSchema = `
CREATE TABLE audit (
	order_id TEXT NOT NULL, seq INTEGER NOT NULL, refund_no TEXT NOT NULL, event TEXT NOT NULL,
	"from" TEXT NOT NULL, "to" TEXT NOT NULL, actor TEXT NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL,
	PRIMARY KEY (order_id, seq));
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;`

// audit is the InTx hook. It writes with the transaction of the update, found in ctx: the row and
// the transition are committed together. Its error undoes both: a shop that cannot audit does not
// approve.
func audit(ctx context.Context, o *order.Order, t order.Transition) error {
	tx, ok := sqlstore.TxFrom(ctx)
	if !ok {
		return errors.New("audit: no transaction of the store")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, o.ID, t.Seq, t.RefundNo,
		string(t.Event), string(t.From), string(t.To), string(t.Actor), t.Note, t.At.Format(time.RFC3339Nano))
	return err
}
