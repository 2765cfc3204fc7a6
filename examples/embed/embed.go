// Package embed holds the code blocks of the README and of docs/operating.md, compiled and tested.
package embed

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// New wires refunds into a shop: its database, WeChat Pay, and a worker that carries refunds to
// their end.
func New(
	db *sql.DB, dialect sqlstore.Dialect, cfg wechatv2.Config, log *slog.Logger,
) (*refund.Service, *poller.Poller, error) {
	store, err := sqlstore.New(db, dialect, sqlstore.Options{})
	if err != nil {
		return nil, nil, err
	}
	gateway, err := wechatv2.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	machine, err := order.NewMachine(order.Options{})
	if err != nil {
		return nil, nil, err
	}
	svc, err := refund.NewService(machine, store, gateway, refund.Options{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	worker, err := poller.New(svc, poller.Options{Logger: log})
	return svc, worker, err
}

// Account returns the shop's account at WeChat Pay.
func Account(apiKey string) wechatv2.Config {
	return wechatv2.Config{
		AppID: "wx0000000000000001", MchID: "1000000001", APIKey: apiKey,
		SignType:  wechatv2.SignHMACSHA256,
		P12File:   "apiclient_cert.p12",
		NotifyURL: "https://shop.example/wechat/refunds",
	}
}

// Run adds the endpoint for WeChat Pay's notifications to mux and runs the worker until ctx ends.
func Run(
	ctx context.Context, mux *http.ServeMux, svc *refund.Service, worker *poller.Poller,
) error {
	notify, err := svc.NotificationHandler(wechatv2.GatewayName)
	if err != nil {
		return err
	}
	mux.Handle("POST /wechat/refunds", notify)
	return worker.Run(ctx)
}
