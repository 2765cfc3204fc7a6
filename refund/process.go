package refund

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// ProcessResult is what a Process left.
type ProcessResult struct {
	// State of the refund now.
	State order.State
	// At is when to call Process again, UTC; zero if there is nothing left to do.
	At time.Time
	// Err is why the outcome is still unknown: the gateway's last error, which is also logged. It may
	// be nil although the refund is still approved: it is on its way, or was not due.
	Err error
}

// ApproveAndSend is Approve followed by Process, for a merchant who agrees and waits for the outcome.
// The refund that it returns is still approved if the outcome is not known yet, also if Process
// failed, which is logged: the provider may have paid, and a later Process goes on.
//
// Errors: [ErrInTx] and those of Approve. After an error nothing was sent by this call.
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
	now, err := s.processAndGet(ctx, p.Ref)
	if err != nil {
		s.log.ErrorContext(ctx, "refund approved, its outcome is not known",
			slog.String("order_id", p.OrderID), slog.String("refund_no", p.RefundNo), slog.Any("error", err))
		return approved, nil
	}
	return *now, nil
}

// processAndGet processes a refund and returns it as it is then.
func (s *Service) processAndGet(ctx context.Context, ref Ref) (*order.Refund, error) {
	if _, err := s.Process(ctx, ref); err != nil {
		return nil, err
	}
	o, err := s.get(context.WithoutCancel(ctx), ref.OrderID)
	if err != nil {
		return nil, err
	}
	if r := o.Refund(ref.RefundNo); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("read %s: %w", ref.name(), ErrRefundNotFound)
}

// Process moves one approved refund as far as it can go now: lease, ask, record. It may be called any
// number of times, concurrently, from any machine. A refund that is not approved, not due, or whose order
// has another call under way is left alone.
//
// It returns an error only where it could not do its step: [ErrOrderNotFound], [ErrRefundNotFound],
// [ErrInTx], or the store's. Trouble with the provider is Next.Err. An answer of the provider is recorded
// even if ctx ends in the meantime.
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

	// What the provider said is a fact, whether or not the caller still waits for it.
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
	if until := u.s.earliestSubmission(u.order, r, now); !until.IsZero() {
		r.NextAttemptAt = until // written down, so that Due does not list it before
		return nil, ProcessResult{State: r.State, At: until}, nil
	}
	if until := u.s.otherLeaseEnd(u.order, r, now); !until.IsZero() {
		return nil, ProcessResult{State: r.State, At: until}, errUnchanged
	}
	q := &question{
		req: newRequest(u.order, r), seen: *r, attempt: r.Attempts + 1,
		until: stored(now.Add(u.s.opt.Lease)), unsendable: unsendable(u.order, r),
	}
	r.Attempts, r.LeasedUntil, r.NextAttemptAt = q.attempt, q.until, q.until
	if r.DeclinedAt.IsZero() && q.unsendable == "" {
		// This attempt may submit, so from before the call until it is answered, it may pay.
		r.Outstanding, r.SubmittedAt = true, now
	}
	u.order.UpdatedAt = now
	return q, ProcessResult{}, nil
}

// unsendable says why an approved refund of o must not be sent; it is empty if it may.
func unsendable(o *order.Order, r *order.Refund) string {
	if !r.AcceptedAt.IsZero() {
		return "not sent: the provider has accepted it already"
	}
	if o.Excess() > 0 {
		// What was adopted after the approval took the room.
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
		// The provider has never seen it: a reason to submit it again under the same number.
	}
	if !s.now().Before(q.until) {
		// This process stood still. By now others may have sent the refund, seen it closed and booked it as
		// failed: what is sent late would open it again.
		return answer{err: errors.New("not sent: the lease had run out")}
	}
	res, err := s.call(ctx, q.req, opRefund, func() (Result, error) { return s.gateway.Refund(ctx, q.req) })
	if err == nil && res.Outcome == OutcomeNotFound {
		err = errors.New("gateway answered not_found to a submission")
	}
	return answer{res: res, err: err, submitted: true}
}

func (s *Service) query(ctx context.Context, req Request) (Result, error) {
	return s.call(ctx, req, opQuery, func() (Result, error) { return s.gateway.Query(ctx, req) })
}

// call makes one call to the gateway. Whatever is not a clear answer to req becomes an error: unknown.
func (s *Service) call(ctx context.Context, req Request, op operation, do func() (Result, error)) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = Result{}, fmt.Errorf("gateway panicked: %v", p)
		}
		s.watchSetup(ctx, req.Gateway, op, err)
	}()
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if res, err = do(); err != nil {
		return Result{}, err
	}
	res = clipWords(res)
	if err := match(req, res); err != nil {
		return res, err
	}
	switch res.Outcome {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeDeclined, OutcomeClosed, OutcomeAbnormal, OutcomeNotFound:
		return res, nil
	case OutcomeUnknown:
	}
	return res, fmt.Errorf("gateway gave no outcome (%s) %s", res.Outcome, joinWords(res))
}

// match makes sure that an answer is for the question. An answer that says something of the money must
// name the refund and the amount; what any answer names must be right.
func match(req Request, res Result) error {
	var names bool
	switch res.Outcome {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeClosed, OutcomeAbnormal:
		names = true
	case OutcomeUnknown, OutcomeDeclined, OutcomeNotFound:
	}
	if (names || res.RefundNo != "") && res.RefundNo != req.RefundNo {
		return &MismatchError{Field: "refund_no", Want: req.RefundNo, Got: res.RefundNo}
	}
	if res.OrderID != "" && res.OrderID != req.OrderID {
		return &MismatchError{Field: "order_id", Want: req.OrderID, Got: res.OrderID}
	}
	if (names || res.Amount != 0) && res.Amount != req.Amount {
		return &MismatchError{
			Field: "amount", Want: strconv.FormatInt(req.Amount, 10), Got: strconv.FormatInt(res.Amount, 10),
		}
	}
	return nil
}

// record is step 3.
func (s *Service) record(ctx context.Context, ref Ref, q *question, ans answer) (ProcessResult, error) {
	var o *order.Order
	var r order.Refund
	var again bool
	err := s.update(ctx, "process", ref, func(ctx context.Context, u *update) error {
		_, err := u.refund("process", ref.RefundNo)
		if err != nil {
			return err
		}
		again, err = u.recordAnswer(ctx, ref.RefundNo, q, ans)
		o, r = u.order, *u.order.Refund(ref.RefundNo)
		return err
	})
	if err == nil && again {
		ans, r, err = s.askAgain(ctx, o, &r, ans)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "refund answer not recorded, will be asked for again",
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
			slog.String("outcome", ans.res.Outcome.String()), slog.Any("error", err))
		s.alert(ctx, ref, q, err)
		return ProcessResult{}, err
	}
	if r.State != order.StateApproved {
		return ProcessResult{State: r.State}, nil
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "refund has no outcome yet",
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
		slog.String("outcome", ans.res.Outcome.String()), slog.Int("attempts", r.Attempts),
		slog.Time("next_attempt_at", r.NextAttemptAt), errorAttr(ans.err))
	s.alert(ctx, ref, q, ans.err)
	return ProcessResult{State: r.State, At: r.NextAttemptAt, Err: ans.err}, nil
}

// askAgain asks about refund r of o once more, because answer first may be older than the book.
// Nobody else asks about a refund that is not approved, so that first is reported if no answer
// confirms or corrects it.
func (s *Service) askAgain(
	ctx context.Context, o *order.Order, r *order.Refund, first answer,
) (answer, order.Refund, error) {
	ans, seen, err := s.observe(ctx, "process", o, r)
	if cause := cmp.Or(err, ans.err); cause != nil && r.State != order.StateApproved {
		s.reportDiscrepancy(ctx, Discrepancy{
			OrderID: o.ID, RefundNo: r.No, Book: r.State, Result: first.res,
			Err: fmt.Errorf("refund %s of order %s: %w, and asking again failed: %w",
				r.No, o.ID, disagreement(r, first.res), cause),
		})
	}
	return ans, seen, err
}

// alert reports a refund as stuck if its newest attempt left no outcome in the book, once that has lasted too long.
func (s *Service) alert(ctx context.Context, ref Ref, q *question, err error) {
	if s.isStuck(q.seen.ApprovedAt, s.now()) {
		s.reportStuck(ctx, Stuck{
			OrderID: ref.OrderID, RefundNo: ref.RefundNo, Gateway: q.req.Gateway,
			ApprovedAt: q.seen.ApprovedAt, Attempts: q.attempt, Err: err,
		})
	}
}
