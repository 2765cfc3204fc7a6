//go:build wireinject

package wiring

import (
	"database/sql"

	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/di"
	"github.com/orderfsm/orderfsm/refund"
)

// NewSQLWeChat returns a Service on the host's own database and WeChat Pay v2. The tables must
// exist: see [sqlstore.Store.Migrate].
func NewSQLWeChat(
	db *sql.DB, dialect sqlstore.Dialect, tables sqlstore.Options,
	cfg wechatv2.Config, opt refund.Options,
) (*refund.Service, error) {
	panic(wire.Build(di.CoreSet, di.MachineSet, SQLSet, di.WeChatSet))
}
