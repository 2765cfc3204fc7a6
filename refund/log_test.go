package refund_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestLogs: every record that the package can write is in the table of its documentation. No record
// holds what people wrote.
func TestLogs(t *testing.T) {
	log := &logtest.Recorder{}
	const secret = "their words"
	broken, loud := false, false
	e := newEnv(t, func(e *env, o *refund.Options) {
		o.Logger = log.Logger()
		o.Backoff = func(string, int) time.Duration {
			if loud {
				panic("backoff")
			}
			return time.Minute
		}
		o.Hooks[0].After = func(context.Context, *order.Order, order.Transition) {
			if loud {
				panic("after")
			}
		}
		o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, tr order.Transition) error {
			if broken && tr.Event == order.EventSettle {
				return errors.New("the host's table is full")
			}
			return nil
		}
	})
	e.register()
	request := func(number string) refund.Ref {
		_, err := e.svc.Request(
			bg, refund.RequestParams{Ref: o1(number), Amount: 10, Reason: secret, Actor: buyer},
		)
		require.NoError(t, err)
		_, err = e.svc.Approve(
			bg, refund.ApproveParams{Ref: o1(number), Amount: 10, Actor: seller, Note: secret},
		)
		require.NoError(t, err)
		return o1(number)
	}

	e.bank.NextRefund(refundtest.PayWhenAsked())
	e.process(request("R0")) // refund has no outcome yet
	e.run()

	ref := request("R1") // refund transition
	e.bank.NextRefund(setupFault())
	e.process(ref) // gateway set-up fault, refund has no outcome yet
	e.clock.Advance(25 * time.Hour)
	loud = true
	e.process(ref) // refund stuck, backoff panicked
	e.clock.Advance(25 * time.Hour)
	loud, broken = false, true
	_, err := e.svc.Process(bg, ref) // refund answer not recorded
	require.Error(t, err)
	e.clock.Advance(25 * time.Hour)
	broken, loud = false, true
	e.run() // hook panicked
	loud = false
	e.bank.NextQuery(refundtest.Answer(isAbnormal))
	_, err = e.svc.Sync(bg, "O1") // refund discrepancy
	require.NoError(t, err)

	n := refund.Notification{
		Gateway: "bank", Result: refund.Result{OrderID: "O1", RefundNo: "R1", Amount: 11},
	}
	require.ErrorIs(t, e.svc.HandleNotification(bg, n), refund.ErrMismatch) // notification refused
	n.Result.RefundNo = "R9"
	require.NoError(t, e.svc.HandleNotification(bg, n)) // notification for an unknown refund
	h, err := e.service(e.bank, refund.Options{Logger: log.Logger()}).NotificationHandler("bank")
	require.NoError(t, err)
	// not readable
	h.ServeHTTP(
		httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("?")),
	)

	s, err := refund.NewService(
		e.machine, joining{e.store}, e.bank, refund.Options{Now: e.clock.Now, Logger: log.Logger()},
	)
	require.NoError(t, err)
	_, err = s.Request(
		bg, refund.RequestParams{Ref: o1("R2"), Amount: 10, Reason: secret, Actor: buyer},
	)
	require.NoError(t, err) // after hooks do not run

	u := e.service(e.bank, refund.Options{Logger: log.Logger()})
	_, err = u.Request(bg, refund.RequestParams{Ref: o1("R3"), Amount: 10, Actor: buyer})
	require.NoError(t, err)
	u, err = refund.NewService(
		e.machine, unreadable{e.store, "O1"}, e.bank,
		refund.Options{Now: e.clock.Now, Logger: log.Logger()},
	)
	require.NoError(t, err)
	_, err = u.ApproveAndSend(bg, refund.ApproveParams{Ref: o1("R3"), Amount: 10, Actor: seller})
	require.NoError(t, err) // refund approved, its outcome is not known

	require.ErrorIs(t, e.alertedTwice(log.Logger()), errStore) // refund discrepancy not noted

	require.Empty(t, logtest.Check(".", log.Records()))
	for _, r := range log.Records() {
		for _, a := range r.Attrs {
			require.NotNil(t, a.Value.Any(), "%s: %s", r.Message, a.Key)
			require.NotContains(t, a.Value.String(), secret, "%s: %s", r.Message, a.Key)
		}
	}
}

// joining is a store that is in a transaction and does not learn of its end.
type joining struct{ refund.Store }

func (joining) Joined(context.Context) bool                                 { return true }
func (joining) AfterCommit(context.Context, func(ctx context.Context)) bool { return false }
