// Package gormshop shows a shop that uses GORM. Refunds join GORM's transactions, and hooks write
// the shop's rows with GORM in the transactions of refunds. It is a separate module, so that only
// this example needs GORM.
package gormshop

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Stock is a row of the shop's table of stock.
type Stock struct {
	OrderID string `gorm:"primaryKey"`
	Pieces  int
}

// Complaint is a row of the shop's table of complaints.
type Complaint struct {
	ID      uint
	OrderID string
	Text    string
}

// InTx runs fn in a transaction of GORM that refunds join: what fn does with db and with ctx is
// committed together. As with sqlstore.WithTx, After hooks do not run.
func InTx(ctx context.Context, db *gorm.DB, fn func(ctx context.Context, db *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		pool := db.Statement.ConnPool
		if prepared, ok := pool.(*gorm.PreparedStmtTX); ok { // if gorm.Config.PrepareStmt is set
			pool = prepared.Tx
		}
		tx, ok := pool.(*sql.Tx)
		if !ok {
			return errors.New("GORM does not use database/sql")
		}
		return fn(sqlstore.WithTx(ctx, tx), db)
	})
}

// Session returns GORM on the transaction of the hook that ctx was passed to.
func Session(ctx context.Context, db *gorm.DB) (*gorm.DB, error) {
	tx, ok := sqlstore.TxFrom(ctx)
	if !ok {
		return nil, errors.New("the context carries no transaction")
	}
	session := db.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	session.Statement.ConnPool = tx
	return session, nil
}

// Complain records a complaint and requests a refund in one transaction.
func Complain(
	ctx context.Context, db *gorm.DB, svc *refund.Service, orderID, text string, fen int64,
) (order.Refund, error) {
	var r order.Refund
	err := InTx(ctx, db, func(ctx context.Context, db *gorm.DB) error {
		if err := db.Create(&Complaint{OrderID: orderID, Text: text}).Error; err != nil {
			return err
		}
		var err error
		r, err = svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: orderID}, Amount: fen, Reason: text, Actor: "buyer:1",
		})
		return err
	})
	return r, err
}

// Hooks adds a piece to the stock when a refund is approved, in the same transaction.
func Hooks(db *gorm.DB) refund.Hooks {
	return refund.Hooks{InTx: func(ctx context.Context, o *order.Order, t order.Transition) error {
		if t.Event != order.EventApprove {
			return nil
		}
		session, err := Session(ctx, db)
		if err != nil {
			return err
		}
		return session.Model(&Stock{}).Where("order_id = ?", o.ID).Update("pieces", gorm.Expr("pieces + 1")).Error
	}}
}
