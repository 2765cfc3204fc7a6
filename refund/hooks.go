package refund

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Hooks are the host's own steps in the workflow. A nil field is skipped. They are called from whatever
// goroutine runs the command, several at once. A panic in any of them is contained. [JoinHooks] makes one of
// several.
type Hooks struct {
	// Guard is asked before a decision is carried out and may veto it; see [order.Guard]. It may run more
	// than once for one command. The order's History holds the transitions of the running command alone, here and in
	// InTx and After; what came before is in [Service.History].
	Guard order.Guard
	// InTx runs inside the Update, after the transition: its error, or panic, rolls everything back. ctx
	// carries the store's transaction, for the host's own rows or an outbox. It may run more than once for
	// one command, each time in a fresh transaction. o is a copy of the order as it will be.
	InTx func(ctx context.Context, o *order.Order, t order.Transition) error
	// After runs once the transition is committed. A crash before it loses the call: what must not be lost
	// belongs into InTx. o is a copy.
	After func(ctx context.Context, o *order.Order, t order.Transition)
	// Discrepancy is called when the provider and the book disagree, or the provider answered about
	// something else than was asked. It is called after what can be recorded has been recorded, also
	// if that failed, and once for a contradiction that stays the same.
	Discrepancy func(ctx context.Context, c Discrepancy)
	// Stuck is told on every attempt that ends without an outcome, or with one that could not be recorded,
	// once AlertAfter has passed since approval.
	Stuck func(ctx context.Context, s Stuck)
	// Setup is called when a gateway begins to fail because of its set-up: once, until the kind of
	// call that failed (a refund, a query, a list) succeeds again; and once more if refunds begin
	// to fail after the others.
	Setup func(ctx context.Context, err *SetupError)
	// UnknownNotification is told of a notification about a refund that the book does not have: made in the
	// provider's own console, perhaps. Service.Sync of its order takes such a one in.
	UnknownNotification func(ctx context.Context, n Notification)
	// Trace is told when a command begins, for tracing and timing. The command runs in the ctx that it
	// returns, which must be made from the one it was given, and so do the calls to the store and the
	// gateway. end, which may be nil, is told the command's error when it has ended, also where it panicked.
	// A command made of others, as ApproveAndSend is of Approve and Process, has them begin and end within it; a
	// command that does nothing, because it was done before, is told of too. Reads are not, and Reconcile
	// is not: its Syncs are.
	Trace func(ctx context.Context, c Command) (inside context.Context, end func(err error))
}

// Discrepancy is a refund on which the provider and the book disagree.
type Discrepancy struct {
	OrderID  string
	RefundNo string
	// Book is the refund's state before the provider's answer was recorded; StatePaid if the book did
	// not have the refund.
	Book order.State
	// Result is what the provider said.
	Result Result
	// Err says what is wrong; errors.Is with [ErrMismatch] if the answer was about something else.
	Err error
}

// Stuck is a refund without an outcome for longer than AlertAfter. It goes on being asked about.
type Stuck struct {
	OrderID  string
	RefundNo string
	Gateway  string
	// ApprovedAt is since when it waits, UTC; Attempts how often the provider was asked since.
	ApprovedAt time.Time
	Attempts   int
	// Err is why the newest attempt has no outcome, or why it could not be recorded; nil where the provider
	// says that it is on its way.
	Err error
}

// inTx calls the InTx hook for t.
func (s *Service) inTx(ctx context.Context, o *order.Order, t order.Transition) (err error) {
	if s.opt.Hooks.InTx == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrHookPanic, p)
		}
		if err != nil {
			err = fmt.Errorf("%s refund %s of order %s: in-transaction hook: %w", t.Event, t.RefundNo, o.ID, err)
		}
	}()
	return s.opt.Hooks.InTx(ctx, o.Clone(), t)
}

// notify runs a hook that cannot fail the command. It reports whether the hook returned: it may have panicked.
func (s *Service) notify(ctx context.Context, hook string, call func()) (returned bool) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "hook panicked", slog.String("hook", hook), slog.Any("panic", p))
		}
	}()
	call()
	return true
}

// finish tells log and hooks what an Update did, once it is committed: at once, or when the transaction
// that ctx carries commits.
func (s *Service) finish(ctx context.Context, u *update) {
	if len(u.fired) == 0 && u.discrepancy == nil {
		return
	}
	o := u.order.Clone()
	run := func(ctx context.Context) {
		s.wake(ctx, u)
		for _, t := range u.fired {
			s.log.InfoContext(ctx, "refund transition",
				slog.String("order_id", o.ID), slog.String("refund_no", t.RefundNo),
				slog.String("event", string(t.Event)), slog.String("from", string(t.From)),
				slog.String("to", string(t.To)), slog.String("actor", string(t.Actor)),
				slog.Int64("amount", amountOf(o, t.RefundNo)), slog.String("currency", o.Currency))
			if s.opt.Hooks.After != nil {
				s.notify(ctx, "after", func() { s.opt.Hooks.After(ctx, o.Clone(), t) })
			}
		}
		if u.discrepancy != nil {
			if s.reportDiscrepancy(ctx, *u.discrepancy) {
				s.remember(ctx, u)
			}
		}
	}
	if s.joined(ctx) {
		j, _ := s.store.(Joiner)
		if !j.AfterCommit(ctx, run) {
			s.wake(ctx, u)
			s.log.DebugContext(ctx, "after hooks do not run: nobody tells of the host's commit",
				slog.String("order_id", o.ID))
		}
		return
	}
	// The change is committed: a caller that has gone away does not take the hooks with it.
	run(context.WithoutCancel(ctx))
}

// remember notes a discrepancy with its refund after it was reported, and not before: if the process dies in between or
// the hook panics, it is reported twice rather than never.
func (s *Service) remember(ctx context.Context, u *update) {
	if u.heard == nil {
		return
	}
	ref := Ref{u.discrepancy.OrderID, u.discrepancy.RefundNo}
	err := s.update(ctx, "note a discrepancy of", ref, func(_ context.Context, again *update) error {
		r, err := again.refund("note a discrepancy of", ref.RefundNo)
		if err != nil {
			return err
		}
		u.heard.note(r, s.now())
		return nil
	})
	if err != nil {
		s.log.ErrorContext(ctx, "refund discrepancy not noted, will be reported again",
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo), slog.Any("error", err))
	}
}

func amountOf(o *order.Order, no string) int64 {
	if r := o.Refund(no); r != nil {
		return r.Amount
	}
	return 0
}

// reportDiscrepancy reports a reportDiscrepancy, and whether the hook has taken it.
func (s *Service) reportDiscrepancy(ctx context.Context, c Discrepancy) bool {
	s.log.ErrorContext(ctx, "refund discrepancy",
		slog.String("order_id", c.OrderID), slog.String("refund_no", c.RefundNo),
		slog.String("state", string(c.Book)), slog.String("outcome", c.Result.Outcome.String()),
		slog.Any("error", c.Err))
	return s.opt.Hooks.Discrepancy == nil ||
		s.notify(ctx, "discrepancy", func() { s.opt.Hooks.Discrepancy(ctx, c) })
}

// errorAttr is err, or an attribute that handlers leave out where there is none.
func errorAttr(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("error", err)
}

func (s *Service) stuck(ctx context.Context, st Stuck) {
	s.log.WarnContext(ctx, "refund stuck",
		slog.String("order_id", st.OrderID), slog.String("refund_no", st.RefundNo),
		slog.String("gateway", st.Gateway), slog.Time("approved_at", st.ApprovedAt),
		slog.Int("attempts", st.Attempts), errorAttr(st.Err))
	if s.opt.Hooks.Stuck != nil {
		s.notify(ctx, "stuck", func() { s.opt.Hooks.Stuck(ctx, st) })
	}
}
