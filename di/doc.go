// Package di puts the parts together with google/wire: provider sets by role, from which a host's
// own injector picks, and ready injectors.
//
// # Use
//
// A host that has what an injector asks for calls it: [NewService], or [NewApp] with the worker. A
// host that has other parts writes an injector from the sets:
//
//	func initService(db *sql.DB, gateway refund.RefundGateway, opt refund.Options) (*refund.Service, error) {
//		panic(wire.Build(di.CoreSet, di.MachineSet, shop.NewStore, wire.Bind(new(refund.Store), new(*shop.Store))))
//	}
//
// # The sets
//
// The inputs and outputs of a set are API. [CoreSet] leaves the machine, the store and the gateway
// to the other sets or to the host, so that a host's own never collides with ours. No set provides
// the database, a logger or a clock.
//
// A set whose adapter is a separate module is in that module, so that this package brings no
// database: SQLSet is in adapters/sqlstore/wiring, with the injector NewSQLWeChat.
//
// # Design
//
// google/wire is archived, so it must be removable in a day: only packages of provider sets import
// it, every provider is an ordinary constructor, what it generates is committed, and the example of
// each injector has a twin written by hand.
package di
