package main

import (
	"log/slog"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/refund"
)

// newRefundOptions puts the shop's hooks into the workflow.
func newRefundOptions(cfg config, h *hooks, log *slog.Logger) refund.Options {
	opt := cfg.Refunds
	opt.Hooks = []refund.Hooks{{InTx: h.inTx, After: h.after}}
	opt.Logger = log
	return opt
}

func newPollerOptions(log *slog.Logger) poller.Options {
	return poller.Options{Logger: log}
}

// newTableOptions leaves orderfsm's tables the names that they have: orderfsm_orders and so on.
func newTableOptions() sqlstore.Options { return sqlstore.Options{} }
