package refund

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// OrderPage lists the IDs of the orders behind cursor, each order once, and the cursor that continues behind
// them: "" where nothing follows. The first page is that of cursor "".
type OrderPage func(ctx context.Context, cursor string) (ids []string, next string, err error)

// ReconcileParams say which orders are compared with the provider, and who is told.
type ReconcileParams struct {
	// Orders lists the orders. A host that knows all its paid orders lists them here, because a refund made
	// in the provider's own console may be the only one of its order. If nil, the orders with a refund
	// in the book that Gateway, From and To select.
	Orders OrderPage
	// Total is how many orders Orders lists, for the estimate; 0 where that is not known.
	Total int
	// Gateway of the order; empty for all. From and To bound RequestedAt: From ≤ RequestedAt < To; a zero
	// From is no bound, a zero To is now. They are for where Orders is nil.
	Gateway  string
	From, To time.Time
	// Cursor continues behind a former Reconcile with the same parameters: its Progress.Cursor.
	Cursor string
	// Report is told of every order where book and provider differed, or that could not be compared. Its
	// error ends Reconcile. It is required.
	Report func(ctx context.Context, r OrderReport) error
	// Progress is told after every page of orders; a host that keeps its Cursor can go on from there. May be nil.
	Progress func(ctx context.Context, p Progress)
}

// OrderReport is what Sync found for one order of a Reconcile.
type OrderReport struct {
	OrderID string
	SyncReport
	// Err is why the order could not be compared, or not to the end; nil where it was.
	Err error
}

// Progress says how far a Reconcile has come. Its counts are of this call: they begin at 0 after a Cursor.
type Progress struct {
	// Orders counts the orders that were compared, or failed; Total those to compare, 0 where unknown.
	Orders, Total int
	// Discrepancies counts the refunds on which book and provider differed, Adopted those of them that the
	// book did not have and now has, Failed the orders that could not be compared.
	Discrepancies, Adopted, Failed int
	// Rate is in orders per second since the call. Remaining is how long the rest takes at that rate; zero
	// where that is not known.
	Rate      float64
	Remaining time.Duration
	// Cursor continues behind what is done: the last full page. Empty at the beginning, and when Done.
	Cursor string
	// Done reports that nothing is left.
	Done bool
}

// Reconcile runs [Service.Sync] on many orders, one after the other, and reports every difference between the
// book and the provider. It may run beside everything else.
//
// An order that cannot be compared is reported and passed over. Where Reconcile returns an error, Progress
// says how far it came, and another Reconcile with its Cursor goes on: it repeats less than a page of orders,
// which is harmless.
//
// Errors: [ErrInvalid], [ErrInTx], those of the store or of Orders, that of Report, and that of ctx once it
// has ended.
func (s *Service) Reconcile(ctx context.Context, p ReconcileParams) (Progress, error) {
	if s.joined(ctx) {
		return Progress{Cursor: p.Cursor}, fmt.Errorf("reconcile: %w", ErrInTx)
	}
	if p.Report == nil {
		return Progress{Cursor: p.Cursor}, fmt.Errorf("reconcile: %w", &order.InvalidError{Field: "report", Problem: "is nil"})
	}
	r := &reconcile{s: s, p: p, progress: Progress{Total: p.Total, Cursor: p.Cursor}}
	if err := r.run(ctx); err != nil {
		return r.progress, fmt.Errorf("reconcile: %w", err)
	}
	return r.progress, nil
}

// reconcile is one Reconcile.
type reconcile struct {
	s        *Service
	p        ReconcileParams
	start    time.Time
	progress Progress
	// firsts are the orders on the newest page, each with the number of its first refund in the window: an order with
	// many refunds is read once, not for each of them.
	firsts map[string]string
}

func (r *reconcile) run(ctx context.Context) error {
	if r.p.Orders == nil {
		if r.p.To.IsZero() {
			r.p.To = r.s.now() // what is asked for meanwhile does not make it longer
		}
		r.p.Orders = r.refunded
		if err := r.count(ctx); err != nil {
			return err
		}
	}
	r.start = r.s.now()
	for !r.progress.Done {
		ids, next, err := r.page(ctx, r.progress.Cursor)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := r.order(ctx, id); err != nil {
				return err
			}
		}
		r.progress.Cursor, r.progress.Done = next, next == ""
		r.estimate()
		if r.p.Progress != nil {
			r.p.Progress(ctx, r.progress)
		}
	}
	return nil
}

// count finds out how many orders there are to compare.
func (r *reconcile) count(ctx context.Context) error {
	r.progress.Total = 0
	for cursor := r.p.Cursor; ; {
		ids, next, err := r.page(ctx, cursor)
		if err != nil {
			return err
		}
		r.progress.Total += len(ids)
		if cursor = next; next == "" {
			return nil
		}
	}
}

func (r *reconcile) page(ctx context.Context, cursor string) (ids []string, next string, err error) {
	ids, next, err = r.p.Orders(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("list orders behind %q: %w", cursor, err)
	}
	if next == cursor && next != "" {
		return nil, "", fmt.Errorf("list orders behind %q: the next page is this one again", cursor)
	}
	return ids, next, nil
}

// order compares one order.
func (r *reconcile) order(ctx context.Context, id string) error {
	rep, err := r.s.Sync(ctx, id)
	if ctx.Err() != nil {
		return ctx.Err() // it is not the order's fault; it comes again
	}
	r.progress.Orders++
	r.progress.Adopted += len(rep.Adopted)
	r.progress.Discrepancies += len(rep.Discrepancies)
	if err != nil {
		r.progress.Failed++
	}
	if err == nil && len(rep.Discrepancies) == 0 {
		return nil
	}
	return r.p.Report(ctx, OrderReport{OrderID: id, SyncReport: rep, Err: err})
}

func (r *reconcile) estimate() {
	p := &r.progress
	took := r.s.now().Sub(r.start)
	if took <= 0 {
		return // also where the clock was set back
	}
	p.Rate = float64(p.Orders) / took.Seconds()
	if left := p.Total - p.Orders; left > 0 && p.Orders > 0 {
		p.Remaining = time.Duration(float64(took) / float64(p.Orders) * float64(left))
	} else {
		p.Remaining = 0
	}
}

// filter selects the refunds of the window, behind cursor.
func (r *reconcile) filter(cursor string) (Filter, error) {
	f := Filter{Gateway: r.p.Gateway, From: r.p.From, To: r.p.To}
	if cursor != "" {
		f.After = new(Position)
		if err := json.Unmarshal([]byte(cursor), f.After); err != nil {
			return Filter{}, errors.Join(&order.InvalidError{Field: "cursor", Problem: "was not made by Reconcile"}, err)
		}
	}
	return f, nil
}

// refunded is the OrderPage of the orders with a refund in the window.
func (r *reconcile) refunded(ctx context.Context, cursor string) (ids []string, next string, err error) {
	f, err := r.filter(cursor)
	if err != nil {
		return nil, "", err
	}
	page, err := r.s.ListRefunds(ctx, f)
	if err != nil {
		return nil, "", err
	}
	firsts := map[string]string{}
	for _, e := range page.Entries {
		number, known := firsts[e.OrderID]
		if !known {
			number, known = r.firsts[e.OrderID]
		}
		if !known {
			number = r.first(ctx, e)
		}
		firsts[e.OrderID] = number
		if e.Refund.No == number {
			ids = append(ids, e.OrderID)
		}
	}
	r.firsts = firsts
	if page.Next != nil {
		text, err := json.Marshal(page.Next)
		if err != nil {
			return nil, "", err
		}
		next = string(text)
	}
	return ids, next, nil
}

// first returns the number of the first refund in the window of e's order, so that an order with several is compared
// once. An order that cannot be read is for Sync to report.
func (r *reconcile) first(ctx context.Context, e Entry) string {
	o, err := r.s.get(ctx, e.OrderID)
	if err != nil {
		return e.Refund.No
	}
	for i := range o.Refunds {
		other := Entry{OrderID: o.ID, Refund: o.Refunds[i]}
		if !other.Refund.RequestedAt.Before(r.p.From) && other.Position().Compare(e.Position()) < 0 {
			e = other
		}
	}
	return e.Refund.No
}
