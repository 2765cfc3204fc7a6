// Package embed is the README's embedding snippet, compiled and tested.
package embed

import (
	"context"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// New wires the refund service into a shop: the shop's store, WeChat Pay, and the core machine.
func New(store refund.Store, cfg wechatv2.Config, log *slog.Logger) (*refund.Service, error) {
	machine, err := order.NewMachine()
	if err != nil {
		return nil, err
	}
	gateway, err := wechatv2.New(cfg)
	if err != nil {
		return nil, err
	}
	return refund.NewService(machine, store, gateway, refund.Options{Logger: log})
}

// Work asks about every approved refund until its outcome is known. Any number of processes may run it.
func Work(ctx context.Context, svc *refund.Service, tick <-chan time.Time) error {
	for {
		refs, err := svc.Due(ctx, 100)
		for _, ref := range refs {
			if _, e := svc.Process(ctx, ref); e != nil {
				err = e // the refund stays due
			}
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick:
		}
	}
}
