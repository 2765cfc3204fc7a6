package main

import (
	"log/slog"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// newRefundOptions puts the shop's hooks into the workflow. The waker has an approved refund sent at once.
func newRefundOptions(cfg config, h *hooks, waker *poller.Waker, log *slog.Logger) refund.Options {
	opt := cfg.Refunds
	opt.Hooks = []refund.Hooks{{InTx: h.inTx, After: h.after}}
	opt.Scheduler, opt.Logger = waker, log
	return opt
}

func newPollerOptions(waker *poller.Waker, log *slog.Logger) poller.Options {
	return poller.Options{Waker: waker, Logger: log}
}

// newTableOptions leaves orderfsm's tables the names that they have: orderfsm_orders and so on.
func newTableOptions() sqlstore.Options { return sqlstore.Options{} }
