package killtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// Report is the result of a run.
type Report struct {
	Engine          string
	Database        sqlstore.Dialect
	Seed            uint64
	Workers, Orders int
	// Refunds counts the approved refunds. Paid and Failed count those on which book and ledger
	// agree.
	Refunds, Paid, Failed int
	// PaidFen is what the provider paid.
	PaidFen int64
	// Kills counts the killed workers, Calls the requests that reached the provider, and Faults the
	// requests that failed, by kind. Unheard counts the answers that no worker received, because it
	// was killed or its call timed out.
	Kills, Calls, Unheard int64
	Faults                []Fault
	// PaidTwice counts the refunds that were paid more than once or under a number that nobody
	// approved, and the orders that paid more than was approved. Lost counts the refunds that have
	// not ended, or that ended differently from the ledger.
	PaidTwice, Lost int
	// Differences describe everything that is wrong. Kept is the DSN of the database, which is kept
	// if there are any.
	Differences []string
	Kept        string
	Took        time.Duration
}

// Fault is how often one kind of fault occurred.
type Fault struct {
	Name  string
	Count int64
}

// report compares the books after the workers have stopped.
func (d *driver) report(ctx context.Context) (Report, error) {
	rep := Report{
		Engine: d.opt.Engine.Name, Database: d.opt.Database, Seed: d.opt.Seed,
		Workers: d.opt.Workers, Orders: d.opt.Orders,
		Kills: d.fleet.kills.Load(), Unheard: d.faults.unheard.Load(),
		Calls: int64(d.srv.Calls(wechattest.PathRefund) + d.srv.Calls(wechattest.PathQuery)),
		Took:  d.opt.Now().Sub(d.begun),
	}
	for _, k := range d.faults.kinds {
		rep.Faults = append(rep.Faults, Fault{k.name, k.taken.Load()})
	}
	m, err := order.NewMachine(order.Options{})
	if err != nil {
		return Report{}, err
	}
	a := audit{machine: m, ledger: d.srv}
	for _, p := range d.plan {
		o, err := refund.LoadOrder(ctx, d.shop.Store, p.id)
		if err != nil && !errors.Is(err, refund.ErrOrderNotFound) {
			return Report{}, err
		}
		a.order(p, o)
	}
	a.entries(d.plan)
	if left := d.balance - d.srv.Balance(); left != a.PaidFen {
		a.differ(nil, "%d left the balance, but the orders paid %d", left, a.PaidFen)
	}
	rep.Refunds, rep.Paid, rep.Failed, rep.PaidFen = a.Refunds, a.Paid, a.Failed, a.PaidFen
	rep.PaidTwice, rep.Lost, rep.Differences = a.PaidTwice, a.Lost, a.Differences
	return rep, nil
}

// Print writes the report as a table, followed by the first differences.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var faults int64
	for _, f := range r.Faults {
		faults += f.Count
	}
	for _, row := range []struct {
		name  string
		value any
	}{
		{"engine", r.Engine},
		{"database", r.Database},
		{"workers", r.Workers},
		{"seed", r.Seed},
		{"orders", r.Orders},
		{"refunds", r.Refunds},
		{"kills", r.Kills},
		{"calls", r.Calls},
		{"answers not received", r.Unheard},
		{"faults", faults},
	} {
		fmt.Fprintf(t, "%s\t%v\n", row.name, row.value)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(t, "  %s\t%d\n", f.Name, f.Count)
	}
	fmt.Fprintf(t, "paid\t%d (%d.%02d yuan)\nrefused by the provider\t%d\n", r.Paid, r.PaidFen/100, r.PaidFen%100, r.Failed)
	fmt.Fprintf(t, "paid twice\t%d\nlost\t%d\ndifferences\t%d\nseconds\t%.1f\n", r.PaidTwice, r.Lost, len(r.Differences), r.Took.Seconds())
	if err := t.Flush(); err != nil {
		return err
	}
	for i, d := range r.Differences {
		if i == 20 {
			fmt.Fprintf(w, "and %d more\n", len(r.Differences)-i)
			break
		}
		fmt.Fprintln(w, "DIFFERENCE:", d)
	}
	if r.Kept != "" {
		fmt.Fprintln(w, "kept the database:", r.Kept)
	}
	return nil
}
