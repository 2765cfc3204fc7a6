package refund

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// RequestParams describe a new refund. ([Request] is what the provider gets.)
type RequestParams struct {
	// Ref names the order and the new refund. RefundNo makes the call idempotent: the same number
	// means the same refund. If it is empty, each call makes a number and another refund.
	Ref
	// Amount is in minor units of the order's currency.
	Amount int64
	// Reason is shown to the merchant. The provider may show it to the buyer.
	Reason string
	// Actor is who requests the refund; it is kept in the history.
	Actor order.Actor
}

// Request requests a refund and reserves its amount, in one atomic step. Repeated with the same
// number, amount and reason, it returns the refund as it is now. Other terms are
// [order.ErrConflict], and so is a number of another order.
//
// Errors: [ErrOrderNotFound], [order.ErrAmount], [order.ErrInvalid] (also if the gateway could
// never take the refund, see [Checker]), [ErrLimit], [ErrUnknownGateway], [order.ErrConflict],
// [order.ErrVetoed].
func (s *Service) Request(ctx context.Context, p RequestParams) (_ order.Refund, err error) {
	isMade := p.RefundNo == ""
	if isMade {
		p.RefundNo = s.opt.NewRefundNo()
	}
	ctx, end := s.trace(ctx, "request", p.Ref, &err)
	defer end()
	run := func(ctx context.Context, u *update) (*order.Refund, error) {
		if r := u.order.Refund(p.RefundNo); r != nil {
			return r, p.checkRepeat(r, isMade)
		}
		if err := s.checkRequests(u.order, p.RefundNo); err != nil {
			return nil, fmt.Errorf("request %w", err)
		}
		r, err := u.fire(ctx, order.Trigger{
			Event: order.EventRequestRefund, RefundNo: p.RefundNo, Amount: p.Amount,
			Reason: p.Reason, Actor: p.Actor, At: s.now(),
		})
		if err != nil {
			return nil, err
		}
		to, err := s.routed(u.order.Gateway)
		if c, ok := to.(Checker); ok {
			err = c.Check(newRequest(u.order, r))
		}
		if err != nil {
			return nil, p.wrap("request", err)
		}
		return r, nil
	}
	return s.change(ctx, "request", p.Ref, p.Actor, run)
}

// checkRepeat returns errUnchanged if p requests r, a refund of the same number, once more.
func (p *RequestParams) checkRepeat(r *order.Refund, isMade bool) error {
	switch {
	case isMade: // NewRefundNo returned a number that is taken: this is another refund
		return fmt.Errorf("request refund of order %s: new_refund_no made %s again: %w",
			p.OrderID, p.RefundNo, order.ErrConflict)
	case r.Amount != p.Amount || r.Reason != p.Reason:
		return p.wrap("request",
			fmt.Errorf("the number is taken with another amount or reason: %w", order.ErrConflict))
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

// Approve allows Process to send the refund. Repeated, it returns the refund as it is now. Another
// amount is [order.ErrConflict].
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrConflict],
// [order.ErrTransition], [ErrLimit], [order.ErrVetoed], [order.ErrInvalid].
func (s *Service) Approve(ctx context.Context, p ApproveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "approve", p.Ref, &err)
	defer end()
	done := func(_ *update, r *order.Refund) (bool, error) {
		if r.Amount != p.Amount {
			return false, p.wrap("approve", fmt.Errorf("amount is %d, the reviewer saw %d: %w",
				r.Amount, p.Amount, order.ErrConflict))
		}
		return !r.ApprovedAt.IsZero() && r.State != order.StateCancelled, nil
	}
	return s.command(ctx, p.Ref, order.EventApprove, p.Actor, p.Note, done)
}

// RejectParams name the refund that the merchant rejects.
type RejectParams struct {
	Ref
	Actor order.Actor
	// Note gives the buyer the reason; it is required.
	Note string
}

// Reject ends a refund in review and releases its amount. Repeated, it returns the refund.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition], [order.ErrVetoed],
// [order.ErrInvalid].
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
	// EvenIfApproved also withdraws an approved refund, if it was never submitted. If false, Cancel
	// returns [order.ErrTransition] after the approval.
	EvenIfApproved bool
}

// Cancel withdraws a refund and releases its amount. Repeated, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition], [order.ErrVetoed],
// [order.ErrInvalid].
func (s *Service) Cancel(ctx context.Context, p CancelParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "cancel", p.Ref, &err)
	defer end()
	done := func(u *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && !p.EvenIfApproved {
			return false, &order.TransitionError{
				OrderID: p.OrderID, RefundNo: r.No, Event: order.EventCancel, From: r.State,
				Available: s.machine.Available(u.order, r.No),
				Reason:    "it has been approved in the meantime",
			}
		}
		return r.State == order.StateCancelled, nil
	}
	return s.command(ctx, p.Ref, order.EventCancel, p.Actor, p.Note, done)
}

// RetryParams name the failed refund that is sent again.
type RetryParams struct {
	Ref
	Actor order.Actor
	Note  string
}

// Retry approves a failed refund again under the same number, for example after a top-up. Repeated
// before the provider has answered, or after it has paid, it returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition], [ErrLimit],
// [order.ErrVetoed], [order.ErrInvalid].
func (s *Service) Retry(ctx context.Context, p RetryParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "retry", p.Ref, &err)
	defer end()
	done := func(_ *update, r *order.Refund) (bool, error) {
		isOver := r.State == order.StateFailed || r.State == order.StateAbandoned
		return r.Retries > 0 && !isOver, nil
	}
	return s.command(ctx, p.Ref, order.EventRetry, p.Actor, p.Note, done)
}

// FireParams name an event that the host added with [order.Options].Rows.
type FireParams struct {
	Ref
	// Event is one that the host added.
	Event order.Event
	Actor order.Actor
	// Note is kept in the history.
	Note string
}

// Fire moves a refund by an event that the host added. It returns [order.ErrInvalid] for the events
// of package order, which have methods.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition], [order.ErrVetoed],
// [order.ErrInvalid].
func (s *Service) Fire(ctx context.Context, p FireParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "fire", p.Ref, &err)
	defer end()
	switch p.Event {
	case order.EventRequestRefund, order.EventApprove, order.EventReject, order.EventCancel,
		order.EventRetry, order.EventAbandon, order.EventSettle, order.EventFail, order.EventHold,
		order.EventAdopt:
		return order.Refund{}, p.wrap("fire "+string(p.Event)+" on",
			invalid("event", "is a core event: use the method of that name"))
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

// ResolveParams describe how a refund ended outside this system.
type ResolveParams struct {
	Ref
	// Resolution is required.
	Resolution Resolution
	// Evidence is required: the number of a transfer, a statement, a ticket. It becomes the note.
	Evidence string
	Actor    order.Actor
	// RefundedAt is when the buyer got the money; may be zero.
	RefundedAt time.Time
}

// Resolve records how an abnormal or stuck refund ended outside this system, with evidence in place
// of an answer of the provider. It returns [order.ErrConflict] while a call to the provider may be
// under way. Resolve records a fact, so no guard is called: check the actor before the call, or in
// an InTx hook. [Service.Sync] and [Service.Reconcile] report a discrepancy if the provider
// contradicts it. Repeated with the same resolution, Resolve returns the refund as it is now.
//
// Errors: [ErrOrderNotFound], [order.ErrRefundNotFound], [order.ErrTransition],
// [order.ErrConflict], [order.ErrInvalid].
func (s *Service) Resolve(ctx context.Context, p ResolveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "resolve", p.Ref, &err)
	defer end()
	event, target := order.EventSettle, order.StateRefunded
	switch p.Resolution {
	case ResolutionPaid:
	case ResolutionReturned:
		event, target = order.EventFail, order.StateFailed
	default:
		return order.Refund{}, p.wrap("resolve", invalid("resolution", "must be paid or returned"))
	}
	if strings.TrimSpace(p.Evidence) == "" {
		return order.Refund{}, p.wrap("resolve", invalid("evidence", "is required"))
	}
	done := func(_ *update, r *order.Refund) (bool, error) {
		if r.State == order.StateApproved && s.isLeased(r, s.now()) {
			return false, p.wrap("resolve", fmt.Errorf("the provider is being asked until %s: %w",
				r.LeasedUntil.Format(time.RFC3339), order.ErrConflict))
		}
		if r.State != target && p.Resolution == ResolutionPaid {
			r.RefundedAt = stored(p.RefundedAt)
		}
		return r.State == target, nil
	}
	return s.command(ctx, p.Ref, event, p.Actor, p.Evidence, done)
}

// isDone reports whether a command has been carried out on r before, or returns why it must not be.
type isDone func(u *update, r *order.Refund) (bool, error)

// isIn is an isDone for commands that lead to one state.
func isIn(state order.State) isDone {
	return func(_ *update, r *order.Refund) (bool, error) { return r.State == state, nil }
}

// command fires one event on an existing refund, unless done reports that it was fired before.
func (s *Service) command(
	ctx context.Context, ref Ref, event order.Event, actor order.Actor, note string, done isDone,
) (order.Refund, error) {
	op := string(event)
	run := func(ctx context.Context, u *update) (*order.Refund, error) {
		r, err := u.refund(op, ref.RefundNo)
		if err != nil {
			return nil, err
		}
		switch already, err := done(u, r); {
		case err != nil:
			return nil, err
		case already:
			return r, errUnchanged
		}
		return u.fire(ctx, order.Trigger{
			Event: event, RefundNo: ref.RefundNo, Actor: actor, Note: note, At: s.now(),
		})
	}
	return s.change(ctx, op, ref, actor, run)
}

// change runs fn as update does and returns its refund. A host must not act as the provider.
func (s *Service) change(
	ctx context.Context, op string, ref Ref, actor order.Actor,
	fn func(ctx context.Context, u *update) (*order.Refund, error),
) (out order.Refund, err error) {
	if actor == order.ActorProvider {
		problem := invalid("actor", "is reserved for the provider's own answers")
		return order.Refund{}, ref.wrap(op, problem)
	}
	err = s.update(ctx, op, ref, func(ctx context.Context, u *update) error {
		r, err := fn(ctx, u)
		if r != nil {
			out = *r
		}
		return err
	})
	if err != nil {
		return order.Refund{}, err
	}
	return out, nil
}
