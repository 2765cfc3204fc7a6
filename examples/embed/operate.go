package embed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Alerts calls page if a refund needs a person.
func Alerts(page func(text string)) refund.Hooks {
	return refund.Hooks{
		After: func(_ context.Context, o *order.Order, t order.Transition) {
			if t.To == order.StateAbnormal || t.To == order.StateFailed {
				page(fmt.Sprintf("refund %s of order %s is %s: %s", t.RefundNo, o.ID, t.To, t.Note))
			}
		},
		Discrepancy: func(_ context.Context, d refund.Discrepancy) { page(d.Err.Error()) },
		Stuck: func(_ context.Context, s refund.Stuck) {
			page(fmt.Sprintf("refund %s of order %s has had no outcome since %s: %v", s.RefundNo, s.OrderID, s.ApprovedAt, s.Err))
		},
		Setup: func(_ context.Context, err *refund.SetupError) { page(err.Error()) },
		UnknownNotification: func(_ context.Context, n refund.Notification) {
			page(fmt.Sprintf("WeChat Pay reports a refund of order %q that is not in the book", n.Result.OrderID))
		},
	}
}

// RetryCovered retries the refunds that failed for lack of funds. Call it after a top-up.
func RetryCovered(ctx context.Context, svc *refund.Service, actor order.Actor) error {
	var failed error
	f := refund.Filter{States: []order.State{order.StateFailed}}
	for {
		page, err := svc.ListRefunds(ctx, f)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, e := range page.Entries {
			if e.Refund.Code != wechatv2.CodeNotEnough {
				continue
			}
			_, err := svc.Retry(ctx, refund.RetryParams{
				Ref: refund.Ref{OrderID: e.OrderID, RefundNo: e.Refund.No}, Actor: actor,
				Note: "topped up",
			})
			failed = errors.Join(failed, err)
		}
		if f.After = page.Next; f.After == nil {
			return failed
		}
	}
}

// Compare compares the refunds since a time with WeChat Pay. If cursor is nil, it starts at the
// beginning. After an error, call it again with the cursor that it returned.
func Compare(
	ctx context.Context, svc *refund.Service, since time.Time, cursor *refund.Position,
	report func(string),
) (*refund.Position, error) {
	for r, err := range svc.Reconcile(ctx, refund.Filter{From: since, After: cursor}) {
		if err != nil {
			return cursor, err
		}
		if r.Err != nil {
			report(r.Err.Error())
		}
		for _, d := range r.Discrepancies {
			report(fmt.Sprintf("order %s refund %s: book %s, provider %q, %v", d.OrderID, d.RefundNo, d.Book, d.Result.Outcome, d.Err))
		}
		cursor = r.Cursor
	}
	return nil, nil
}

// OldRefund is a refund of the old system that may still have to be paid.
type OldRefund struct {
	RefundNo string // the out_refund_no that the old system used or would use
	Amount   int64  // in fen
	Reason   string
	Buyer    order.Actor
	Approved bool // the merchant agreed, or it was sent
}

// MoveIn takes over one order from an old system that no longer sends refunds. returned is the sum
// in fen that the old table has as returned, without the open refunds. MoveIn may be repeated.
func MoveIn(
	ctx context.Context, svc *refund.Service, o refund.RegisterParams, returned int64,
	open []OldRefund,
) error {
	if _, err := svc.Register(ctx, o); err != nil {
		return err
	}
	rep, err := svc.Sync(ctx, o.OrderID) // adopts the refunds that WeChat Pay has of the order
	if err != nil {
		return err
	}
	if !rep.Complete {
		return errors.New("the gateway cannot list: look up every refund before you take the order over")
	}
	listed := map[string]bool{} // also closed refunds: a person decides on these
	for _, d := range rep.Discrepancies {
		if d.Err != nil {
			return d.Err
		}
		listed[d.RefundNo] = true
	}
	book, err := svc.Order(ctx, o.OrderID)
	if err != nil {
		return err
	}
	// What WeChat Pay has returned, or will, under numbers that the old system gave up or never
	// approved.
	unknown := -returned
	for _, r := range book.Refunds {
		isOpen := slices.ContainsFunc(open, func(old OldRefund) bool {
			return old.RefundNo == r.No && old.Approved
		})
		switch r.State {
		case order.StateApproved, order.StateAbnormal, order.StateRefunded:
			if !isOpen {
				unknown += r.Amount
			}
		}
	}
	var held error
	for _, old := range open {
		r := book.Refund(old.RefundNo)
		switch {
		case listed[old.RefundNo] && r == nil:
			held = errors.Join(held, fmt.Errorf("a person must decide on refund %s of order %s: WeChat Pay has closed it",
				old.RefundNo, o.OrderID))
			continue
		case listed[old.RefundNo], r != nil && r.State != order.StateRefundRequested:
			continue
		}
		if _, err := svc.Request(ctx, refund.RequestParams{
			Ref: refund.Ref{OrderID: o.OrderID, RefundNo: old.RefundNo}, Amount: old.Amount,
			Reason: old.Reason, Actor: old.Buyer,
		}); err != nil {
			return err
		}
		if !old.Approved {
			continue
		}
		if unknown > 0 { // perhaps for this refund: by a try that was booked as failed
			held = errors.Join(held, fmt.Errorf("a person must approve refund %s of order %s: WeChat Pay has returned %d that the old table does not have",
				old.RefundNo, o.OrderID, unknown))
			continue
		}
		if _, err := svc.Approve(ctx, refund.ApproveParams{
			Ref: refund.Ref{OrderID: o.OrderID, RefundNo: old.RefundNo}, Amount: old.Amount,
			Actor: "operator:move", Note: "approved in the old system",
		}); err != nil {
			return err
		}
	}
	return held
}
