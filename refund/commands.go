package refund

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RequestParams describe what is asked for. ([Request] is what the provider is sent.)
type RequestParams struct {
	OrderID string
	// RefundNo makes the call idempotent: a client that sends its own number can repeat it safely. If
	// empty, a number is made, and every call is a new refund.
	RefundNo string
	// Amount in minor units of the order's currency.
	Amount int64
	// Reason is shown to the merchant and may be shown to the buyer by the provider.
	Reason string
	// Actor is who does it; it stands in the history.
	Actor order.Actor
}

// Request asks for a refund and reserves its amount, in one atomic step. The same number with the same
// amount and reason returns the refund as it is now; with other terms it is [ErrConflict], and so is a
// number that another order has.
//
// Errors: [ErrOrderNotFound], [ErrAmount], [ErrInvalid] (also what the gateway could never take, see
// [Checker]), [ErrLimit], [ErrUnknownGateway], [ErrConflict], [ErrVetoed].
func (s *Service) Request(ctx context.Context, p RequestParams) (_ order.Refund, err error) {
	made := p.RefundNo == ""
	if made {
		p.RefundNo = s.opt.NewRefundNo()
	}
	ctx, end := s.trace(ctx, Command{"request", p.OrderID, p.RefundNo}, &err)
	defer end()
	if err := isPerson("request", Ref{p.OrderID, p.RefundNo}, p.Actor); err != nil {
		return order.Refund{}, err
	}
	var out order.Refund
	err = s.update(ctx, "request", Ref{p.OrderID, p.RefundNo}, func(ctx context.Context, u *update) error {
		if r := u.order.Refund(p.RefundNo); r != nil {
			if made { // two refunds are not one because their numbers are
				return fmt.Errorf("request refund of order %s: new_refund_no made %s again: %w", p.OrderID, p.RefundNo, ErrConflict)
			}
			if r.Amount != p.Amount || r.Reason != p.Reason {
				return fmt.Errorf("request refund %s of order %s: the number is taken with another amount or reason: %w",
					p.RefundNo, p.OrderID, ErrConflict)
			}
			out = *r
			return errUnchanged
		}
		if err := s.checkRequests(u.order, p.RefundNo); err != nil {
			return fmt.Errorf("request %w", err)
		}
		err := u.fire(ctx, order.Trigger{
			Event: order.EventRequestRefund, RefundNo: p.RefundNo, Amount: p.Amount, Reason: p.Reason,
			Actor: p.Actor, At: s.now(),
		})
		if err != nil {
			return err
		}
		r := u.order.Refund(p.RefundNo)
		out = *r
		if c, ok := s.gateway.(Checker); ok {
			if err := c.Check(newRequest(u.order, r)); err != nil {
				return fmt.Errorf("request refund %s of order %s: %w", p.RefundNo, p.OrderID, err)
			}
		}
		return nil
	})
	return orNone(out, err)
}

// ApproveParams name the refund and the amount that the merchant saw.
type ApproveParams struct {
	OrderID  string
	RefundNo string
	// Amount must equal the refund's: it proves that the reviewer did not look at a stale screen.
	Amount int64
	Actor  order.Actor
	Note   string
}

// Approve lets the money move: from here on Process may send the refund. Repeated for a refund that has
// been approved, it returns the refund as it is now. Another amount is [ErrConflict].
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrConflict], [ErrTransition], [ErrLimit], [ErrVetoed],
// [ErrInvalid].
func (s *Service) Approve(ctx context.Context, p ApproveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"approve", p.OrderID, p.RefundNo}, &err)
	defer end()
	f := order.Trigger{Event: order.EventApprove, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note}
	return s.command(ctx, p.OrderID, f, func(_ *update, r *order.Refund) (bool, error) {
		if r.Amount != p.Amount {
			return false, fmt.Errorf("approve refund %s of order %s: amount is %d, the reviewer saw %d: %w",
				p.RefundNo, p.OrderID, r.Amount, p.Amount, ErrConflict)
		}
		return !r.ApprovedAt.IsZero() && r.State != order.StateCancelled, nil
	})
}

// RejectParams name the refund that the merchant refuses.
type RejectParams struct {
	OrderID  string
	RefundNo string
	Actor    order.Actor
	// Note tells the buyer why; it is required.
	Note string
}

// Reject refuses a refund in review and releases its amount. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Reject(ctx context.Context, p RejectParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"reject", p.OrderID, p.RefundNo}, &err)
	defer end()
	return s.decide(ctx, p.OrderID, order.Trigger{
		Event: order.EventReject, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note,
	}, func(r *order.Refund) bool { return r.State == order.StateRejected })
}

// CancelParams name the refund that is withdrawn.
type CancelParams struct {
	OrderID  string
	RefundNo string
	Actor    order.Actor
	Note     string
	// EvenIfApproved withdraws it even though the merchant has approved it, as long as it was never submitted.
	// Without it an approved refund is refused, so that a buyer's cancel which loses the race against the
	// approval is told so.
	EvenIfApproved bool
}

// Cancel withdraws a refund and releases its amount. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Cancel(ctx context.Context, p CancelParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"cancel", p.OrderID, p.RefundNo}, &err)
	defer end()
	f := order.Trigger{Event: order.EventCancel, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note}
	return s.command(ctx, p.OrderID, f, func(u *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && !p.EvenIfApproved {
			return false, &order.TransitionError{
				OrderID: p.OrderID, RefundNo: r.No, Event: f.Event, From: r.State,
				Available: s.machine.Available(u.order, r.No), Reason: "it has been approved in the meantime",
			}
		}
		return r.State == order.StateCancelled, nil
	})
}

// RetryParams name the failed refund that is sent again.
type RetryParams struct {
	OrderID  string
	RefundNo string
	Actor    order.Actor
	Note     string
}

// Retry sends a failed refund again under the same number, for example once the balance is topped up.
// Repeated before the provider has answered, or after it paid, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrLimit], [ErrVetoed], [ErrInvalid].
func (s *Service) Retry(ctx context.Context, p RetryParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"retry", p.OrderID, p.RefundNo}, &err)
	defer end()
	return s.decide(ctx, p.OrderID, order.Trigger{
		Event: order.EventRetry, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note,
	}, func(r *order.Refund) bool {
		return r.Retries > 0 && r.State != order.StateFailed && r.State != order.StateAbandoned
	})
}

// FireParams name an event that the host added with [order.WithTransitions].
type FireParams struct {
	OrderID  string
	RefundNo string
	// Event is one of the host's own.
	Event order.Event
	Actor order.Actor
	// Note says why; it stands in the history.
	Note string
}

// Fire moves a refund by an event of the host's own. The core events have methods of their own and are
// [ErrInvalid] here.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Fire(ctx context.Context, p FireParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"fire", p.OrderID, p.RefundNo}, &err)
	defer end()
	switch p.Event {
	case order.EventRequestRefund, order.EventApprove, order.EventReject, order.EventCancel, order.EventRetry,
		order.EventAbandon, order.EventSettle, order.EventFail, order.EventHold, order.EventAdopt:
		return order.Refund{}, fmt.Errorf("fire %s on refund %s of order %s: %w", p.Event, p.RefundNo, p.OrderID,
			&order.InvalidError{Field: "event", Problem: "is a core event: use the method of that name"})
	}
	return s.decide(ctx, p.OrderID, order.Trigger{
		Event: p.Event, RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Note,
	}, func(*order.Refund) bool { return false })
}

// ResolveParams say how a refund ended outside this system.
type ResolveParams struct {
	OrderID  string
	RefundNo string
	// Outcome is OutcomeSucceeded (the buyer has the money) or OutcomeClosed (the merchant has it back).
	Outcome Outcome
	// Evidence is required: the number of a transfer, a statement, a ticket. It is kept as the note.
	Evidence string
	Actor    order.Actor
	// RefundedAt is when the buyer got the money; may be zero.
	RefundedAt time.Time
}

// Resolve records how an abnormal or stuck refund ended outside, with evidence: an operator's word in place
// of the provider's. It is refused with [ErrConflict] while a call to the provider may be under way. It states a fact,
// so that no guard is asked: check who may do it before the call, or in the InTx hook. Where the provider says otherwise,
// [Service.Sync] and [Service.Reconcile] report it.
// Repeated with the same outcome, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrConflict], [ErrInvalid].
func (s *Service) Resolve(ctx context.Context, p ResolveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, Command{"resolve", p.OrderID, p.RefundNo}, &err)
	defer end()
	f := order.Trigger{RefundNo: p.RefundNo, Actor: p.Actor, Note: p.Evidence}
	var ending order.State
	switch p.Outcome {
	case OutcomeSucceeded:
		f.Event, ending = order.EventSettle, order.StateRefunded
	case OutcomeClosed:
		f.Event, ending = order.EventFail, order.StateFailed
	case OutcomeUnknown, OutcomeAccepted, OutcomeDeclined, OutcomeAbnormal, OutcomeNotFound:
		fallthrough
	default:
		return order.Refund{}, fmt.Errorf("resolve refund %s of order %s: %w", p.RefundNo, p.OrderID,
			&order.InvalidError{Field: "outcome", Problem: "must be succeeded or closed"})
	}
	if strings.TrimSpace(p.Evidence) == "" {
		return order.Refund{}, fmt.Errorf("resolve refund %s of order %s: %w", p.RefundNo, p.OrderID,
			&order.InvalidError{Field: "evidence", Problem: "is required"})
	}
	return s.command(ctx, p.OrderID, f, func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && s.isLeased(r, s.now()) {
			return false, fmt.Errorf("resolve refund %s of order %s: the provider is being asked until %s: %w",
				p.RefundNo, p.OrderID, r.LeasedUntil.Format(time.RFC3339), ErrConflict)
		}
		if r.State != ending && f.Event == order.EventSettle {
			r.RefundedAt = stored(p.RefundedAt)
		}
		return r.State == ending, nil
	})
}

// decide is command for decisions that only need to know whether they have been taken already.
func (s *Service) decide(ctx context.Context, orderID string, f order.Trigger, done func(*order.Refund) bool) (order.Refund, error) {
	return s.command(ctx, orderID, f, func(_ *update, r *order.Refund) (bool, error) { return done(r), nil })
}

// command fires one event on a refund that exists, unless done says that it has happened already.
func (s *Service) command(
	ctx context.Context, orderID string, f order.Trigger, done func(*update, *order.Refund) (bool, error),
) (order.Refund, error) {
	if err := isPerson(string(f.Event), Ref{orderID, f.RefundNo}, f.Actor); err != nil {
		return order.Refund{}, err
	}
	var out order.Refund
	err := s.update(ctx, string(f.Event), Ref{orderID, f.RefundNo}, func(ctx context.Context, u *update) error {
		r, err := u.refund(string(f.Event), f.RefundNo)
		if err != nil {
			return err
		}
		already, err := done(u, r)
		if err != nil {
			return err
		}
		if already {
			out = *r
			return errUnchanged
		}
		f.At = s.now()
		if err := u.fire(ctx, f); err != nil {
			return err
		}
		out = *u.order.Refund(f.RefundNo)
		return nil
	})
	return orNone(out, err)
}

// isPerson keeps what a host decides from reading as the provider's own word.
func isPerson(op string, ref Ref, a order.Actor) error {
	if a != order.ActorProvider {
		return nil
	}
	return fmt.Errorf("%s refund %s of order %s: %w", op, ref.RefundNo, ref.OrderID,
		&order.InvalidError{Field: "actor", Problem: "is what the provider's own answers are recorded under"})
}

func orNone(r order.Refund, err error) (order.Refund, error) {
	if err != nil {
		return order.Refund{}, err
	}
	return r, nil
}
