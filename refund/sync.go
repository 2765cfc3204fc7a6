package refund

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderfsm/orderfsm/order"
)

// SyncReport is the result of Sync.
type SyncReport struct {
	// Complete reports that the provider listed all its refunds of the order. It is false if the
	// gateway is no [Lister]: then Sync asked only about the refunds in the book.
	Complete bool
	// Adopted are the numbers of refunds that the provider had and the book did not.
	Adopted []string
	// Discrepancies are those between book and provider before Sync, one per refund.
	Discrepancies []Discrepancy
}

// Sync compares an order with the provider and records the answers. It asks about every refund that
// was ever submitted or that the book says was paid. If the gateway is a [Lister], Sync also adopts
// refunds that were made in the provider's own console, so that their amount is not refunded again.
//
// Errors: [ErrOrderNotFound], [ErrInTx], the store's; the gateway's if the provider could not list
// its refunds. A problem with a single refund is a Discrepancy with Err.
func (s *Service) Sync(ctx context.Context, orderID string) (_ SyncReport, err error) {
	ctx, end := s.trace(ctx, "sync", Ref{OrderID: orderID}, &err)
	defer end()
	if s.joined(ctx) {
		return SyncReport{}, fmt.Errorf("sync order %s: %w", orderID, ErrInTx)
	}
	o, err := s.get(ctx, orderID)
	if err != nil {
		return SyncReport{}, err
	}
	var rep SyncReport
	results, err := s.listAtProvider(ctx, o)
	switch {
	case err == nil:
		rep.Complete = true
	case !errors.Is(err, ErrUnsupported):
		return SyncReport{}, fmt.Errorf("sync order %s: %w", orderID, err)
	}
	for _, res := range results {
		if o.Refund(res.RefundNo) == nil {
			if err := s.adoptMissing(ctx, o, res, &rep); err != nil {
				return rep, err
			}
		}
	}
	for i := range o.Refunds {
		r := &o.Refunds[i]
		wasSent := r.Attempts > 0 || r.Retries > 0
		if wasSent || r.State == order.StateRefunded || isListed(results, r.No) {
			if err := s.compareRefund(ctx, o, r, &rep); err != nil {
				return rep, err
			}
		}
	}
	return rep, nil
}

func isListed(results []Result, number string) bool {
	return slices.ContainsFunc(results, func(res Result) bool { return res.RefundNo == number })
}

func (s *Service) listAtProvider(
	ctx context.Context, o *order.Order,
) (results []Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			results, err = nil, fmt.Errorf("gateway panicked: %v", p)
		}
		s.watchSetup(ctx, o.Gateway, opList, err)
	}()
	to, err := s.routed(o.Gateway)
	if err != nil {
		return nil, &SetupError{Gateway: o.Gateway, Err: err}
	}
	l, ok := to.(Lister)
	if !ok {
		return nil, ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	defer cancel()
	return l.List(ctx, Request{
		Gateway: o.Gateway, OrderID: o.ID, PaymentID: o.PaymentID,
		Total: o.Total, Currency: o.Currency,
	})
}

// compareRefund asks about one refund and adds a discrepancy to the report if the book differed.
func (s *Service) compareRefund(
	ctx context.Context, o *order.Order, r *order.Refund, rep *SyncReport,
) error {
	ans, seen, err := s.observe(ctx, "sync", o, r)
	if err != nil {
		return err
	}
	if ans.err != nil || !agrees(&seen, ans.res.Outcome) {
		rep.Discrepancies = append(rep.Discrepancies, Discrepancy{
			Ref:  Ref{OrderID: o.ID, RefundNo: r.No},
			Book: seen.State, Result: ans.res, Err: ans.err,
		})
	}
	return nil
}

// agrees reports whether the book and the provider's answer mean the same.
func agrees(r *order.Refund, provider Outcome) bool {
	book := r.State
	switch provider {
	case OutcomeAccepted:
		return book == order.StateApproved
	case OutcomeSucceeded:
		return book == order.StateRefunded && !r.ConfirmedAt.IsZero()
	case OutcomeAbnormal:
		return book == order.StateAbnormal
	case OutcomeDeclined, OutcomeClosed, OutcomeNotFound:
		return book != order.StateApproved && book != order.StateRefunded &&
			book != order.StateAbnormal
	case OutcomeUnknown:
	}
	return false
}

// adoptMissing adopts a refund that the book does not have. One that never paid is only reported.
func (s *Service) adoptMissing(
	ctx context.Context, o *order.Order, res Result, rep *SyncReport,
) error {
	adopted, err := s.bookAdopted(ctx, o.ID, res)
	d := Discrepancy{
		Ref:  Ref{OrderID: o.ID, RefundNo: clip(res.RefundNo, order.MaxRefundNo)},
		Book: order.StatePaid, Result: res,
	}
	switch {
	case errors.Is(err, order.ErrConflict):
		d.Err = err // another order has the number, which is reported already
	case errors.Is(err, order.ErrInvalid), errors.Is(err, order.ErrAmount),
		errors.Is(err, ErrMismatch):
		d.Err = err // the book cannot hold its number or amount: a person must decide
		s.reportDiscrepancy(ctx, d)
	case err != nil:
		return err
	case adopted:
		rep.Adopted = append(rep.Adopted, res.RefundNo)
	}
	rep.Discrepancies = append(rep.Discrepancies, d)
	return nil
}

// bookAdopted adds a refund to the book. It reports false if the refund is there, or never paid.
func (s *Service) bookAdopted(
	ctx context.Context, orderID string, res Result,
) (adopted bool, err error) {
	if res.OrderID != "" && res.OrderID != orderID {
		return false, &MismatchError{Field: "order_id", Want: orderID, Got: res.OrderID}
	}
	ref := Ref{OrderID: orderID, RefundNo: res.RefundNo}
	err = s.update(ctx, "sync", ref, func(ctx context.Context, u *update) error {
		adopted = false
		neverPaid := res.Outcome == OutcomeUnknown || isRefusal(res.Outcome)
		if neverPaid || u.order.Refund(res.RefundNo) != nil {
			return errUnchanged
		}
		adopted = true
		r, err := u.fire(ctx, order.Trigger{
			Event: order.EventAdopt, RefundNo: res.RefundNo, Amount: res.Amount,
			Reason: "made at the provider", Actor: order.ActorProvider, At: s.now(),
		})
		if err != nil {
			return err
		}
		u.setDiscrepancy(r.No, order.StatePaid, res,
			errors.New("the provider has a refund that the book did not"))
		q := &question{req: newRequest(u.order, r), seen: *r}
		_, err = u.recordAnswer(ctx, "sync", q, answer{res: clipWords(res), queried: true})
		return err
	})
	return adopted, err
}
