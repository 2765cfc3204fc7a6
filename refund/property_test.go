package refund_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// lateCall is a request that was given up on and still arrives.
type lateCall struct {
	req refund.Request
	by  time.Duration
}

const total = 100

func TestServiceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		pick := func(t *rapid.T) refund.Ref {
			refs := w.refs()
			if len(refs) == 0 {
				t.Skip("no refund yet")
			}
			return rapid.SampledFrom(refs).Draw(t, "refund")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { w.check() },
			"request": func(t *rapid.T) {
				id := rapid.SampledFrom([]string{"O0", "O1"}).Draw(t, "order")
				amount := rapid.Int64Range(-5, total+5).Draw(t, "amount")
				w.asked++
				w.try("request", id, func() error {
					_, err := w.svc.Request(bg, refund.RequestParams{
						Ref: refund.Ref{
							OrderID: id, RefundNo: fmt.Sprintf("R%d", w.asked),
						}, Amount: amount, Actor: buyer,
					})
					if left := w.order(id).Refundable(); err != nil && !errors.Is(err, errLost) {
						require.True(
							t, amount <= 0 || amount > left, "refused %d of %d", amount, left,
						)
					}
					return err
				})
			},
			"approve": func(t *rapid.T) {
				ref := pick(t)
				w.try("approve", ref.OrderID, func() error {
					amount := w.order(ref.OrderID).Refund(ref.RefundNo).Amount
					_, err := w.svc.Approve(
						bg, refund.ApproveParams{Ref: ref, Amount: amount, Actor: seller},
					)
					return err
				})
			},
			"reject": func(t *rapid.T) {
				ref := pick(t)
				w.try("reject", ref.OrderID, func() error {
					_, err := w.svc.Reject(
						bg, refund.RejectParams{Ref: ref, Actor: seller, Note: "no"},
					)
					return err
				})
			},
			"cancel": func(t *rapid.T) {
				ref := pick(t)
				w.try("cancel", ref.OrderID, func() error {
					_, err := w.svc.Cancel(bg, refund.CancelParams{
						Ref: ref, Actor: buyer, EvenIfApproved: rapid.Bool().Draw(t, "approved"),
					})
					return err
				})
			},
			"retry": func(t *rapid.T) {
				ref := pick(t)
				w.try("retry", ref.OrderID, func() error {
					_, err := w.svc.Retry(bg, refund.RetryParams{Ref: ref, Actor: seller})
					return err
				})
			},
			"abandon": func(t *rapid.T) {
				ref := pick(t)
				w.try("abandon", ref.OrderID, func() error {
					_, err := w.svc.Abandon(bg, refund.AbandonParams{Ref: ref, Actor: seller})
					return err
				})
			},
			"process": func(t *rapid.T) {
				_, err := w.svc.Process(bg, pick(t))
				if !errors.Is(err, errLost) {
					require.NoError(t, err)
				}
			},
			"bad disk": func(t *rapid.T) {
				w.disk = rapid.SampledFrom([]string{"fails", "commits and fails"}).Draw(t, "disk")
			},
			"meanwhile": func(t *rapid.T) {
				ref := pick(t)
				do := rapid.SampledFrom([]func(){
					func() { _, _ = w.svc.Process(bg, ref) },
					func() { w.hint(ref) },
					func() {
						_, _ = w.svc.Retry(bg, refund.RetryParams{Ref: ref, Actor: seller})
					},
					func() {
						_, _ = w.svc.Abandon(bg, refund.AbandonParams{Ref: ref, Actor: seller})
					},
					func() {
						_, _ = w.svc.Cancel(bg, refund.CancelParams{
							Ref: ref, Actor: buyer, EvenIfApproved: true,
						})
					},
					func() { w.disk = "fails" }, // the answer is not recorded: the process dies
					func() { w.disk = "commits and fails" },
					func() { w.pass(65 * time.Second) },      // the lease runs out
					func() { w.now = w.now.Add(-time.Hour) }, // the clock is set back
					func() { w.arrive(w.real + time.Hour) },
				}).Draw(t, "do")
				w.meanwhile = append(w.meanwhile, do)
			},
			"notification": func(t *rapid.T) { // true, forged, early or late
				w.hint(pick(t))
			},
			"bad line": func(t *rapid.T) {
				w.line = rapid.SampledFrom([]string{
					"lost before", "lost after", "late",
				}).Draw(t, "line")
			},
			"funds": func(t *rapid.T) { w.funds = rapid.Bool().Draw(t, "funds") },
			"end": func(t *rapid.T) { // the provider ends an accepted refund
				ref := pick(t)
				p := w.books[ref.RefundNo]
				if p == nil {
					return
				}
				if p.state == refund.OutcomeAccepted || p.state == refund.OutcomeAbnormal {
					ends := []refund.Outcome{
						refund.OutcomeSucceeded, refund.OutcomeAbnormal, refund.OutcomeClosed,
					}
					if w.underWay(ref.RefundNo) {
						ends = ends[:2] // nothing is closed as fast as that
					}
					p.state = rapid.SampledFrom(ends).Draw(t, "end")
				}
			},
			"time passes": func(t *rapid.T) {
				w.pass(time.Duration(rapid.IntRange(1, 150).Draw(t, "seconds")) * time.Second)
			},
		})
		w.settleDown()
	})
}

// settleDown ends every fault and processes until all is quiet: nothing is left approved, and the
// book says what the provider paid.
func (w *world) settleDown() {
	w.line, w.funds, w.disk, w.meanwhile = "", true, "", nil
	w.arrive(w.real + time.Hour)
	for _, p := range w.books {
		if p.state == refund.OutcomeAccepted {
			p.state = refund.OutcomeSucceeded
		}
	}
	// enough even if a clock that was set back delays the refunds
	for range 60 {
		w.now = w.now.Add(30 * time.Minute)
		for _, ref := range w.refs() {
			_, err := w.svc.Process(bg, ref)
			require.NoError(w.t, err)
			if p := w.books[ref.RefundNo]; p != nil && p.state == refund.OutcomeAccepted {
				p.state = refund.OutcomeSucceeded
			}
		}
		w.check()
	}
	for _, id := range []string{"O0", "O1"} {
		for _, r := range w.order(id).Refunds {
			require.NotEqual(w.t, order.StateApproved, r.State, "%s never ended", r.No)
		}
		_, err := w.svc.Sync(bg, id) // a person asks how an abnormal refund ended
		require.NoError(w.t, err)
		o := w.order(id)
		booked := o.Refunded
		for _, r := range o.Refunds {
			if r.State == order.StateAbnormal {
				booked += r.Amount // the money left the merchant
			}
		}
		require.Equal(w.t, w.paid(id), booked, "order %s", id)
	}
}
