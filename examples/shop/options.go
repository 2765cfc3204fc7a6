package main

import (
	"log/slog"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// newRefundOptions adds the shop's hooks and logger to the options.
func newRefundOptions(cfg config, h *hooks, log *slog.Logger) refund.Options {
	opt := cfg.Refunds
	opt.Hooks = []refund.Hooks{{InTx: h.inTx, After: h.after}}
	opt.Logger = log
	return opt
}

func newPollerOptions(log *slog.Logger) poller.Options {
	return poller.Options{Logger: log}
}

// newTableOptions keeps the default names of orderfsm's tables: orderfsm_orders and so on.
func newTableOptions() sqlstore.Options { return sqlstore.Options{} }
