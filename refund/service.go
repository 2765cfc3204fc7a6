package refund

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// Service carries out refunds. Build it with [NewService]; it is safe for concurrent use, and any number of
// processes may run one on the same store.
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
	// Now is the clock. If nil, time.Now. What it returns is kept as UTC, cut to microseconds, so that
	// every store keeps the same.
	Now func() time.Time
	// Logger gets one record per transition and per trouble. If nil, slog.Default(); for silence,
	// slog.New(slog.DiscardHandler).
	Logger *slog.Logger
	// Hooks are the host's own steps and those of adapters. Each kind of hook runs in this order.
	Hooks []Hooks
	// Scheduler is told when a refund becomes due. If nil, Store.Due is the queue.
	Scheduler Scheduler
	// NewRefundNo makes the number of a refund that was asked for without one; see
	// [order.ValidateRefundNo]. If nil, "rf" and 130 random bits in 26 characters.
	NewRefundNo func() string
	// CallTimeout bounds the calls to the provider within one Process. If zero, 30 s.
	CallTimeout time.Duration
	// Lease is how long a refund is left alone after a Process set out to ask; it must be longer than
	// CallTimeout. If zero, 1 min.
	Lease time.Duration
	// QuietPeriod is how long after a definite no the provider is asked once more, where an earlier submission
	// has no known outcome, before the no is booked. If zero, 2 min.
	QuietPeriod time.Duration
	// Backoff is how long to wait after an attempt without an outcome. If nil, [ExponentialBackoff] from
	// 5 s to 2 h. See [BackoffByGateway].
	Backoff Backoff
	// MaxWait bounds the time between two attempts, whatever Backoff and a provider's [*BusyError] say, so
	// that no slip of theirs makes a refund forgotten. If zero, 24 h.
	MaxWait time.Duration
	// SetupBackoff is how long to wait after a [*SetupError]. If zero, 10 min.
	SetupBackoff time.Duration
	// MaxRequests bounds how many refunds of one order can be requested in all, those that were rejected or
	// cancelled included, so that a buyer who asks and cancels in a loop cannot make an order grow without
	// end. If zero, 100.
	MaxRequests int
	// AlertAfter is how long after its approval a refund without an outcome is reported as stuck. It decides
	// nothing. If zero, 24 h.
	AlertAfter time.Duration
}

// NewService returns a Service. It returns an error that names every missing or contradictory part.
func NewService(m *order.Machine, s Store, g RefundGateway, opt Options) (*Service, error) {
	var errs []error
	switch {
	case m == nil:
		errs = append(errs, &order.InvalidError{Field: "machine", Problem: "is nil"})
	case len(m.Rows()) == 0:
		errs = append(errs, &order.InvalidError{Field: "machine", Problem: "is not made with NewMachine"})
	}
	if s == nil {
		errs = append(errs, &order.InvalidError{Field: "store", Problem: "is nil"})
	}
	if g == nil {
		errs = append(errs, &order.InvalidError{Field: "gateway", Problem: "is nil"})
	}
	opt.setDefaults()
	for _, d := range []struct {
		field string
		d     time.Duration
	}{
		{"call_timeout", opt.CallTimeout},
		{"lease", opt.Lease},
		{"quiet_period", opt.QuietPeriod},
		{"max_wait", opt.MaxWait},
		{"setup_backoff", opt.SetupBackoff},
		{"alert_after", opt.AlertAfter},
	} {
		if d.d < 0 {
			errs = append(errs, &order.InvalidError{Field: d.field, Problem: "is negative"})
		}
	}
	if opt.MaxRequests < 0 {
		errs = append(errs, &order.InvalidError{Field: "max_requests", Problem: "is negative"})
	}
	if opt.CallTimeout >= opt.Lease {
		errs = append(errs, &order.InvalidError{Field: "lease", Problem: "must be longer than call_timeout"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("new refund service: %w", err)
	}
	return &Service{machine: m, store: s, gateway: g, opt: opt, log: opt.Logger, guards: guards(opt.Hooks)}, nil
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
	if o.MaxRequests == 0 {
		o.MaxRequests = 100
	}
	for _, d := range []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&o.CallTimeout, 30 * time.Second},
		{&o.Lease, time.Minute},
		{&o.QuietPeriod, 2 * time.Minute},
		{&o.MaxWait, 24 * time.Hour},
		{&o.SetupBackoff, 10 * time.Minute},
		{&o.AlertAfter, 24 * time.Hour},
	} {
		if *d.d == 0 {
			*d.d = d.def
		}
	}
}

// newRefundNo makes a number of 28 characters, within the 32 that WeChat's older documents allow.
func newRefundNo() string {
	var b [17]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "" // refused as a refund number: better no refund than a number that comes twice
	}
	return "rf" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))[:26]
}

func (s *Service) now() time.Time { return stored(s.opt.Now()) }

// stored is t as every store keeps it: UTC, in microseconds.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// joined reports whether ctx carries a transaction of the store.
func (s *Service) joined(ctx context.Context) bool {
	j, ok := s.store.(Joiner)
	return ok && j.Joined(ctx)
}

// refuseInTx is the first line of every command that calls the provider.
func (s *Service) refuseInTx(ctx context.Context, op string, ref Ref) error {
	if s.joined(ctx) {
		return fmt.Errorf("%s refund %s of order %s: %w", op, ref.RefundNo, ref.OrderID, ErrInTx)
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

// errUnchanged makes the store commit nothing where there is nothing to commit.
var errUnchanged = errors.New("unchanged")

// update runs fn as one atomic change of an order, and then the After hooks. fn may run more than once and
// must set every result anew. Where fn errs, its error is returned as it is; op describes the store's own.
func (s *Service) update(ctx context.Context, op string, ref Ref, fn func(ctx context.Context, u *update) error) error {
	var u *update
	var fnErr error
	err := s.store.Update(ctx, ref.OrderID, func(ctx context.Context, o *order.Order) error {
		u = &update{s: s, order: o}
		fnErr = fn(ctx, u)
		return fnErr
	})
	if err != nil && u != nil && u.discrepancy != nil {
		// What the provider said is so whether or not the book has taken it in, which a lost COMMIT
		// leaves open. This may be its only report.
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
		return fmt.Errorf("%s refund %s of order %s: %w", op, ref.RefundNo, ref.OrderID, err)
	}
}

// fire moves a refund, tells the scheduler if it is due from now on, and runs the InTx hook.
func (u *update) fire(ctx context.Context, f order.Trigger) error {
	t, err := u.s.machine.Fire(ctx, u.order, f, u.s.guards...)
	if errors.Is(err, order.ErrGuardPanic) {
		return fmt.Errorf("%w: %w", ErrHookPanic, err)
	}
	if err != nil {
		return err
	}
	switch f.Event {
	case order.EventRequestRefund, order.EventApprove, order.EventRetry:
		if err := u.s.checkLimits(u.order, f.RefundNo, f.At); err != nil {
			return fmt.Errorf("%s %w", f.Event, err)
		}
	}
	u.fired = append(u.fired, t)
	if sch := u.s.opt.Scheduler; sch != nil && t.To == order.StateApproved {
		ref := Ref{OrderID: u.order.ID, RefundNo: t.RefundNo}
		if err := sch.Schedule(ctx, ref, u.order.Refund(t.RefundNo).NextAttemptAt); err != nil {
			return fmt.Errorf("%s refund %s of order %s: schedule: %w", t.Event, t.RefundNo, u.order.ID, err)
		}
	}
	return u.runInTxHooks(ctx, t)
}

// refund returns the refund of that number, or an error that says what was being done.
func (u *update) refund(op, no string) (*order.Refund, error) {
	if r := u.order.Refund(no); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%s refund %s of order %s: %w", op, no, u.order.ID, ErrRefundNotFound)
}

// Order returns the order with its refunds and its whole history, or [ErrOrderNotFound].
func (s *Service) Order(ctx context.Context, orderID string) (*order.Order, error) {
	return LoadOrder(ctx, s.store, orderID)
}

// History returns a page of an order's history: the transitions whose Seq is above after, oldest first, at most limit
// (see [DefaultLimit] and [MaxLimit]), or [ErrOrderNotFound]. A guard or hook that needs what happened before
// its command asks with its own ctx.
func (s *Service) History(ctx context.Context, orderID string, after int64, limit int) ([]order.Transition, error) {
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
