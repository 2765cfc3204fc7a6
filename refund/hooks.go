package refund

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Hooks are steps that a host or an adapter adds to the workflow; see [Options].Hooks. A nil field
// is skipped. Hooks run in the goroutine of the command; several may run at once. A panic is
// contained.
//
// An order that a hook gets is a copy. The hooks of one transition share it and must not modify it.
// Its History holds only the transitions of the running command; see [Service.History].
type Hooks struct {
	// Guard is called before a decision is carried out and may veto it; see [order.Guard]. The
	// first veto counts. Guard may run more than once for one command.
	Guard order.Guard
	// InTx runs inside the Update, after the transition. Its error, or panic, rolls everything
	// back, and the InTx hooks after it do not run. ctx carries the store's transaction, for the
	// host's own rows or an outbox. InTx may run more than once for one command, each time in a new
	// transaction. o is the order after the transition.
	InTx func(ctx context.Context, o *order.Order, t order.Transition) error
	// After runs once the transition is committed. It does not run if the process dies before: use
	// InTx for what must not be lost.
	After func(ctx context.Context, o *order.Order, t order.Transition)
	// Discrepancy is called if the provider and the book disagree, or if the provider answered
	// about something else than was asked. The answer is recorded before, as far as it can be, and
	// the call is made even if that failed. The same discrepancy is reported once.
	Discrepancy func(ctx context.Context, d Discrepancy)
	// Stuck is called after each attempt that leaves no outcome in the book, once AlertAfter has
	// passed since the approval.
	Stuck func(ctx context.Context, s Stuck)
	// Setup is called when a gateway begins to fail because of its set-up: once, until the kind of
	// call that failed (a refund, a query, a list) succeeds again. It is called once more if
	// refunds begin to fail after the other kinds.
	Setup func(ctx context.Context, err *SetupError)
	// UnknownNotification is called for a notification about a refund that the book does not have,
	// perhaps one made in the provider's own console. [Service.Sync] of its order adopts it.
	UnknownNotification func(ctx context.Context, n Notification)
	// Trace is called when a command begins, for tracing and timing. The command, and its calls to
	// the store and the gateway, run in the ctx that Trace returns, which must be derived from the
	// ctx that it got. end may be nil. It is called with the command's error when the command has
	// ended, even if it panicked; the ends of several hooks run in reverse order.
	//
	// A command that consists of others, such as ApproveAndSend, contains them. A repeated command
	// is traced too. Reads and Reconcile are not, but Reconcile's Syncs are.
	Trace func(ctx context.Context, c Command) (inside context.Context, end func(err error))
}

// Discrepancy is a refund on which the provider and the book disagree.
type Discrepancy struct {
	Ref
	// Book is the refund's state before the provider's answer was recorded; StatePaid if the book
	// did not have the refund.
	Book order.State
	// Result is what the provider said.
	Result Result
	// Err describes it. It matches [ErrMismatch] if the answer was about something else.
	Err error
}

// Stuck is a refund without an outcome for AlertAfter or longer. The Service goes on asking.
type Stuck struct {
	Ref
	// Gateway of the order.
	Gateway string
	// ApprovedAt is when it was approved, UTC; Attempts counts the attempts since.
	ApprovedAt time.Time
	Attempts   int
	// Err is why the newest attempt has no outcome, or why its outcome could not be recorded. It is
	// nil if the provider says that the refund is on its way.
	Err error
}

// guards returns the Guard hooks.
func guards(hooks []Hooks) (all []order.Guard) {
	for _, h := range hooks {
		if h.Guard != nil {
			all = append(all, h.Guard)
		}
	}
	return all
}

// hookView returns the copy of the order that the hooks share.
func (u *update) hookView() *order.Order {
	if u.view == nil || u.view.Version != u.order.Version || !u.view.Equal(u.order) {
		u.view = u.order.Clone()
	}
	return u.view
}

// catchPanic returns a panic of call as an error.
func catchPanic(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrHookPanic, p)
		}
	}()
	return call()
}

// callHook calls a hook that cannot fail the command. It returns false if the hook panicked.
func (s *Service) callHook(ctx context.Context, hook string, call func()) (returned bool) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "hook panicked",
				slog.String("hook", hook), slog.Any("panic", p))
		}
	}()
	call()
	return true
}

// afterCommit logs what an Update did and calls the hooks once it is committed: at once, or when
// the transaction that ctx carries commits.
func (s *Service) afterCommit(ctx context.Context, u *update) {
	if len(u.fired) == 0 && u.discrepancy == nil {
		return
	}
	run := func(ctx context.Context) {
		s.callOnDue(ctx, u)
		for _, t := range u.fired {
			u.reportTransition(ctx, t)
		}
		if u.discrepancy != nil && s.reportDiscrepancy(ctx, *u.discrepancy) {
			s.markReported(ctx, u)
		}
	}
	if !s.joined(ctx) {
		// The change is committed: the hooks run even if the caller's ctx has ended.
		run(context.WithoutCancel(ctx))
		return
	}
	j, _ := s.store.(Joiner)
	if !j.AfterCommit(ctx, run) {
		s.callOnDue(ctx, u)
		s.log.DebugContext(ctx, "after hooks do not run: nobody reports the host's commit",
			slog.String("order_id", u.order.ID))
	}
}

// reportTransition logs a committed transition and calls the After hooks.
func (u *update) reportTransition(ctx context.Context, t order.Transition) {
	var amount int64
	if r := u.order.Refund(t.RefundNo); r != nil {
		amount = r.Amount
	}
	u.s.log.LogAttrs(ctx, slog.LevelInfo, "refund transition",
		slog.String("order_id", u.order.ID), slog.String("refund_no", t.RefundNo),
		slog.String("event", string(t.Event)), slog.String("from", string(t.From)),
		slog.String("to", string(t.To)), slog.String("actor", string(t.Actor)),
		slog.Int64("amount", amount), slog.String("currency", u.order.Currency))
	for _, h := range u.s.opt.Hooks {
		if h.After != nil {
			u.s.callHook(ctx, "after", func() { h.After(ctx, u.hookView(), t) })
		}
	}
}

// markReported notes with the refund that its discrepancy was reported. It runs after the report:
// if the process dies in between, the report comes twice rather than never.
func (s *Service) markReported(ctx context.Context, u *update) {
	if u.marker == nil {
		return
	}
	const op = "note a discrepancy of"
	ref := u.discrepancy.Ref
	err := s.update(ctx, op, ref, func(_ context.Context, again *update) error {
		r, err := again.refund(op, ref.RefundNo)
		if err != nil {
			return err
		}
		u.marker.apply(r, s.now())
		return nil
	})
	if err != nil {
		s.log.ErrorContext(ctx, "refund discrepancy not noted, will be reported again",
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
			slog.Any("error", err))
	}
}

// reportDiscrepancy logs d and calls the hooks. It returns false if one of them panicked.
func (s *Service) reportDiscrepancy(ctx context.Context, d Discrepancy) bool {
	s.log.ErrorContext(ctx, "refund discrepancy",
		slog.String("order_id", d.OrderID), slog.String("refund_no", d.RefundNo),
		slog.String("state", string(d.Book)), slog.String("outcome", d.Result.Outcome.word()),
		slog.Any("error", d.Err))
	ok := true
	for _, h := range s.opt.Hooks {
		if h.Discrepancy != nil {
			ok = s.callHook(ctx, "discrepancy", func() { h.Discrepancy(ctx, d) }) && ok
		}
	}
	return ok
}

// errorAttr returns err as an attribute. If err is nil, handlers omit the attribute.
func errorAttr(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("error", err)
}

func (s *Service) reportStuck(ctx context.Context, st Stuck) {
	s.log.WarnContext(ctx, "refund stuck",
		slog.String("order_id", st.OrderID), slog.String("refund_no", st.RefundNo),
		slog.String("gateway", st.Gateway), slog.Time("approved_at", st.ApprovedAt),
		slog.Int("attempts", st.Attempts), errorAttr(st.Err))
	for _, h := range s.opt.Hooks {
		if h.Stuck != nil {
			s.callHook(ctx, "stuck", func() { h.Stuck(ctx, st) })
		}
	}
}
