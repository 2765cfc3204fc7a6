//go:build wireinject

package main

import (
	"log/slog"

	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/sqlstore/wiring"
	"github.com/orderfsm/orderfsm/di"
)

// newApp connects orderfsm's sets and the shop's own parts. wire generates wire_gen.go from it:
//
//	go run github.com/google/wire/cmd/wire@v0.7.0 gen ./examples/shop
//
// A shop that implements refund.Store on its own tables omits wiring.SQLSet and binds its store:
//
//	wire.Bind(new(refund.Store), new(*ownStore)), newOwnStore
//
// A shop that adds a state omits di.MachineSet and provides a *order.Machine.
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
