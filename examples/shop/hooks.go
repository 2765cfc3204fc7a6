package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
)

// hooks are what the shop does when a refund changes its state. The purposes of the hooks:
//
//   - Guard may refuse a decision before it is made. This shop has none; examples/customhooks does.
//   - InTx writes the rows that must change together with the refund. They are committed with it or
//     not at all, so a crash, a retry or a second process can neither lose nor repeat them. InTx
//     must only write to the database, because it may run again in a new transaction.
//   - After is for effects that may be lost. Here it wakes the outbox, which also polls.
//   - Discrepancy, Stuck and Setup call a person. The Service also logs all three, which is enough
//     here.
type hooks struct {
	db     *database
	outbox *outbox
}

func newHooks(db *database, out *outbox) *hooks { return &hooks{db, out} }

// inTx is the InTx hook. A refund settles once, even if the provider, the poller and notifications
// report it at the same time, so its items return to stock once.
func (h *hooks) inTx(ctx context.Context, o *order.Order, t order.Transition) error {
	if _, ok := sqlstore.TxFrom(ctx); !ok {
		return errors.New("the hook runs outside a transaction")
	}
	amount := yuan(o.Refund(t.RefundNo).Amount)
	var text string // for the buyer
	var err error
	switch t.To {
	case order.StateRefunded:
		text = amount + " yuan were returned to you."
		err = h.restock(ctx, o.ID, t.RefundNo)
	case order.StateRejected:
		text = "Your refund of " + amount + " yuan was refused: " + t.Note
		err = h.free(ctx, o.ID, t.RefundNo)
	case order.StateAbandoned:
		text = "Your refund of " + amount + " yuan did not work; please ask again."
		err = h.free(ctx, o.ID, t.RefundNo)
	case order.StateCancelled:
		err = h.free(ctx, o.ID, t.RefundNo)
	}
	if err != nil || text == "" {
		return err
	}
	_, err = h.db.exec(ctx, `INSERT INTO messages (order_id, seq, refund_no, text, sent_at) VALUES (?, ?, ?, ?, 0)`,
		o.ID, t.Seq, t.RefundNo, text)
	return err
}

// after is the After hook.
func (h *hooks) after(context.Context, *order.Order, order.Transition) { h.outbox.nudge() }

// restock returns the items of a refund to stock. (A real shop waits for the parcel; see
// examples/customhooks.) A refund without items was made in WeChat Pay's console, or was paid
// although the shop had rejected or abandoned it. The Service logs that as a discrepancy for a
// person to check.
func (h *hooks) restock(ctx context.Context, orderID, refundNo string) error {
	lines, err := each(ctx, h.db, func(it *item) []any { return []any{&it.SKU, &it.Quantity} },
		`SELECT sku, quantity FROM order_items WHERE order_id = ? AND refund_no = ? ORDER BY sku`, orderID, refundNo)
	if err != nil {
		return err
	}
	for _, it := range lines {
		if _, err := h.db.exec(ctx, `UPDATE inventory SET stock = stock + ? WHERE sku = ?`, it.Quantity, it.SKU); err != nil {
			return err
		}
	}
	return nil
}

// free releases the items of a refund that will not pay, so that another refund can have them.
func (h *hooks) free(ctx context.Context, orderID, refundNo string) error {
	_, err := h.db.exec(ctx, `UPDATE order_items SET refund_no = '' WHERE order_id = ? AND refund_no = ?`, orderID, refundNo)
	return err
}

// yuan formats an amount in fen with integer arithmetic only.
func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }
