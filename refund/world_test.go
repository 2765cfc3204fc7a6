package refund_test

import (
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// world is a shop and a faithful provider behind a bad line: calls are lost before or after they
// are carried out, or arrive late; funds come and go; an accepted refund ends well, closed or
// abnormal. The provider never lies, pays a number once, and never more than the order's total. It
// opens a closed number again when it is sent again.
type world struct {
	t     *rapid.T
	now   time.Time     // the shop's clock, which may be set back
	real  time.Duration // the true time, since the beginning
	svc   *refund.Service
	store *memstore.Store
	m     *order.Machine

	line  string // what happens to the next call: "", "lost before", "lost after", "late"
	funds bool
	books map[string]*payout // the provider's, by number
	late  []lateCall
	asked int // refunds asked for

	meanwhile []func() // what others do while the next call is under way
	disk      string   // what happens to the next Update: "", "fails", "commits and fails"
}

// payout is one refund in the provider's books.
type payout struct {
	orderID string
	amount  int64
	paid    int64 // in all: more than amount is a double payment
	state   refund.Outcome
}

func newWorld(t *rapid.T) *world {
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	w := &world{
		t: t, now: newClock().Now(), m: m, funds: true, store: memstore.New(),
		books: map[string]*payout{},
	}
	w.svc, err = refund.NewService(m, badDisk{w.store, w}, w, refund.Options{
		Now:     func() time.Time { return w.now },
		Backoff: func(string, int) time.Duration { return 20 * time.Second },
	})
	require.NoError(t, err)
	for _, id := range []string{"O0", "O1"} {
		_, err = w.svc.Register(
			bg, refund.RegisterParams{OrderID: id, Gateway: "bank", Currency: "CNY", Total: total},
		)
		require.NoError(t, err)
	}
	return w
}

// badDisk is the store behind a disk that fails at times, before or after the commit.
type badDisk struct {
	*memstore.Store
	w *world
}

func (d badDisk) Update(
	ctx context.Context, id string, fn func(context.Context, *order.Order) error,
) error {
	disk := d.w.disk
	d.w.disk = ""
	if disk == "fails" {
		return errLost
	}
	if err := d.Store.Update(ctx, id, fn); err != nil || disk == "" {
		return err
	}
	return errLost
}

// busy lets others do what they have to while a call is under way.
func (w *world) busy() {
	todo := w.meanwhile
	w.meanwhile = nil
	for _, do := range todo {
		do()
	}
}

// execute is the provider's side of a refund request.
func (w *world) execute(req refund.Request) refund.Result {
	res := refund.Result{
		RefundNo: req.RefundNo, OrderID: req.OrderID, Amount: req.Amount,
		Outcome: refund.OutcomeAccepted,
	}
	p := w.books[req.RefundNo]
	if p != nil && p.state != refund.OutcomeClosed {
		return res // known: nothing is paid again
	}
	if !w.funds || w.paid(req.OrderID)+req.Amount > total {
		res.Outcome, res.Code = refund.OutcomeDeclined, "NO"
		return res
	}
	if p != nil {
		p.state = refund.OutcomeAccepted // the number is opened again
		return res
	}
	w.books[req.RefundNo] = &payout{
		orderID: req.OrderID, amount: req.Amount, paid: req.Amount, state: refund.OutcomeAccepted,
	}
	return res
}

func (w *world) paid(orderID string) (sum int64) {
	for _, p := range w.books {
		if p.orderID == orderID && p.state != refund.OutcomeClosed {
			sum += p.paid
		}
	}
	return sum
}

func (w *world) Refund(_ context.Context, req refund.Request) (refund.Result, error) {
	line := w.line
	w.line = ""
	w.busy()
	switch line {
	case "lost before":
		return refund.Result{}, errLost
	case "lost after":
		w.execute(req)
		return refund.Result{}, errLost
	case "late":
		// within the quiet period of two minutes
		w.late = append(w.late, lateCall{req, w.real + 90*time.Second})
		return refund.Result{}, errLost
	}
	return w.execute(req), nil
}

func (w *world) Query(_ context.Context, req refund.Request) (refund.Result, error) {
	line := w.line
	w.line = ""
	w.busy()
	if line != "" {
		return refund.Result{}, errLost
	}
	p := w.books[req.RefundNo]
	if p == nil {
		return refund.Result{Outcome: refund.OutcomeNotFound}, nil
	}
	return refund.Result{
		Outcome: p.state, RefundNo: req.RefundNo, OrderID: p.orderID, Amount: p.amount,
	}, nil
}

func (w *world) order(id string) *order.Order {
	o, err := refund.LoadOrder(bg, w.store, id)
	require.NoError(w.t, err)
	return o
}

// refs lists every refund of the book.
func (w *world) refs() (refs []refund.Ref) {
	for _, id := range []string{"O0", "O1"} {
		for _, r := range w.order(id).Refunds {
			refs = append(refs, refund.Ref{OrderID: id, RefundNo: r.No})
		}
	}
	return refs
}

// try runs a command and makes sure that one which fails changes nothing, unless the disk failed
// after the commit. A provider's answer that was learned on the way is no failure (abandon asks
// first).
func (w *world) try(name, id string, do func() error) {
	before, disk := w.order(id), w.disk
	if err := do(); err != nil && name != "abandon" && disk != "commits and fails" {
		require.Equal(w.t, before, w.order(id), "%s failed: %v", name, err)
	}
}

// hint delivers a notification of success, whether it is true or not.
func (w *world) hint(ref refund.Ref) {
	_ = w.svc.HandleNotification(bg, refund.Notification{Gateway: "bank", Result: refund.Result{
		Outcome: refund.OutcomeSucceeded, OrderID: ref.OrderID, RefundNo: ref.RefundNo,
		Amount: w.order(ref.OrderID).Refund(ref.RefundNo).Amount,
	}})
}

// check is what must always hold.
func (w *world) check() {
	for _, id := range []string{"O0", "O1"} {
		o := w.order(id)
		require.NoError(w.t, w.m.Verify(o))
		require.LessOrEqual(w.t, w.paid(id), int64(total))
		require.Zero(w.t, o.Excess())
		for _, r := range o.Refunds {
			p := w.books[r.No]
			switch r.State {
			case order.StateRefunded:
				require.True(
					w.t, p != nil && p.state == refund.OutcomeSucceeded, "%s: booked, not paid",
					r.No,
				)
			case order.StateFailed, order.StateAbandoned, order.StateRejected, order.StateCancelled:
				require.True(
					w.t, p == nil || p.state == refund.OutcomeClosed,
					"%s is %s, and the provider pays it", r.No, r.State,
				)
			}
		}
	}
}

// underWay reports whether a copy of a request is still on the line.
func (w *world) underWay(number string) bool {
	return slices.ContainsFunc(w.late, func(l lateCall) bool { return l.req.RefundNo == number })
}

func (w *world) pass(d time.Duration) {
	w.now, w.real = w.now.Add(d), w.real+d
	w.arrive(w.real)
}

// arrive carries out the late requests whose time has come, or all that are still on the line.
func (w *world) arrive(until time.Duration) {
	var left []lateCall
	for _, l := range w.late {
		if l.by > until {
			left = append(left, l)
			continue
		}
		w.execute(l.req)
	}
	w.late = left
}
