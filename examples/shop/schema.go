package main

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
)

// tables returns the statements that create the shop's own tables. Only order_items.refund_no and
// messages were added for refunds. Amounts are in fen. orderfsm's tables come from
// sqlstore.Store.Migrate.
func tables() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS inventory (sku VARCHAR(32) PRIMARY KEY, price BIGINT NOT NULL, stock BIGINT NOT NULL CHECK (stock >= 0))`,

		`CREATE TABLE IF NOT EXISTS orders (id VARCHAR(32) PRIMARY KEY, buyer VARCHAR(64) NOT NULL)`,

		// refund_no is the refund that the item is part of. It is empty if there is none, or if the
		// refund will not pay.
		`CREATE TABLE IF NOT EXISTS order_items (order_id VARCHAR(32) NOT NULL REFERENCES orders (id), sku VARCHAR(32) NOT NULL,
			quantity BIGINT NOT NULL, price BIGINT NOT NULL, refund_no VARCHAR(64) NOT NULL DEFAULT '', PRIMARY KEY (order_id, sku))`,

		// messages is the outbox. seq is the number of the transition that the message reports, so
		// the key allows one message for each transition. sent_at is 0 until the message is sent. A
		// real shop has an index on sent_at.
		`CREATE TABLE IF NOT EXISTS messages (order_id VARCHAR(32) NOT NULL, seq BIGINT NOT NULL, refund_no VARCHAR(64) NOT NULL,
			text TEXT NOT NULL, sent_at BIGINT NOT NULL, PRIMARY KEY (order_id, seq))`,
	}
}

// createTables creates the tables that are missing and adds the goods that are not in inventory.
func (d *database) createTables(ctx context.Context) error {
	for _, table := range tables() {
		// Its default may not store every character, and treats a and A as equal.
		if d.Dialect == sqlstore.MySQL {
			table += " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
		}
		if _, err := d.exec(ctx, table); err != nil {
			return err
		}
	}
	for sku, price := range map[string]int64{"tea": 4990, "cup": 1500, "pot": 12800} {
		known, err := each(ctx, d, func(n *int64) []any { return []any{n} }, `SELECT price FROM inventory WHERE sku = ?`, sku)
		if err != nil {
			return err
		}
		if len(known) == 0 {
			if _, err := d.exec(ctx, `INSERT INTO inventory (sku, price, stock) VALUES (?, ?, ?)`, sku, price, 100); err != nil {
				return fmt.Errorf("fill the inventory: %w", err)
			}
		}
	}
	return nil
}
