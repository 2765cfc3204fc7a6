package embed

import (
	"context"
	"database/sql"
	"errors"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/examples/ownstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// OnOwnTable wires refunds into the shop's own table of orders.
func OnOwnTable(db *sql.DB, gateway refund.RefundGateway, hooks refund.Hooks) (*refund.Service, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	return refund.NewService(machine, ownstore.Store{DB: db}, gateway, refund.Options{Hooks: []refund.Hooks{hooks}})
}

// Hooks are the shop's own steps: a rule, a row in the same transaction, a message afterwards.
func Hooks(restock func(context.Context, *sql.Tx, *order.Order) error, tell func(*order.Order)) refund.Hooks {
	return refund.Hooks{
		Guard: func(_ context.Context, o *order.Order, t order.Transition) error {
			if t.Event == order.EventApprove && o.Refund(t.RefundNo).RequestedBy == t.Actor {
				return errors.New("nobody approves what he asked for himself")
			}
			return nil
		},
		InTx: func(ctx context.Context, o *order.Order, t order.Transition) error {
			if t.Event != order.EventSettle {
				return nil
			}
			tx, _ := sqlstore.TxFrom(ctx) // there is one inside of every Update on database/sql; with pgxtx it is pgxtx.TxFrom
			return restock(ctx, tx, o)
		},
		After: func(_ context.Context, o *order.Order, t order.Transition) {
			if t.Event == order.EventSettle {
				tell(o)
			}
		},
	}
}
