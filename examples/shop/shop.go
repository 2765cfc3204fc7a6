package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// gateway is the name that orders are registered with.
const gateway = wechatv2.GatewayName

// The shop's own refusals; errors.go has their HTTP statuses.
var (
	errNoOrder    = errors.New("no such order")
	errOrderTaken = errors.New("another order has that number")
	errNoStock    = errors.New("out of stock")
	errNoItem     = errors.New("no such item")
	errItemTaken  = errors.New("another refund has that item")
)

// shop is the part that existed before refunds: orders, their items, and the stock.
type shop struct {
	db    *database
	store *sqlstore.Store
	svc   *refund.Service
	paid  func(orderID string, total int64) error
}

func newShop(cfg config, db *database, store *sqlstore.Store, svc *refund.Service) *shop {
	return &shop{db, store, svc, cfg.Paid}
}

// inTx runs fn in a transaction. Calls of the Service with fn's ctx join the transaction, and After
// hooks run after the commit. If another transaction conflicts, fn runs again, so fn must have no
// effects outside the transaction.
func (s *shop) inTx(ctx context.Context, fn func(ctx context.Context) error) error {
	err := s.store.InTx(ctx, fn)
	// Another transaction inserted the row first; now fn finds it.
	if s.db.Dialect.IsDuplicate(err) {
		err = s.store.InTx(ctx, fn)
	}
	return err
}

// item is a line of an order. Price is the price of one piece, in fen.
type item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Price    int64  `json:"price"`
	RefundNo string `json:"refund_no,omitempty"`
}

// bySKU compares items in Go, because the databases sort text differently.
func bySKU(a, b item) int { return cmp.Compare(a.SKU, b.SKU) }

func (it item) cost() int64 { return it.Price * it.Quantity }

// place records an order that the buyer has paid. A real shop does this when the provider confirms
// the payment.
//
// One transaction changes the stock, records the order and registers it for refunds. If the process
// dies, all of them are stored or none. A repeated call changes nothing.
func (s *shop) place(ctx context.Context, buyer, orderID string, want []item) error {
	slices.SortFunc(want, bySKU) // all transactions lock in the same order
	var total int64
	err := s.inTx(ctx, func(ctx context.Context) error {
		var known bool
		var err error
		if total, known, err = s.known(ctx, buyer, orderID, want); err != nil || known {
			return err
		}
		if total, err = s.price(ctx, want); err != nil {
			return err
		}
		if _, err := s.db.exec(ctx, `INSERT INTO orders (id, buyer) VALUES (?, ?)`, orderID, buyer); err != nil {
			return err
		}
		if _, err := s.svc.Register(ctx, refund.RegisterParams{
			OrderID: orderID, Gateway: gateway, Currency: "CNY", Total: total, PaidAt: time.Now(),
		}); err != nil {
			return err
		}
		return s.take(ctx, orderID, want) // last, because all orders contend for these rows
	})
	if err == nil && s.paid != nil {
		// To the simulator; simulator.recall repeats this after a crash.
		err = s.paid(orderID, total)
	}
	return err
}

// known returns the total of an order, if it exists already.
func (s *shop) known(
	ctx context.Context, buyer, orderID string, want []item,
) (total int64, known bool, err error) {
	owner, err := s.owner(ctx, orderID)
	if errors.Is(err, errNoOrder) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	have, err := s.items(ctx, orderID, false)
	if err != nil {
		return 0, false, err
	}
	slices.SortFunc(have, bySKU)
	same := func(a, b item) bool { return a.SKU == b.SKU && a.Quantity == b.Quantity }
	if owner != buyer || !slices.EqualFunc(have, want, same) {
		return 0, false, fmt.Errorf("order %s: %w", orderID, errOrderTaken)
	}
	for _, it := range have {
		total += it.cost()
	}
	return total, true, nil
}

// price sets the prices of the items and returns their total.
func (s *shop) price(ctx context.Context, want []item) (total int64, err error) {
	for i := range want {
		prices, err := each(ctx, s.db, func(n *int64) []any { return []any{n} }, `SELECT price FROM inventory WHERE sku = ?`, want[i].SKU)
		if err != nil {
			return 0, err
		}
		if len(prices) == 0 {
			return 0, fmt.Errorf("%s: %w", want[i].SKU, errNoItem)
		}
		want[i].Price = prices[0]
		total += want[i].cost()
	}
	return total, nil
}

// take moves the items from stock to the order.
func (s *shop) take(ctx context.Context, orderID string, items []item) error {
	for _, it := range items {
		taken, err := s.db.exec(ctx, `UPDATE inventory SET stock = stock - ? WHERE sku = ? AND stock >= ?`, it.Quantity, it.SKU, it.Quantity)
		if err != nil {
			return err
		}
		if taken == 0 {
			return fmt.Errorf("%s: %w", it.SKU, errNoStock)
		}
		if _, err := s.db.exec(ctx, `INSERT INTO order_items (order_id, sku, quantity, price) VALUES (?, ?, ?, ?)`,
			orderID, it.SKU, it.Quantity, it.Price); err != nil {
			return err
		}
	}
	return nil
}

// requestRefund requests a refund for some items of an order. The client's key makes it idempotent,
// because it becomes part of the refund number. orderfsm and WeChat Pay treat one number as one
// refund.
func (s *shop) requestRefund(
	ctx context.Context, buyer, orderID, key string, skus []string, reason string,
) (order.Refund, error) {
	lines, err := s.items(ctx, orderID, false) // the prices of an order never change
	if err != nil {
		return order.Refund{}, err
	}
	var amount int64
	for _, sku := range skus {
		i := slices.IndexFunc(lines, func(it item) bool { return it.SKU == sku })
		if i < 0 {
			return order.Refund{}, fmt.Errorf("%s: %w", sku, errNoItem)
		}
		amount += lines[i].cost()
	}
	refundNo := orderID + "_" + key
	var r order.Refund
	// One transaction stores the refund and claims its items. Request comes first because it locks
	// the order, so that claim reads the current items.
	err = s.inTx(ctx, func(ctx context.Context) error {
		r, err = s.svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: orderID, RefundNo: refundNo}, Amount: amount, Reason: reason,
			Actor: order.Actor("buyer:" + buyer),
		})
		if err != nil || r.State.Terminal() && r.State != order.StateRefunded {
			// a repeated request for a refund that has ended without paying, whose items are free.
			return err
		}
		return s.claim(ctx, orderID, refundNo, skus)
	})
	return r, err
}

// claim makes items part of a refund. If the refund has items already, they must be the same.
func (s *shop) claim(ctx context.Context, orderID, refundNo string, skus []string) error {
	lines, err := s.items(ctx, orderID, true)
	if err != nil {
		return err
	}
	again := slices.ContainsFunc(lines, func(it item) bool { return it.RefundNo == refundNo })
	for _, it := range lines {
		wanted := slices.Contains(skus, it.SKU)
		switch {
		case wanted == (it.RefundNo == refundNo): // as it should be
		case wanted && it.RefundNo == "" && !again:
			if _, err := s.db.exec(ctx, `UPDATE order_items SET refund_no = ? WHERE order_id = ? AND sku = ?`,
				refundNo, orderID, it.SKU); err != nil {
				return err
			}
		case again:
			return fmt.Errorf("refund %s is for other items: %w", refundNo, order.ErrConflict)
		default:
			return fmt.Errorf("%s: %w", it.SKU, errItemTaken)
		}
	}
	return nil
}

// owner returns the buyer of an order.
func (s *shop) owner(ctx context.Context, orderID string) (string, error) {
	buyers, err := each(ctx, s.db, func(b *string) []any { return []any{b} }, `SELECT buyer FROM orders WHERE id = ?`, orderID)
	if err == nil && len(buyers) == 0 {
		err = fmt.Errorf("order %s: %w", orderID, errNoOrder)
	}
	if err != nil {
		return "", err
	}
	return buyers[0], nil
}

// items returns the items of an order. If locked, they cannot change until the transaction ends.
func (s *shop) items(ctx context.Context, orderID string, locked bool) ([]item, error) {
	query := `SELECT sku, quantity, price, refund_no FROM order_items WHERE order_id = ? ORDER BY sku`
	if locked {
		query = s.db.locking(query)
	}
	scan := func(it *item) []any { return []any{&it.SKU, &it.Quantity, &it.Price, &it.RefundNo} }
	return each(ctx, s.db, scan, query, orderID)
}

// messages returns the messages about an order that the buyer got or will get.
func (s *shop) messages(ctx context.Context, orderID string) ([]string, error) {
	return each(ctx, s.db, func(m *string) []any { return []any{m} }, `SELECT text FROM messages WHERE order_id = ? ORDER BY seq`, orderID)
}
