package customhooks

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// New returns the Service with the shop's rules. It adds the shop's hooks to those of opt. After
// the commit of a transition that the buyer should know about, notify is called with a message. A
// crash may lose the message. Write what must not be lost in the InTx hook, as audit does.
func New(
	db *sql.DB, gateway refund.RefundGateway, r Rules, opt refund.Options,
	notify func(orderID, text string),
) (*refund.Service, error) {
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	machine, err := NewMachine(r, store)
	if err != nil {
		return nil, err
	}
	after := func(_ context.Context, o *order.Order, t order.Transition) {
		if text := news(o.Refund(t.RefundNo), t); text != "" {
			notify(o.ID, text)
		}
	}
	opt.Hooks = append(opt.Hooks, refund.Hooks{InTx: audit, After: after})
	return refund.NewService(machine, store, gateway, opt)
}

// news returns the message for the buyer. It is empty if only the shop needs to know.
func news(r *order.Refund, t order.Transition) string {
	switch t.Event {
	case EventAskReturn:
		return "please send the goods back: " + t.Note
	case EventGoodsArrived:
		return "your goods have arrived"
	case order.EventReject:
		return "we are sorry: " + t.Note
	case order.EventSettle:
		return fmt.Sprintf("%d.%02d is on your account", r.Amount/100, r.Amount%100)
	default:
		return ""
	}
}
