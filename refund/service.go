package refund

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Service carries out refunds. Build it with [NewService]. It is safe for concurrent use, and any
// number of processes may use one store.
type Service struct {
	machine *order.Machine
	store   Store
	gateway RefundGateway
	opt     Options
	log     *slog.Logger
	guards  []order.Guard

	setup setupFaults
	onDue listeners
}

// Options are the optional parts of a [Service]. The zero value is ready for use.
type Options struct {
	// Now is the clock. If nil, time.Now. The Service converts its times to UTC and truncates them
	// to microseconds, so that every store keeps the same time.
	Now func() time.Time
	// Logger gets a record for each transition and each problem; see the package documentation. If
	// nil, slog.Default(). To log nothing, use slog.New(slog.DiscardHandler).
	Logger *slog.Logger
	// Hooks are steps of the host and of adapters. Hooks of one kind run in this order.
	Hooks []Hooks
	// Scheduler inserts a job for each refund that becomes due. If nil, engines ask Due.
	Scheduler Scheduler
	// NewRefundNo makes the number of a refund that is requested without one; see order.Refund.No
	// for its form. If nil, "rf" and 130 random bits in 26 characters.
	NewRefundNo func() string
	// CallTimeout bounds the calls to the provider within one Process. If zero, 30 s.
	CallTimeout time.Duration
	// Lease is how long other processes leave a refund alone after one has begun to ask about it.
	// It must be longer than CallTimeout. If zero, 1 min.
	Lease time.Duration
	// QuietPeriod is how long a refusal waits for proof if an earlier submission has no known
	// outcome. Then the provider is asked once more. If zero, 2 min.
	QuietPeriod time.Duration
	// Backoff is how long to wait after an attempt without an outcome. If nil,
	// [ExponentialBackoff] from 5 s to 2 h.
	Backoff Backoff
	// MaxWait bounds the time between two attempts, whatever Backoff and a [*BusyError] say, so
	// that their mistakes do not stop a refund. If zero, 24 h.
	MaxWait time.Duration
	// SetupBackoff is how long to wait after a [*SetupError]. If zero, 10 min.
	SetupBackoff time.Duration
	// MaxRequests bounds the refunds of one order, rejected and cancelled ones included, so that a
	// buyer who requests and cancels in a loop cannot make an order grow without end. If zero, 100.
	MaxRequests int
	// AlertAfter is how long after its approval a refund without an outcome is reported as stuck.
	// It decides nothing. If zero, 24 h.
	AlertAfter time.Duration
}

// NewService returns a Service, or an error that names every missing or contradictory part.
func NewService(m *order.Machine, s Store, g RefundGateway, opt Options) (*Service, error) {
	var errs []error
	check := func(bad bool, field, problem string) {
		if bad {
			errs = append(errs, invalid(field, problem))
		}
	}
	check(m == nil, "machine", "is nil")
	check(m != nil && len(m.Rows()) == 0, "machine", "is not made with NewMachine")
	check(s == nil, "store", "is nil")
	check(g == nil, "gateway", "is nil")
	opt.setDefaults()
	const negative = "is negative"
	check(opt.CallTimeout < 0, "call_timeout", negative)
	check(opt.Lease < 0, "lease", negative)
	check(opt.QuietPeriod < 0, "quiet_period", negative)
	check(opt.MaxWait < 0, "max_wait", negative)
	check(opt.SetupBackoff < 0, "setup_backoff", negative)
	check(opt.AlertAfter < 0, "alert_after", negative)
	check(opt.MaxRequests < 0, "max_requests", negative)
	check(opt.CallTimeout >= opt.Lease, "lease", "must be longer than call_timeout")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("new refund service: %w", err)
	}
	return &Service{
		machine: m, store: s, gateway: g, opt: opt, log: opt.Logger, guards: guards(opt.Hooks),
	}, nil
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the one place where the wall clock is the default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.NewRefundNo == nil {
		o.NewRefundNo = newRefundNo
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff()
	}
	o.CallTimeout = cmp.Or(o.CallTimeout, 30*time.Second)
	o.Lease = cmp.Or(o.Lease, time.Minute)
	o.QuietPeriod = cmp.Or(o.QuietPeriod, 2*time.Minute)
	o.MaxWait = cmp.Or(o.MaxWait, 24*time.Hour)
	o.SetupBackoff = cmp.Or(o.SetupBackoff, 10*time.Minute)
	o.MaxRequests = cmp.Or(o.MaxRequests, 100)
	o.AlertAfter = cmp.Or(o.AlertAfter, 24*time.Hour)
}

// newRefundNo makes a number of 28 characters, within the 32 that WeChat's older documents allow.
func newRefundNo() string { return "rf" + strings.ToLower(rand.Text()) }

func (s *Service) now() time.Time { return stored(s.opt.Now()) }

// stored returns t as every store keeps it: UTC, in microseconds.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// joined reports whether ctx carries a transaction of the store.
func (s *Service) joined(ctx context.Context) bool {
	j, ok := s.store.(Joiner)
	return ok && j.Joined(ctx)
}

// refuseInTx returns ErrInTx if ctx carries a transaction. A command that asks begins with it.
func (s *Service) refuseInTx(ctx context.Context, op string, ref Ref) error {
	if s.joined(ctx) {
		return ref.wrap(op, ErrInTx)
	}
	return nil
}

// update is one run of a command inside a Store's Update.
type update struct {
	s           *Service
	order       *order.Order
	fired       []order.Transition
	discrepancy *Discrepancy
	marker      *marker
	view        *order.Order // the copy that hooks share
}

// errUnchanged is returned inside an Update that has nothing to commit.
var errUnchanged = errors.New("unchanged")

// update runs fn as one atomic change of an order, and then the After hooks. fn may run more than
// once and must set every result each time. An error of fn is returned as it is; op and ref
// describe an error of the store.
func (s *Service) update(
	ctx context.Context, op string, ref Ref, fn func(ctx context.Context, u *update) error,
) error {
	var u *update
	var fnErr error
	err := s.store.Update(ctx, ref.OrderID, func(ctx context.Context, o *order.Order) error {
		u = &update{s: s, order: o}
		fnErr = fn(ctx, u)
		return fnErr
	})
	if err != nil && u != nil && u.discrepancy != nil {
		// The answer is a fact even if it was not recorded. This may be its only report.
		u.discrepancy.Err = fmt.Errorf("%w; recording it failed: %w", u.discrepancy.Err, err)
		s.reportDiscrepancy(context.WithoutCancel(ctx), *u.discrepancy)
	}
	switch {
	case err == nil:
		s.afterCommit(ctx, u)
		return nil
	case fnErr != nil && errors.Is(err, fnErr):
		if fnErr == errUnchanged { //nolint:errorlint // our own value, never wrapped
			return nil
		}
		return fnErr
	default:
		return ref.wrap(op, err)
	}
}

// fire moves a refund and returns it. It calls the scheduler if the refund becomes due, and the
// InTx hooks.
func (u *update) fire(ctx context.Context, f order.Trigger) (*order.Refund, error) {
	t, err := u.s.machine.Fire(ctx, u.order, f, u.s.guards...)
	if errors.Is(err, order.ErrGuardPanic) {
		return nil, fmt.Errorf("%w: %w", ErrHookPanic, err)
	}
	if err != nil {
		return nil, err
	}
	switch f.Event {
	case order.EventRequestRefund, order.EventApprove, order.EventRetry:
		if err := u.s.checkLimits(u.order, f.RefundNo, f.At); err != nil {
			return nil, fmt.Errorf("%s %w", f.Event, err)
		}
	}
	u.fired = append(u.fired, t)
	r := u.order.Refund(t.RefundNo)
	ref := Ref{OrderID: u.order.ID, RefundNo: t.RefundNo}
	if sch := u.s.opt.Scheduler; sch != nil && t.To == order.StateApproved {
		if err := sch.Schedule(ctx, ref, r.NextAttemptAt); err != nil {
			return nil, ref.wrap(string(t.Event), fmt.Errorf("schedule: %w", err))
		}
	}
	for _, h := range u.s.opt.Hooks {
		if h.InTx == nil {
			continue
		}
		if err := catchPanic(func() error { return h.InTx(ctx, u.hookView(), t) }); err != nil {
			return nil, ref.wrap(string(t.Event), fmt.Errorf("in-transaction hook: %w", err))
		}
	}
	return r, nil
}

// refund returns the refund of that number, or an error that names the command.
func (u *update) refund(op, number string) (*order.Refund, error) {
	if r := u.order.Refund(number); r != nil {
		return r, nil
	}
	return nil, Ref{OrderID: u.order.ID, RefundNo: number}.wrap(op, order.ErrRefundNotFound)
}

// Order returns the order with its refunds and its whole history, or [ErrOrderNotFound].
func (s *Service) Order(ctx context.Context, orderID string) (*order.Order, error) {
	return LoadOrder(ctx, s.store, orderID)
}

// History returns a page of an order's history, or [ErrOrderNotFound]: the transitions whose Seq is
// above after, oldest first, at most limit. If limit is zero, 50. At most [MaxLimit]. A guard or a
// hook that needs earlier transitions calls it with its ctx.
func (s *Service) History(
	ctx context.Context, orderID string, after int64, limit int,
) ([]order.Transition, error) {
	page, err := s.store.History(ctx, orderID, after, Filter{Limit: limit}.PageSize())
	if err != nil {
		return nil, fmt.Errorf("get the history of order %s: %w", orderID, err)
	}
	return page, nil
}

// get returns the order with its refunds and an empty history.
func (s *Service) get(ctx context.Context, orderID string) (*order.Order, error) {
	o, err := s.store.Get(ctx, orderID)
	if err != nil {
		return nil, fmt.Errorf("get order %s: %w", orderID, err)
	}
	return o, nil
}

// ListRefunds pages through refunds, oldest first; see [Filter].
func (s *Service) ListRefunds(ctx context.Context, f Filter) (Page, error) {
	p, err := s.store.ListRefunds(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list refunds: %w", err)
	}
	return p, nil
}
