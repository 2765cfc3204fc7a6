// Package gormshop shows a shop that keeps its own rows with GORM: refunds join its transactions,
// and hooks write its rows in theirs. It is a separate module, so that only this example needs
// GORM.
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

// Stock is a row of the shop's own.
type Stock struct {
	OrderID string `gorm:"primaryKey"`
	Pieces  int
}

// Complaint is another one.
type Complaint struct {
	ID      uint
	OrderID string
	Text    string
}

// InTx is GORM's Transaction with refunds in it: what fn does with db and with ctx is committed
// together. Like sqlstore.WithTx it does not run After hooks.
func InTx(ctx context.Context, db *gorm.DB, fn func(ctx context.Context, db *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		pool := db.Statement.ConnPool
		if prepared, ok := pool.(*gorm.PreparedStmtTX); ok { // as gorm.Config.PrepareStmt has it
			pool = prepared.Tx
		}
		tx, ok := pool.(*sql.Tx)
		if !ok {
			return errors.New("gorm works without database/sql here")
		}
		return fn(sqlstore.WithTx(ctx, tx), db)
	})
}

// Session is GORM on the transaction that a hook runs in.
func Session(ctx context.Context, db *gorm.DB) (*gorm.DB, error) {
	tx, ok := sqlstore.TxFrom(ctx)
	if !ok {
		return nil, errors.New("no transaction in this context")
	}
	session := db.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	session.Statement.ConnPool = tx
	return session, nil
}

// Complain records a complaint and asks for the money back, together or not at all.
func Complain(ctx context.Context, db *gorm.DB, svc *refund.Service, orderID, text string, fen int64) (order.Refund, error) {
	var r order.Refund
	err := InTx(ctx, db, func(ctx context.Context, db *gorm.DB) error {
		if err := db.Create(&Complaint{OrderID: orderID, Text: text}).Error; err != nil {
			return err
		}
		var err error
		r, err = svc.Request(ctx, refund.RequestParams{Ref: refund.Ref{OrderID: orderID}, Amount: fen, Reason: text, Actor: "buyer:1"})
		return err
	})
	return r, err
}

// Hooks returns the stock when a refund is approved, in the same transaction.
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
