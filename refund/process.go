package refund

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Next tells what a Process left.
type Next struct {
	// State of the refund now.
	State order.State
	// At is when to call Process again, UTC; zero where there is nothing left to do.
	At time.Time
	// Err is why the outcome is still unknown: the gateway's last error, which is also logged. It may be
	// nil although the refund is still approved: it is on its way, or was not due.
	Err error
}

// Execute is Approve followed by Process: the merchant agrees and sees the outcome. The refund that it
// returns is still approved where the outcome is not known yet; the next Process goes on from there.
//
// Errors: [ErrInTx] and those of Approve, without a refund, after which nothing was sent; those of Process, with the
// refund as it was approved: the provider may have paid, the refund is due again, and nobody must be told that it failed.
func (s *Service) Execute(ctx context.Context, p ApproveParams) (order.Refund, error) {
	return run(ctx, s, Command{"execute", p.OrderID, p.RefundNo}, p, s.execute)
}

func (s *Service) execute(ctx context.Context, p ApproveParams) (order.Refund, error) {
	ref := Ref{p.OrderID, p.RefundNo}
	if err := s.outsideTx(ctx, "execute", ref); err != nil {
		return order.Refund{}, err
	}
	approved, err := s.Approve(ctx, p)
	if err != nil {
		return order.Refund{}, err
	}
	if _, err := s.Process(ctx, ref); err != nil {
		return approved, err
	}
	o, err := s.get(context.WithoutCancel(ctx), p.OrderID)
	if err != nil {
		return approved, err
	}
	r := o.Refund(p.RefundNo)
	if r == nil {
		return approved, fmt.Errorf("execute refund %s of order %s: %w", p.RefundNo, p.OrderID, ErrRefundNotFound)
	}
	return *r, nil
}

// attempt is what the lease step leaves for the other two.
type attempt struct {
	req Request
	// number is Refund.Attempts during this attempt, and retries Refund.Retries: together they tell it
	// from every other attempt.
	number, retries int
	approvedAt      time.Time
	// until is when the lease ends: nothing is sent any more from then on.
	until time.Time
	// outstanding reports that an earlier submission may still pay; submittedAt is that of the newest one.
	outstanding bool
	submittedAt time.Time
	// declined reports that a definite no waits for a query that does not find the number.
	declined bool
	// unsendable says why the refund is only asked about and never sent; empty where it may be sent.
	unsendable string
}

// answer is what came of asking.
type answer struct {
	res Result
	err error
	// submitted reports that Refund was called, queried that res is the answer to a Query.
	submitted, queried bool
}

// Process moves one approved refund as far as it can go now: lease, ask, record. It may be called any
// number of times, concurrently, from any machine. A refund that is not approved, not due, or whose order
// has another call under way is left alone.
//
// It returns an error only where it could not do its step: [ErrOrderNotFound], [ErrRefundNotFound],
// [ErrInTx], or the store's. Trouble with the provider is Next.Err. An answer of the provider is recorded
// even if ctx ends in the meantime.
func (s *Service) Process(ctx context.Context, ref Ref) (Next, error) {
	return run(ctx, s, Command{"process", ref.OrderID, ref.RefundNo}, ref, s.process)
}

func (s *Service) process(ctx context.Context, ref Ref) (Next, error) {
	if err := s.outsideTx(ctx, "process", ref); err != nil {
		return Next{}, err
	}
	var a *attempt
	var next Next
	err := s.update(ctx, "process", ref, func(_ context.Context, u *update) (err error) {
		a, next, err = u.lease(ref)
		return err
	})
	if err != nil || a == nil {
		return next, err
	}
	ans := s.ask(ctx, a)

	// What the provider said is a fact, whether or not the caller still waits for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Lease)
	defer cancel()
	return s.record(ctx, ref, a, ans)
}

// lease is step 1. It returns no attempt where there is nothing to do now.
func (u *update) lease(ref Ref) (*attempt, Next, error) {
	r, err := u.refund("process", ref.RefundNo)
	if err != nil {
		return nil, Next{}, err
	}
	now := u.s.now()
	if r.State != order.StateApproved {
		return nil, Next{State: r.State}, errUnchanged
	}
	if r.NextAttemptAt.After(now) {
		return nil, Next{State: r.State, At: r.NextAttemptAt}, errUnchanged
	}
	if until := u.s.spaced(u.order, r); until.After(now) {
		r.NextAttemptAt = until // written down, so that Due does not list it before
		return nil, Next{State: r.State, At: until}, nil
	}
	if until := leased(u.order, r); until.After(now) {
		return nil, Next{State: r.State, At: until}, errUnchanged
	}
	a := &attempt{
		req: newRequest(u.order, r), number: r.Attempts + 1, retries: r.Retries, approvedAt: r.ApprovedAt,
		outstanding: r.Outstanding, submittedAt: r.SubmittedAt,
		declined: !r.DeclinedAt.IsZero(), unsendable: unsendable(u.order, r),
	}
	r.Attempts = a.number
	r.LeasedUntil = stored(now.Add(u.s.opt.Lease))
	r.NextAttemptAt, a.until = r.LeasedUntil, r.LeasedUntil
	if !a.declined && a.unsendable == "" {
		// This attempt may submit, so from before the call until it is answered, it may pay.
		r.Outstanding, r.SubmittedAt = true, now
	}
	u.order.UpdatedAt = now
	return a, Next{}, nil
}

// unsendable says why an approved refund of o must not be sent; empty if it may.
func unsendable(o *order.Order, r *order.Refund) string {
	if !r.AcceptedAt.IsZero() {
		return "the provider denies a refund that it has accepted"
	}
	if o.Excess() > 0 {
		// What was adopted after the approval took the room.
		return fmt.Sprintf("not sent: the refunds of the order exceed its total by %d", o.Excess())
	}
	return ""
}

// ask is step 2. It holds no transaction and writes nothing.
func (s *Service) ask(ctx context.Context, a *attempt) answer {
	ctx, cancel := context.WithTimeout(ctx, s.opt.CallTimeout)
	defer cancel()
	if a.outstanding || a.declined || a.unsendable != "" {
		res, err := s.query(ctx, a.req.query())
		if err != nil || res.Outcome != OutcomeNotFound || a.declined || a.unsendable != "" {
			return answer{res: res, err: err, queried: true}
		}
		// Never seen: not a failure, only a reason to submit again under the same number.
	}
	if !s.now().Before(a.until) {
		// This process stood still. By now others may have sent the refund, seen it closed and booked it as
		// failed: what is sent late would open it again.
		return answer{err: errors.New("not sent: the lease had run out")}
	}
	res, err := s.call(ctx, a.req, func() (Result, error) { return s.gateway.Refund(ctx, a.req) })
	if err == nil && res.Outcome == OutcomeNotFound {
		err = errors.New("gateway answered not_found to a submission")
	}
	return answer{res: res, err: err, submitted: true}
}

func (s *Service) query(ctx context.Context, q Query) (Result, error) {
	req := Request{Gateway: q.Gateway, OrderID: q.OrderID, RefundNo: q.RefundNo, Amount: q.Amount}
	return s.call(ctx, req, func() (Result, error) { return s.gateway.Query(ctx, q) })
}

// call makes one call to the gateway. Whatever is not a clear answer to req becomes an error: unknown.
func (s *Service) call(ctx context.Context, req Request, do func() (Result, error)) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = Result{}, fmt.Errorf("gateway panicked: %v", p)
		}
		s.watchSetup(ctx, req.Gateway, err)
	}()
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if res, err = do(); err != nil {
		return Result{}, err
	}
	if err := match(req, res); err != nil {
		return res, err
	}
	switch res.Outcome {
	case OutcomeAccepted, OutcomeSucceeded, OutcomeDeclined, OutcomeClosed, OutcomeAbnormal, OutcomeNotFound:
		return res, nil
	case OutcomeUnknown:
	}
	return res, fmt.Errorf("gateway gave no outcome (%s) %s", res.Outcome, note(res))
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

// watchSetup tells of a set-up fault once per gateway, until a call to it succeeds again.
func (s *Service) watchSetup(ctx context.Context, gateway string, err error) {
	if err == nil {
		s.setup.Delete(gateway)
		return
	}
	var fault *SetupError
	if !errors.As(err, &fault) {
		return
	}
	if _, told := s.setup.LoadOrStore(gateway, true); told {
		return
	}
	told := &SetupError{Gateway: gateway, Err: fault.Err}
	s.log.ErrorContext(ctx, "gateway set-up fault", slog.String("gateway", gateway), slog.Any("error", told))
	if s.opt.Hooks.Setup != nil {
		s.notify(ctx, "setup", func() { s.opt.Hooks.Setup(ctx, told) })
	}
}

// record is step 3.
func (s *Service) record(ctx context.Context, ref Ref, a *attempt, ans answer) (Next, error) {
	var r order.Refund
	err := s.update(ctx, "process", ref, func(ctx context.Context, u *update) error {
		found, err := u.refund("process", ref.RefundNo)
		if err != nil {
			return err
		}
		err = u.reduce(ctx, found, observation{answer: ans, attempt: a})
		r = *u.order.Refund(ref.RefundNo)
		return err
	})
	if err != nil {
		s.log.ErrorContext(ctx, "refund answer not recorded, will be asked for again",
			slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
			slog.String("outcome", ans.res.Outcome.String()), slog.Any("error", err))
		s.alert(ctx, ref, a, err)
		return Next{}, err
	}
	if r.State != order.StateApproved {
		return Next{State: r.State}, nil
	}
	s.log.InfoContext(ctx, "refund has no outcome yet",
		slog.String("order_id", ref.OrderID), slog.String("refund_no", ref.RefundNo),
		slog.String("outcome", ans.res.Outcome.String()), slog.Int("attempts", r.Attempts),
		slog.Time("next_attempt_at", r.NextAttemptAt), errorAttr(ans.err))
	s.alert(ctx, ref, a, ans.err)
	return Next{State: r.State, At: r.NextAttemptAt, Err: ans.err}, nil
}

// alert reports a refund as stuck whose newest attempt left no outcome in the book, once that has lasted too long.
func (s *Service) alert(ctx context.Context, ref Ref, a *attempt, err error) {
	if s.now().Sub(a.approvedAt) >= s.opt.AlertAfter {
		s.stuck(ctx, Stuck{
			OrderID: ref.OrderID, RefundNo: ref.RefundNo, Gateway: a.req.Gateway,
			ApprovedAt: a.approvedAt, Attempts: a.number, Err: err,
		})
	}
}
