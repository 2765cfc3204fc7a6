package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
)

// simulator is a WeChat Pay inside the program, so that the shop can be tried without an account.
// It loses its ledger when the process ends, and recall fills it from the shop's database. It
// therefore proves nothing about payments across a restart. The README shows how to run
// wechatpay-sim as a separate process for that.
type simulator struct {
	*wechattest.Server

	mu   sync.Mutex
	paid map[string]bool
}

// simulate starts a simulator and points the shop at it.
func simulate(cfg *config, notifyURL string) (*simulator, error) {
	srv, err := wechattest.NewServer(wechattest.Options{})
	if err != nil {
		return nil, err
	}
	s := &simulator{Server: srv, paid: map[string]bool{}}
	cfg.Paid = s.pay
	cfg.Account = srv.Config()
	cfg.Account.SignType, cfg.Account.NotifyURL = wechatv2.SignHMACSHA256, notifyURL
	return s, nil
}

// pay pays an order once, as the buyer.
func (s *simulator) pay(orderID string, total int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paid[orderID] {
		return nil
	}
	s.paid[orderID] = true
	return s.AddOrder(wechattest.Order{OutTradeNo: orderID, TotalFee: total})
}

// recall adds the orders and the settled refunds of the shop's database to the simulator.
func (s *simulator) recall(ctx context.Context, a *app) error {
	ids, err := each(ctx, a.DB, func(id *string) []any { return []any{id} }, `SELECT id FROM orders`)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, err := a.Service.Order(ctx, id)
		if err != nil {
			return err
		}
		if err := s.pay(id, o.Total); err != nil {
			return err
		}
		for _, r := range o.Refunds {
			if r.State != order.StateRefunded {
				continue
			}
			if err := s.RefundInConsole(id, r.No, r.Amount); err != nil {
				return fmt.Errorf("recall: %w", err)
			}
			if err := s.Settle(r.No, wechattest.StatusSuccess); err != nil {
				return fmt.Errorf("recall: %w", err)
			}
		}
	}
	return nil
}

// notify starts to send notifications. The function that it returns stops that.
func (s *simulator) notify() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			s.Deliver(ctx)
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}
