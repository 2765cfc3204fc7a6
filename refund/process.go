package refund

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// ProcessResult is the state of a refund after a Process.
type ProcessResult struct {
	// State of the refund now.
	State order.State
	// At is when to call Process again, UTC; zero if there is nothing left to do.
	At time.Time
	// Err is why the outcome is still unknown: the gateway's last error, which is also logged. It
	// is nil if the refund was accepted, or was not due.
	Err error
}

// ApproveAndSend calls Approve and then Process, for a merchant who approves and waits for the
// outcome. It returns the refund as it is then: still approved if the outcome is not known yet, or
// if Process failed, which is logged. The provider may have paid then, and a later Process goes on.
//
// Errors: [ErrInTx] and those of Approve. If it returns an error, it has sent nothing.
func (s *Service) ApproveAndSend(ctx context.Context, p ApproveParams) (_ order.Refund, err error) {
	ctx, end := s.trace(ctx, "approve_and_send", p.Ref, &err)
	defer end()
	if err := s.refuseInTx(ctx, "approve and send", p.Ref); err != nil {
		return order.Refund{}, err
	}
	approved, err := s.Approve(ctx, p)
	if err != nil {
		return order.Refund{}, err
	}
	_, err = s.Process(ctx, p.Ref)
	var o *order.Order
	if err == nil {
		o, err = s.get(context.WithoutCancel(ctx), p.OrderID)
	}
	if err == nil && o.Refund(p.RefundNo) == nil {
		err = p.wrap("read", order.ErrRefundNotFound)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "refund approved, its outcome is not known",
			slog.String("order_id", p.OrderID), slog.String("refund_no", p.RefundNo),
			slog.Any("error", err))
		return approved, nil
	}
	return *o.Refund(p.RefundNo), nil
}

// Process moves one approved refund as far as it can go now: lease, ask, record. It may be called
// any number of times, concurrently, on any machine. It changes nothing if the refund is not
// approved or not due, or if another call for the same order is under way.
//
// It returns an error only if it could not do its own part: [ErrOrderNotFound],
// [order.ErrRefundNotFound], [ErrInTx], or the store's. A problem with the provider is
// [ProcessResult].Err. An answer of the provider is recorded even if ctx ends in the meantime.
func (s *Service) Process(ctx context.Context, ref Ref) (_ ProcessResult, err error) {
	ctx, end := s.trace(ctx, "process", ref, &err)
	defer end()
	if err := s.refuseInTx(ctx, "process", ref); err != nil {
		return ProcessResult{}, err
	}
	var q *question
	var next ProcessResult
	err = s.update(ctx, "process", ref, func(_ context.Context, u *update) (err error) {
		q, next, err = u.lease(ref)
		return err
	})
	if err != nil || q == nil {
		return next, err
	}
	ans := s.ask(ctx, q)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Lease)
	defer cancel()
	return s.record(ctx, ref, q, ans)
}

// lease is step 1. It returns no question if there is nothing to do now.
func (u *update) lease(ref Ref) (*question, ProcessResult, error) {
	r, err := u.refund("process", ref.RefundNo)
	if err != nil {
		return nil, ProcessResult{}, err
	}
	now := u.s.now()
	if r.State != order.StateApproved {
		return nil, ProcessResult{State: r.State}, errUnchanged
	}
	if u.s.isWaiting(r, now) {
		return nil, ProcessResult{State: r.State, At: r.NextAttemptAt}, errUnchanged
	}
	if at := u.s.earliestSubmission(u.order, r, now); !at.IsZero() {
		r.NextAttemptAt = at // stored, so that Due does not list it before
		return nil, ProcessResult{State: r.State, At: at}, nil
	}
	if at := u.s.otherLeaseEnd(u.order, r, now); !at.IsZero() {
		return nil, ProcessResult{State: r.State, At: at}, errUnchanged
	}
	q := &question{
		req: newRequest(u.order, r), seen: *r, attempt: r.Attempts + 1,
		until: stored(now.Add(u.s.opt.Lease)), unsendable: unsendable(u.order, r),
	}
	r.Attempts, r.LeasedUntil, r.NextAttemptAt = q.attempt, q.until, q.until
	if r.DeclinedAt.IsZero() && q.unsendable == "" {
		// This attempt may submit, so it may pay until it is answered.
		r.Outstanding, r.SubmittedAt = true, now
	}
	u.order.UpdatedAt = now
	return q, ProcessResult{}, nil
}

// unsendable returns why an approved refund of o must not be sent; empty if it may be.
func unsendable(o *order.Order, r *order.Refund) string {
	if !r.AcceptedAt.IsZero() {
		return "not sent: the provider has accepted it already"
	}
	if o.Excess() > 0 {
		// A refund that was adopted after the approval took the amount.
		return fmt.Sprintf("not sent: the refunds of the order exceed its total by %d", o.Excess())
	}
	return ""
}

// ask is step 2. It holds no transaction and writes nothing.
func (s *Service) ask(ctx context.Context, q *question) answer {
	ctx, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	defer cancel()
	onlyAsk := !q.seen.DeclinedAt.IsZero() || q.unsendable != ""
	if q.seen.Outstanding || onlyAsk {
		res, err := s.query(ctx, q.req)
		if err != nil || res.Outcome != OutcomeNotFound || onlyAsk {
			return answer{res: res, err: err, queried: true}
		}
		// The provider has never seen it, so it is submitted again under the same number.
	}
	if !s.now().Before(q.until) {
		// This process was suspended. Others may have sent the refund in the meantime, and booked
		// it as failed. A late submission would open it again.
		return answer{err: fmt.Errorf("%w: the lease had run out", ErrNotSent)}
	}
	res, err := s.call(ctx, q.req, opRefund, s.gateway.Refund)
	if err == nil && res.Outcome == OutcomeNotFound {
		err = errors.New("gateway answered not_found to a submission")
	}
	return answer{res: res, err: err, submitted: !errors.Is(err, ErrNotSent)}
}

func (s *Service) query(ctx context.Context, req Request) (Result, error) {
	return s.call(ctx, req, opQuery, s.gateway.Query)
}

// call makes one call to the gateway. It returns an error, which means unknown, unless the answer
// is clear and about req.
func (s *Service) call(
	ctx context.Context, req Request, op operation,
	method func(ctx context.Context, req Request) (Result, error),
) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = Result{}, fmt.Errorf("gateway panicked: %v", p)
		}
		s.watchSetup(ctx, req.Gateway, op, err)
	}()
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if res, err = method(ctx, req); err != nil {
		return Result{}, err
	}
	res = clipWords(res)
	if err := match(req, res); err != nil {
		return res, err
	}
	switch res.Outcome {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeDeclined, OutcomeClosed, OutcomeAbnormal,
		OutcomeNotFound:
		return res, nil
	case OutcomeUnknown:
	}
	return res, fmt.Errorf("gateway gave no outcome (%s) %s", res.Outcome.word(), joinWords(res))
}

// match returns an error if an answer is not about the request. An answer about money must name its
// refund and amount.
func match(req Request, res Result) error {
	var mustName bool
	switch res.Outcome {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeClosed, OutcomeAbnormal:
		mustName = true
	case OutcomeUnknown, OutcomeDeclined, OutcomeNotFound:
	}
	if (mustName || res.RefundNo != "") && res.RefundNo != req.RefundNo {
		return &MismatchError{Field: "refund_no", Want: req.RefundNo, Got: res.RefundNo}
	}
	if res.OrderID != "" && res.OrderID != req.OrderID {
		return &MismatchError{Field: "order_id", Want: req.OrderID, Got: res.OrderID}
	}
	if (mustName || res.Amount != 0) && res.Amount != req.Amount {
		return mismatchInt("amount", req.Amount, res.Amount)
	}
	return nil
}

// record is step 3.
func (s *Service) record(
	ctx context.Context, ref Ref, q *question, ans answer,
) (ProcessResult, error) {
	var r order.Refund
	o, again, err := s.commitAnswer(ctx, "process", ref.OrderID, q, ans)
	if err == nil {
		r = *o.Refund(ref.RefundNo)
	}
	if err == nil && again {
		ans, r, err = s.askAgain(ctx, o, &r, ans)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "refund answer not recorded, will be asked for again",
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
			slog.String("outcome", ans.res.Outcome.word()), slog.Any("error", err))
		s.alert(ctx, ref, q, err)
		return ProcessResult{}, err
	}
	if r.State != order.StateApproved {
		return ProcessResult{State: r.State}, nil
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "refund has no outcome yet",
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
		slog.String("outcome", ans.res.Outcome.word()), slog.Int("attempts", r.Attempts),
		slog.Time("next_attempt_at", r.NextAttemptAt), errorAttr(ans.err))
	s.alert(ctx, ref, q, ans.err)
	return ProcessResult{State: r.State, At: r.NextAttemptAt, Err: ans.err}, nil
}

// askAgain asks about refund r of o once more, because answer first may be older than the book. It
// reports first if no second answer confirms or corrects it, because nobody else asks about a
// refund that is not approved.
func (s *Service) askAgain(
	ctx context.Context, o *order.Order, r *order.Refund, first answer,
) (answer, order.Refund, error) {
	ans, seen, err := s.observe(ctx, "process", o, r)
	if cause := cmp.Or(err, ans.err); cause != nil && r.State != order.StateApproved {
		s.reportDiscrepancy(ctx, Discrepancy{
			Ref: Ref{OrderID: o.ID, RefundNo: r.No}, Book: r.State, Result: first.res,
			Err: fmt.Errorf("refund %s of order %s: %w, and asking again failed: %w",
				r.No, o.ID, disagreement(r, first.res), cause),
		})
	}
	return ans, seen, err
}

// alert reports a refund as stuck if it has had no outcome for too long; err is why.
func (s *Service) alert(ctx context.Context, ref Ref, q *question, err error) {
	if s.isStuck(q.seen.ApprovedAt, s.now()) {
		s.reportStuck(ctx, Stuck{
			Ref: ref, Gateway: q.req.Gateway,
			ApprovedAt: q.seen.ApprovedAt, Attempts: q.attempt, Err: err,
		})
	}
}
