//go:build wireinject

package main

import (
	"log/slog"

	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/wiring"
	"github.com/orderfsm/orderfsm/di"
)

// newApp puts the shop together: orderfsm's sets by role, and the shop's own pieces. wire_gen.go is
// what it comes to; it is written by
//
//	go run github.com/google/wire/cmd/wire@v0.7.0 gen ./examples/shop
//
// A shop whose own tables are the Store leaves wiring.SQLSet out and binds its own:
//
//	wire.Bind(new(refund.Store), new(*ownStore)), newOwnStore
//
// and one that adds a state leaves di.MachineSet out and gives a *order.Machine.
func newApp(cfg config, db *database, log *slog.Logger) (*app, error) {
	panic(wire.Build(
		di.CoreSet, di.MachineSet, wiring.SQLSet, di.WeChatSet, di.PollerSet,
		wire.FieldsOf(new(*database), "DB", "Dialect"), newTableOptions,
		wire.FieldsOf(new(config), "Account"),
		newPollerOptions,
		newOutbox, newHooks, newRefundOptions,
		newShop, newWeb,
		wire.Struct(new(app), "*"),
	))
}
