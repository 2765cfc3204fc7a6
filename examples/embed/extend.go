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

// OnOwnTable returns a Service that keeps refunds in the shop's own table of orders.
func OnOwnTable(
	db *sql.DB, gateway refund.RefundGateway, hooks refund.Hooks,
) (*refund.Service, error) {
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, err
	}
	opt := refund.Options{Hooks: []refund.Hooks{hooks}}
	return refund.NewService(machine, ownstore.Store{DB: db}, gateway, opt)
}

// Hooks returns the shop's hooks: a rule, a row in the same transaction, and a message after the
// commit.
func Hooks(
	restock func(context.Context, *sql.Tx, *order.Order) error, notify func(*order.Order),
) refund.Hooks {
	return refund.Hooks{
		Guard: func(_ context.Context, o *order.Order, t order.Transition) error {
			if t.Event == order.EventApprove && o.Refund(t.RefundNo).RequestedBy == t.Actor {
				return errors.New("nobody may approve their own request")
			}
			return nil
		},
		InTx: func(ctx context.Context, o *order.Order, t order.Transition) error {
			if t.Event != order.EventSettle {
				return nil
			}
			// Every Update on database/sql has one; with pgxtx call pgxtx.TxFrom.
			tx, _ := sqlstore.TxFrom(ctx)
			return restock(ctx, tx, o)
		},
		After: func(_ context.Context, o *order.Order, t order.Transition) {
			if t.Event == order.EventSettle {
				notify(o)
			}
		},
	}
}
