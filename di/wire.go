//go:build wireinject

package di

import (
	"github.com/google/wire"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/refund"
)

// NewInMemoryWeChat returns a Service on a memory store and WeChat Pay v2, for tests and demos. Its
// data is lost when the process ends.
func NewInMemoryWeChat(cfg wechatv2.Config, opt refund.Options) (*refund.Service, error) {
	panic(wire.Build(CoreSet, MachineSet, MemorySet, WeChatSet))
}

// NewService returns a Service on the host's own store and gateway, with the core table.
func NewService(
	store refund.Store, gateway refund.RefundGateway, opt refund.Options,
) (*refund.Service, error) {
	panic(wire.Build(CoreSet, MachineSet))
}

// NewApp returns a Service on the host's own store and gateway, with the core table, and a Poller
// for it. The host runs the Poller.
func NewApp(
	store refund.Store, gateway refund.RefundGateway, opt refund.Options, polling poller.Options,
) (*App, error) {
	panic(wire.Build(CoreSet, MachineSet, PollerSet, wire.Struct(new(App), "*")))
}
