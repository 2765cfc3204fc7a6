package killtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Run makes one run. It returns an error if the run cannot be made or a worker ends by itself. If
// book and ledger disagree, the Report has the differences and there is no error. Run leaves no
// process behind. It keeps the database only if there are differences; Report.Kept is its DSN.
func Run(ctx context.Context, opt Options) (rep Report, err error) {
	if err := opt.complete(); err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "orderfsm_kill_")
	if err != nil {
		return Report{}, err
	}
	at, err := makePlace(ctx, opt, dir, filepath.Base(dir))
	if err != nil {
		return Report{}, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if len(rep.Differences) > 0 {
			rep.Kept = at.dsn
			return
		}
		err = errors.Join(err, at.drop(context.WithoutCancel(ctx)), os.RemoveAll(dir))
	}()
	//nolint:contextcheck // Close ends the server
	srv, err := wechattest.NewServer(wechattest.Options{
		SettleAfter: 100 * time.Millisecond, RefuseConcurrent: true,
	})
	if err != nil {
		return Report{}, err
	}
	defer srv.Close()
	file := filepath.Join(dir, "account.json")
	a := newAccount(opt.Database, at.dsn, srv)
	if err := a.write(file); err != nil {
		return Report{}, err
	}
	s, err := a.open(opt.Engine)
	if err != nil {
		return Report{}, err
	}
	defer s.DB.Close()
	if err := s.Store.Migrate(ctx); err != nil {
		return Report{}, err
	}
	if m := opt.Engine.Migrate; m != nil {
		if err := m(ctx, s); err != nil {
			return Report{}, err
		}
	}
	return newDriver(opt, srv, s, file).run(ctx)
}

// driver is one run.
type driver struct {
	opt     Options
	srv     *wechattest.Server
	shop    *Shop
	plan    []planned
	refunds int
	faults  *faults
	fleet   *fleet
	begun   time.Time
	balance int64
}

func newDriver(opt Options, srv *wechattest.Server, s *Shop, account string) *driver {
	dice := func(stream uint64) *rand.Rand {
		return rand.New(rand.NewPCG(opt.Seed, stream)) //nolint:gosec // reproducible on purpose
	}
	d := &driver{
		opt: opt, srv: srv, shop: s, plan: newPlan(dice(1), opt.Orders),
		faults: newFaults(srv, dice(2)),
		fleet: &fleet{
			size: opt.Workers, every: opt.KillEvery, most: opt.Kills,
			account: account, stderr: opt.Out, dice: dice(3),
		},
		begun: opt.Now(), balance: srv.Balance(),
	}
	for _, p := range d.plan {
		d.refunds += len(p.amounts)
	}
	return d
}

func (d *driver) run(ctx context.Context) (Report, error) {
	running, stop := context.WithCancelCause(ctx)
	limited, cancel := context.WithTimeout(running, d.opt.For)
	defer cancel()
	var wg sync.WaitGroup
	start := func(f func()) {
		wg.Add(1)
		go func() { defer wg.Done(); f() }()
	}
	start(func() { d.faults.run(running) })
	start(func() { d.fleet.run(running, stop) })
	d.ask(limited, start, stop)
	d.watch(limited, stop)
	stop(nil)
	wg.Wait()
	if err := context.Cause(running); ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return Report{}, err
	}
	return d.report(context.WithoutCancel(ctx))
}

// ask requests and approves the refunds of all orders, a few orders at a time.
func (d *driver) ask(ctx context.Context, start func(func()), fail func(error)) {
	work := make(chan planned)
	start(func() {
		defer close(work)
		for _, p := range d.plan {
			select {
			case work <- p:
			case <-ctx.Done():
				return
			}
		}
	})
	for range 4 {
		start(func() {
			for p := range work {
				if err := d.askOne(ctx, p); err != nil && ctx.Err() == nil {
					fail(fmt.Errorf("order %s: %w", p.id, err))
				}
			}
		})
	}
}

func (d *driver) askOne(ctx context.Context, p planned) error {
	svc := d.shop.Service
	if err := d.srv.AddOrder(wechattest.Order{OutTradeNo: p.id, TotalFee: p.total}); err != nil {
		return err
	}
	err := insist(ctx, func() error {
		_, err := svc.Register(ctx, refund.RegisterParams{
			OrderID: p.id, Gateway: gatewayName, Currency: "CNY", Total: p.total,
		})
		if errors.Is(err, refund.ErrExists) { // an earlier answer was lost
			return nil
		}
		return err
	})
	for i, amount := range p.amounts {
		err = errors.Join(err, insist(ctx, func() error {
			_, err := svc.Request(ctx, refund.RequestParams{
				Ref: refund.Ref{OrderID: p.id, RefundNo: p.refundNo(i)}, Amount: amount, Actor: "buyer:1",
			})
			return err
		}), insist(ctx, func() error {
			_, err := svc.Approve(ctx, refund.ApproveParams{
				Ref: refund.Ref{OrderID: p.id, RefundNo: p.refundNo(i)}, Amount: amount, Actor: "staff:1",
			})
			return err
		}))
	}
	return err
}

// insist repeats do until it succeeds or returns a final error. With any other error the database
// may be down.
func insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		for _, final := range []error{
			order.ErrInvalid, order.ErrConflict, order.ErrTransition, order.ErrAmount,
			refund.ErrOrderNotFound,
		} {
			if errors.Is(err, final) {
				return err
			}
		}
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// watch returns when every refund has ended or ctx ends.
func (d *driver) watch(ctx context.Context, fail func(error)) {
	midway := d.opt.Midway
	for look := 1; pause(ctx, 100*time.Millisecond); look++ {
		ended, err := d.ended(ctx)
		if err != nil {
			fmt.Fprintf(d.opt.Out, "count the ended refunds: %v\n", err) // the database may be down
			continue
		}
		if look%30 == 0 || ended == d.refunds {
			d.progress(ended)
		}
		if ended == d.refunds {
			return
		}
		if midway != nil && ended >= d.refunds/2 {
			fmt.Fprintln(d.opt.Out, "half of the refunds have ended")
			if err := midway(ctx); err != nil {
				fail(err)
			}
			midway = nil
		}
	}
}

// ended returns the number of refunds that have ended in the book.
func (d *driver) ended(ctx context.Context) (n int, err error) {
	err = d.shop.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM orderfsm_refunds WHERE state IN ('"+
		string(order.StateRefunded)+"', '"+string(order.StateFailed)+"')").Scan(&n)
	return n, err
}

func (d *driver) progress(ended int) {
	fmt.Fprintf(d.opt.Out, "%s on %s: %v, %d of %d refunds ended, %d kills, %d faults, %d answers not received\n",
		d.opt.Engine.Name, d.opt.Database, d.opt.Now().Sub(d.begun).Round(time.Second), ended,
		d.refunds,
		d.fleet.kills.Load(), d.faults.total(), d.faults.unheard.Load())
}

// planned is an order and its refunds.
type planned struct {
	id      string
	total   int64
	amounts []int64
}

func newPlan(dice *rand.Rand, orders int) []planned {
	plan := make([]planned, orders)
	for i := range plan {
		p := planned{id: fmt.Sprintf("K%06d", i), total: 2 + dice.Int64N(100_000)}
		first := 1 + dice.Int64N(p.total-1)
		switch dice.IntN(4) {
		case 0:
			p.amounts = []int64{p.total}
		case 1:
			p.amounts = []int64{first}
		default:
			p.amounts = []int64{first, 1 + dice.Int64N(p.total-first)}
		}
		plan[i] = p
	}
	return plan
}

func (p planned) refundNo(i int) string {
	return fmt.Sprintf("R%s-%d", strings.TrimPrefix(p.id, "K"), i)
}
