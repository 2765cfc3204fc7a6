package refund

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RequestParams describe the refund that is asked for. ([Request] is what the provider is sent.)
type RequestParams struct {
	// Ref names the order and the new refund. The RefundNo makes the call idempotent: a client that
	// sends the same number again asks for the same refund. If it is empty, a number is made, and
	// every call asks for a new refund.
	Ref
	// Amount is in minor units of the order's currency.
	Amount int64
	// Reason is shown to the merchant. The provider may show it to the buyer.
	Reason string
	// Actor is who asks; it is kept in the history.
	Actor order.Actor
}

// Request asks for a refund and reserves its amount, in one atomic step. The same number with the same
// amount and reason returns the refund as it is now. With other terms it returns [ErrConflict], and so
// does a number that another order has.
//
// Errors: [ErrOrderNotFound], [ErrAmount], [ErrInvalid] (also if the gateway could never take the
// refund, see [Checker]), [ErrLimit], [ErrUnknownGateway], [ErrConflict], [ErrVetoed].
func (s *Service) Request(ctx context.Context, p RequestParams) (_ order.Refund, err error) {
	isMade := p.RefundNo == ""
	if isMade {
		p.RefundNo = s.opt.NewRefundNo()
	}
	ctx, end := s.trace(ctx, "request", p.Ref, &err)
	defer end()
	if err := checkActor("request", p.Ref, p.Actor); err != nil {
		return order.Refund{}, err
	}
	var out order.Refund
	err = s.update(ctx, "request", p.Ref, func(ctx context.Context, u *update) error {
		if r := u.order.Refund(p.RefundNo); r != nil {
			out = *r
			return p.checkRepeat(r, isMade)
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
				return fmt.Errorf("request %s: %w", p.name(), err)
			}
		}
		return nil
	})
	return orNone(out, err)
}

// checkRepeat returns errUnchanged if p asks for refund r, which has its number, once more.
func (p *RequestParams) checkRepeat(r *order.Refund, isMade bool) error {
	switch {
	case isMade: // an equal number that was made twice does not make two refunds one
		return fmt.Errorf("request refund of order %s: new_refund_no made %s again: %w",
			p.OrderID, p.RefundNo, ErrConflict)
	case r.Amount != p.Amount || r.Reason != p.Reason:
		return fmt.Errorf("request %s: the number is taken with another amount or reason: %w",
			p.name(), ErrConflict)
	}
	return errUnchanged
}

// ApproveParams name the refund and the amount that the merchant saw.
type ApproveParams struct {
	Ref
	// Amount must equal the refund's. It proves that the reviewer did not look at a stale screen.
	Amount int64
	Actor  order.Actor
	Note   string
}

// Approve lets the money move: from here on Process may send the refund. If the refund has been
// approved already, Approve returns it as it is now. Another amount is [ErrConflict].
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrConflict], [ErrTransition], [ErrLimit],
// [ErrVetoed], [ErrInvalid].
func (s *Service) Approve(ctx context.Context, p ApproveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "approve", p.Ref, &err)
	defer end()
	return s.command(ctx, p.Ref, order.EventApprove, p.Actor, p.Note, func(_ *update, r *order.Refund) (bool, error) {
		if r.Amount != p.Amount {
			return false, fmt.Errorf("approve %s: amount is %d, the reviewer saw %d: %w",
				p.name(), r.Amount, p.Amount, ErrConflict)
		}
		return !r.ApprovedAt.IsZero() && r.State != order.StateCancelled, nil
	})
}

// RejectParams name the refund that the merchant refuses.
type RejectParams struct {
	Ref
	Actor order.Actor
	// Note says why, for the buyer; it is required.
	Note string
}

// Reject refuses a refund in review and releases its amount. Repeated, it returns the refund as it is
// now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Reject(ctx context.Context, p RejectParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "reject", p.Ref, &err)
	defer end()
	return s.command(ctx, p.Ref, order.EventReject, p.Actor, p.Note, isIn(order.StateRejected))
}

// CancelParams name the refund that is withdrawn.
type CancelParams struct {
	Ref
	Actor order.Actor
	Note  string
	// EvenIfApproved withdraws the refund although the merchant has approved it, as long as it was
	// never submitted. Otherwise a buyer's cancel that comes after the approval is refused with
	// [ErrTransition].
	EvenIfApproved bool
}

// Cancel withdraws a refund and releases its amount. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Cancel(ctx context.Context, p CancelParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "cancel", p.Ref, &err)
	defer end()
	return s.command(ctx, p.Ref, order.EventCancel, p.Actor, p.Note, func(u *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && !p.EvenIfApproved {
			return false, &order.TransitionError{
				OrderID: p.OrderID, RefundNo: r.No, Event: order.EventCancel, From: r.State,
				Available: s.machine.Available(u.order, r.No), Reason: "it has been approved in the meantime",
			}
		}
		return r.State == order.StateCancelled, nil
	})
}

// RetryParams name the failed refund that is sent again.
type RetryParams struct {
	Ref
	Actor order.Actor
	Note  string
}

// Retry sends a failed refund again under the same number, for example after the balance was topped
// up. Repeated before the provider has answered, or after it paid, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrLimit], [ErrVetoed],
// [ErrInvalid].
func (s *Service) Retry(ctx context.Context, p RetryParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "retry", p.Ref, &err)
	defer end()
	return s.command(ctx, p.Ref, order.EventRetry, p.Actor, p.Note, func(_ *update, r *order.Refund) (bool, error) {
		isOver := r.State == order.StateFailed || r.State == order.StateAbandoned
		return r.Retries > 0 && !isOver, nil
	})
}

// FireParams name an event that the host added with [order.Options].Rows.
type FireParams struct {
	Ref
	// Event is one that the host added.
	Event order.Event
	Actor order.Actor
	// Note says why; it is kept in the history.
	Note string
}

// Fire moves a refund by an event that the host added. The core events have their own methods and are
// [ErrInvalid] here.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrVetoed], [ErrInvalid].
func (s *Service) Fire(ctx context.Context, p FireParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "fire", p.Ref, &err)
	defer end()
	switch p.Event {
	case order.EventRequestRefund, order.EventApprove, order.EventReject, order.EventCancel, order.EventRetry,
		order.EventAbandon, order.EventSettle, order.EventFail, order.EventHold, order.EventAdopt:
		return order.Refund{}, fmt.Errorf("fire %s on %s: %w", p.Event, p.name(),
			&order.InvalidError{Field: "event", Problem: "is a core event: use the method of that name"})
	}
	return s.command(ctx, p.Ref, p.Event, p.Actor, p.Note, isIn(""))
}

// Resolution is how a refund ended outside this system.
type Resolution string

// The resolutions.
const (
	// ResolutionPaid means that the buyer has the money.
	ResolutionPaid Resolution = "paid"
	// ResolutionReturned means that the merchant has the money, and that the provider will not pay.
	ResolutionReturned Resolution = "returned"
)

// ResolveParams say how a refund ended outside this system.
type ResolveParams struct {
	Ref
	// Resolution is how it ended; it is required.
	Resolution Resolution
	// Evidence is required: the number of a transfer, a statement, a ticket. It is kept as the note.
	Evidence string
	Actor    order.Actor
	// RefundedAt is when the buyer got the money; may be zero.
	RefundedAt time.Time
}

// Resolve records how an abnormal or stuck refund ended outside this system, with evidence. An
// operator's word takes the place of the provider's. It is refused with [ErrConflict] while a call to
// the provider may be under way. Resolve states a fact, so no guard is asked: check who may do it
// before the call, or in an InTx hook. [Service.Sync] and [Service.Reconcile] report it if the provider
// says otherwise. Repeated with the same resolution, Resolve returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [ErrRefundNotFound], [ErrTransition], [ErrConflict], [ErrInvalid].
func (s *Service) Resolve(ctx context.Context, p ResolveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "resolve", p.Ref, &err)
	defer end()
	event, ending := order.EventSettle, order.StateRefunded
	switch p.Resolution {
	case ResolutionPaid:
	case ResolutionReturned:
		event, ending = order.EventFail, order.StateFailed
	default:
		return order.Refund{}, fmt.Errorf("resolve %s: %w", p.name(),
			&order.InvalidError{Field: "resolution", Problem: "must be paid or returned"})
	}
	if strings.TrimSpace(p.Evidence) == "" {
		return order.Refund{}, fmt.Errorf("resolve %s: %w", p.name(),
			&order.InvalidError{Field: "evidence", Problem: "is required"})
	}
	return s.command(ctx, p.Ref, event, p.Actor, p.Evidence, func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && s.isLeased(r, s.now()) {
			return false, fmt.Errorf("resolve %s: the provider is being asked until %s: %w",
				p.name(), r.LeasedUntil.Format(time.RFC3339), ErrConflict)
		}
		if r.State != ending && p.Resolution == ResolutionPaid {
			r.RefundedAt = stored(p.RefundedAt)
		}
		return r.State == ending, nil
	})
}

// isDone reports whether a command has been carried out on a refund before, or why it must not be.
type isDone func(u *update, r *order.Refund) (bool, error)

// isIn is for commands that lead to one state and nowhere else.
func isIn(state order.State) isDone {
	return func(_ *update, r *order.Refund) (bool, error) { return r.State == state, nil }
}

// command fires one event on a refund that exists, unless done reports that it was fired before.
func (s *Service) command(
	ctx context.Context, ref Ref, event order.Event, actor order.Actor, note string, done isDone,
) (order.Refund, error) {
	op := string(event)
	if err := checkActor(op, ref, actor); err != nil {
		return order.Refund{}, err
	}
	var out order.Refund
	err := s.update(ctx, op, ref, func(ctx context.Context, u *update) error {
		r, err := u.refund(op, ref.RefundNo)
		if err != nil {
			return err
		}
		switch already, err := done(u, r); {
		case err != nil:
			return err
		case already:
			out = *r
			return errUnchanged
		}
		err = u.fire(ctx, order.Trigger{
			Event: event, RefundNo: ref.RefundNo, Actor: actor, Note: note, At: s.now(),
		})
		if err != nil {
			return err
		}
		out = *u.order.Refund(ref.RefundNo)
		return nil
	})
	return orNone(out, err)
}

// checkActor refuses a host's decision under the name of the provider.
func checkActor(op string, ref Ref, a order.Actor) error {
	if a != order.ActorProvider {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, ref.name(), &order.InvalidError{
		Field: "actor", Problem: "is reserved for the provider's own answers",
	})
}

func orNone(r order.Refund, err error) (order.Refund, error) {
	if err != nil {
		return order.Refund{}, err
	}
	return r, nil
}
