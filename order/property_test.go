package order_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orderfsm/orderfsm/order"
)

// model tells the same story as the machine in other words: what each refund went through, by what
// is open to it, with sums that are added up each time.
type model struct {
	total   int64
	amounts map[string]int64
	states  map[string]string
	tries   map[string]bool // may have been submitted
}

// after is where an event leads, the table seen from the refund's side; "" is not allowed.
func (d *model) after(number, ev string) string {
	switch d.states[number] {
	case "":
		return map[string]string{"request_refund": "refund_requested", "adopt": "approved"}[ev]
	case "refund_requested":
		return map[string]string{
			"approve": "approved", "reject": "rejected", "cancel": "cancelled", "adopt": "approved", "second_review": "reviewed",
		}[ev]
	case "reviewed":
		return map[string]string{"approve": "approved", "reject": "rejected", "adopt": "approved", "back": "refund_requested"}[ev]
	case "approved":
		if ev == "cancel" && d.tries[number] {
			return ""
		}
		return map[string]string{"cancel": "cancelled", "settle": "refunded", "fail": "failed", "hold": "abnormal"}[ev]
	case "abnormal":
		return map[string]string{"settle": "refunded", "fail": "failed"}[ev]
	case "failed":
		return map[string]string{"settle": "refunded", "retry": "approved", "abandon": "abandoned", "adopt": "approved"}[ev]
	case "rejected", "cancelled", "abandoned":
		return map[string]string{"adopt": "approved"}[ev]
	default:
		return ""
	}
}

func (d *model) sum(states ...string) (sum int64) {
	for number, s := range d.states {
		if slices.Contains(states, s) {
			sum += d.amounts[number]
		}
	}
	return sum
}

func (d *model) refunded() int64 { return d.sum("refunded") }

func (d *model) reserved() int64 {
	return d.sum("refund_requested", "reviewed", "approved", "abnormal", "failed")
}

func (d *model) left() int64 { return max(0, d.total-d.refunded()-d.reserved()) }

func (d *model) shows() string {
	for _, press := range []string{"abnormal", "approved", "reviewed", "refund_requested", "failed"} {
		for _, s := range d.states {
			if s == press {
				return press
			}
		}
	}
	if d.refunded() >= d.total {
		return "refunded"
	}
	return "paid"
}

func TestRandomWalksAgreeWithTheModel(t *testing.T) {
	m := newMachine(t,
		order.Row{Event: "second_review", From: order.StateRefundRequested, To: "reviewed"},
		order.Row{Event: order.EventApprove, From: "reviewed", To: order.StateApproved},
		order.Row{Event: order.EventReject, From: "reviewed", To: order.StateRejected},
		order.Row{Event: "back", From: "reviewed", To: order.StateRefundRequested},
	)
	events := []string{"second_review", "back", "no_such_event"}
	for _, ev := range coreEvents() {
		events = append(events, string(ev))
	}
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 300).Draw(t, "total")
		w := &walker{m: m, o: newOrder(total), d: &model{
			total: total, amounts: map[string]int64{}, states: map[string]string{},
			tries: map[string]bool{},
		}}
		t.Repeat(map[string]func(*rapid.T){
			"fire":    func(t *rapid.T) { w.fire(t, rapid.SampledFrom(events).Draw(t, "event")) },
			"advance": func(t *rapid.T) { w.advance(t) },
			"submit":  func(t *rapid.T) { w.submit(t) },
			"":        func(t *rapid.T) { w.check(t) },
		})
	})
}

type walker struct {
	m       *order.Machine
	o       *order.Order
	d       *model
	history int
	adopted bool
}

func drawNumber(t *rapid.T) string { return fmt.Sprintf("R%d", rapid.IntRange(1, 5).Draw(t, "number")) }

// advance fires one of the events that are possible, so that walks get far.
func (w *walker) advance(t *rapid.T) {
	number := drawNumber(t)
	if events := w.m.Available(w.o, number); len(events) > 0 {
		w.step(t, number, string(rapid.SampledFrom(events).Draw(t, "event")),
			rapid.Int64Range(1, 100).Draw(t, "amount"), "seen")
	}
}

// fire fires anything.
func (w *walker) fire(t *rapid.T, ev string) {
	amount := rapid.OneOf(rapid.Int64Range(-1, 310), rapid.Int64(), rapid.Just(w.d.left())).Draw(t,
		"amount")
	if ev == "adopt" { // sums of a few random int64 would overflow the naive model
		amount = min(amount, 1000)
	}
	w.step(t, drawNumber(t), ev, amount, rapid.SampledFrom([]string{"", "seen"}).Draw(t, "note"))
}

func (w *walker) step(t *rapid.T, number, ev string, amount int64, note string) {
	to := w.d.after(number, ev)
	creates := w.d.states[number] == ""
	refusedFor := ""
	switch {
	case to == "":
		refusedFor = "table"
	case ev == "request_refund" && (amount <= 0 || amount > w.d.left()), ev == "adopt" && creates && amount <= 0:
		refusedFor = "amount"
	case (ev == "approve" || ev == "retry") && w.d.refunded()+w.d.reserved() > w.d.total:
		refusedFor = "excess"
	case ev == "reject" && note == "":
		refusedFor = "note"
	}
	before, bytes := w.o.Clone(), toJSON(t, w.o)
	in := trigger(order.Event(ev), number, amount)
	in.Note, in.At = note, t0().Add(time.Duration(w.history)*time.Second)
	tr, err := w.m.Fire(context.Background(), w.o, in)
	if refusedFor != "" {
		require.Error(t, err, "%s %s must be refused: %s", ev, number, refusedFor)
		require.Equal(t, before, w.o)
		require.Equal(t, bytes, toJSON(t, w.o))
		return
	}
	require.NoError(t, err)
	require.Equal(t, to, string(tr.To))
	w.d.states[number] = to
	if creates {
		w.d.amounts[number] = amount
	}
	w.d.tries[number] = w.d.tries[number] || ev == "adopt" || ev == "retry"
	w.adopted = w.adopted || ev == "adopt"
	w.history++
}

// submit is what Process does before it asks the provider.
func (w *walker) submit(t *rapid.T) {
	number := drawNumber(t)
	if r := w.o.Refund(number); r != nil && r.State == order.StateApproved {
		r.Attempts, r.Outstanding = r.Attempts+1, true
		w.d.tries[number] = true
	}
}

func (w *walker) check(t *rapid.T) {
	o := w.o
	require.NoError(t, w.m.Verify(o))
	require.Equal(t, w.d.refunded(), o.Refunded)
	require.Equal(t, w.d.reserved(), o.Reserved)
	require.Equal(t, w.d.left(), o.Refundable())
	require.Equal(t, w.d.shows(), string(o.State))
	if !w.adopted {
		require.LessOrEqual(t, o.Refunded+o.Reserved, o.Total)
	}
	require.Len(t, o.History, w.history)
	require.Len(t, o.Refunds, len(w.d.states))
	for i, tr := range o.History {
		require.Equal(t, int64(i+1), tr.Seq)
	}
	for number, s := range w.d.states {
		require.Equal(t, s, string(o.Refund(number).State))
		require.Equal(t, w.d.amounts[number], o.Refund(number).Amount)
		for _, ev := range w.m.Available(o, number) {
			require.NotEmpty(t, w.d.after(number, string(ev)), "%s offered for %s", ev, s)
		}
	}
}
