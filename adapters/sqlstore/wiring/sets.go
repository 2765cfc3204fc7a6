// Package wiring has the google/wire provider set of package sqlstore, and an injector. Hosts that
// call constructors by hand do not import it, and so do not get google/wire.
//
// Package [github.com/orderfsm/orderfsm/di] has the other sets and explains their use.
package wiring

import (
	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// SQLSet provides refund.Store (and *sqlstore.Store): the store in the host's own database. It
// needs *sql.DB, sqlstore.Dialect and sqlstore.Options. It does not migrate: the host calls
// [sqlstore.Store.Migrate].
var SQLSet = wire.NewSet(sqlstore.New, wire.Bind(new(refund.Store), new(*sqlstore.Store)))
