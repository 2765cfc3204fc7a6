package di

import (
	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// CoreSet provides *refund.Service. It needs *order.Machine, refund.Store, refund.RefundGateway and
// refund.Options.
var CoreSet = wire.NewSet(refund.NewService)

// MachineSet provides *order.Machine with the core table. A host that adds transitions does not use
// it and provides its machine.
var MachineSet = wire.NewSet(NewMachine)

// MemorySet provides refund.Store (and *memstore.Store), for tests and demos.
var MemorySet = wire.NewSet(memstore.New, wire.Bind(new(refund.Store), new(*memstore.Store)))

// WeChatSet provides refund.RefundGateway (and *wechatv2.Gateway). It needs wechatv2.Config.
var WeChatSet = wire.NewSet(
	wechatv2.New, wire.Bind(new(refund.RefundGateway), new(*wechatv2.Gateway)),
)

// PollerSet provides *poller.Poller. It needs *refund.Service and poller.Options.
var PollerSet = wire.NewSet(poller.New)

// App is a Service and the Poller that processes its approved refunds.
type App struct {
	Service *refund.Service
	Poller  *poller.Poller
}

// NewMachine returns a machine with the core table. It calls [order.NewMachine] without options, so
// that wire needs no order.Options.
func NewMachine() (*order.Machine, error) { return order.NewMachine(order.Options{}) }
