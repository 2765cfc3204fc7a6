// Command pgx is a host with PostgreSQL, by pgx without database/sql.
package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"
)

var (
	_ = uuid.New
	_ = decimal.New
)

// open does not connect.
func open() (*pgxpool.Pool, error) {
	return pgxpool.New(context.Background(), "postgres://shop@127.0.0.1:1/shop")
}
