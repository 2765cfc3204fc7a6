// Package di wires the parts with google/wire. It has provider sets for a host's own injectors, and
// ready injectors.
//
// # Use
//
// A host that has a store and a gateway calls [NewService], or [NewApp] to get the worker too. A
// host with other parts writes an injector from the sets:
//
//	func initService(db *sql.DB, gateway refund.RefundGateway, opt refund.Options) (*refund.Service, error) {
//		panic(wire.Build(di.CoreSet, di.MachineSet, shop.NewStore, wire.Bind(new(refund.Store), new(*shop.Store))))
//	}
//
// # The sets
//
// The inputs and outputs of a set are API. [CoreSet] does not provide the machine, the store and
// the gateway. The other sets or the host provide them, so a host's part never conflicts with a
// part of this module. No set provides the database, a logger or a clock.
//
// If an adapter is a separate module, its set is in that module, so that this package requires no
// database. SQLSet and the injector NewSQLWeChat are in adapters/sqlstore/wiring.
//
// # Design
//
// google/wire is archived, so it must be easy to remove. Only packages of provider sets import it.
// Every provider is an ordinary constructor. The generated code is committed. The example of each
// injector compares it with the same function written by hand.
package di
