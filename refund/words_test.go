package refund_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestProvidersWordsStayWithTheRefund: its number, code and message, whatever the answer does to
// the refund.
func TestProvidersWordsStayWithTheRefund(t *testing.T) {
	settled := func(e *env) { require.NoError(e.t, by(resolve(refund.ResolutionPaid, "e"))(e)) }
	for _, tc := range []struct {
		name    string
		from    order.State
		outcome refund.Outcome
		to      order.State
	}{
		{"paid", order.StateApproved, refund.OutcomeSucceeded, order.StateRefunded},
		{"paid after a failure", order.StateFailed, refund.OutcomeSucceeded, order.StateRefunded},
		{
			"paid after a rejection", order.StateRejected, refund.OutcomeSucceeded,
			order.StateRefunded,
		},
		{"accepted", order.StateApproved, refund.OutcomeAccepted, order.StateApproved},
		{"accepted, cancelled", order.StateCancelled, refund.OutcomeAccepted, order.StateApproved},
		{"abnormal", order.StateApproved, refund.OutcomeAbnormal, order.StateAbnormal},
		{"abnormal, given up", order.StateAbandoned, refund.OutcomeAbnormal, order.StateAbnormal},
		{"closed", order.StateApproved, refund.OutcomeClosed, order.StateFailed},
		{
			"closed after it was abnormal", order.StateAbnormal, refund.OutcomeClosed,
			order.StateFailed,
		},
		{
			"paid, a person said so", order.StateRefunded, refund.OutcomeSucceeded,
			order.StateRefunded,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			if tc.to == order.StateRefunded && tc.from == tc.to {
				e.into(order.StateAbnormal)
				settled(e)
			} else {
				e.into(tc.from)
			}
			if tc.from == order.StateApproved {
				e.process(o1("R1")) // accepted: it may also close
				e.clock.Advance(time.Minute)
			}
			said := refundtest.Answer(refund.Result{
				Outcome: tc.outcome, ProviderRefundID: "501", Code: "CODE", Message: "words",
			})
			e.bank.NextQuery(said)
			if tc.from == order.StateApproved {
				e.process(o1("R1"))
			} else {
				e.clock.Advance(time.Minute)
				_, err := e.svc.Sync(bg, "O1")
				require.NoError(t, err)
				// Never sent: only a hint asks about it.
				if e.refund("R1").State == tc.from && tc.from != tc.to {
					e.hint()
				}
			}
			r := e.refund("R1")
			require.Equal(
				t,
				[]any{tc.to, "501", "CODE", "words"},
				[]any{r.State, r.ProviderRefundID, r.Code, r.Message},
			)
			require.Equal(t, e.clock.Now(), e.order().UpdatedAt)
		})
	}
}

// TestDenialHasAMessage: first that the provider does not confirm the refund any more, and after
// the quiet period that it denies it, each with the provider's code.
func TestDenialHasAMessage(t *testing.T) {
	for _, denied := range []refund.Outcome{refund.OutcomeNotFound, refund.OutcomeDeclined} {
		e := newEnv(t)
		ref := e.approved("R1", 4000)
		e.process(ref)
		for _, step := range []struct{ code, message string }{
			{"FIRST", "the provider does not confirm it any more"},
			{"SECOND", "the provider denies a refund that it has accepted"},
		} {
			e.bank.NextQuery(refundtest.Answer(refund.Result{Outcome: denied, Code: step.code}))
			e.steps(ref, 1)
			r := e.refund("R1")
			require.Equal(t, []any{step.code, step.message}, []any{r.Code, r.Message}, denied)
			require.Equal(t, "provider-R1", r.ProviderRefundID)
		}
	}
}

// TestDiscrepancyHasAllFields: the refund, the state in the book, the provider's result, and the
// reason.
func TestDiscrepancyHasAllFields(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRefunded)
	e.bank.NextQuery(refundtest.Answer(refund.Result{
		Outcome: refund.OutcomeClosed, Code: "REFUNDCLOSE",
	}))
	_, err := e.svc.Sync(bg, "O1")
	require.NoError(t, err)
	require.Len(t, e.discrepancies, 1)
	require.Equal(t, "REFUNDCLOSE", e.refund("R1").Code)
	c := e.discrepancies[0]
	require.EqualError(t, c.Err,
		"refund R1 of order O1: the provider says closed of a refund that is booked as refunded")
	c.Err = nil
	require.Equal(t, refund.Discrepancy{
		Ref: o1("R1"), Book: order.StateRefunded,
		Result: refund.Result{
			Outcome: refund.OutcomeClosed, RefundNo: "R1", OrderID: "O1", Amount: 4000,
			Code: "REFUNDCLOSE",
		},
	}, c)
}

func TestStuckHasAllFields(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	approved := e.clock.Now()
	e.clock.Advance(24 * time.Hour)
	e.bank.NextRefund(refundtest.Fail(errLost))
	e.process(ref)
	require.Equal(t, []refund.Stuck{{
		Ref: o1("R1"), Gateway: "bank", ApprovedAt: approved, Attempts: 1,
		Err: errLost,
	}}, e.stuck)
}

func TestNilHooksAreSkipped(t *testing.T) {
	var log logtest.Recorder
	e := newEnv(
		t,
		func(_ *env, o *refund.Options) { o.Hooks, o.Logger = nil, log.Logger() },
	)
	e.into(order.StateRefunded)
	e.bank.NextQuery(refundtest.Answer(isClosed))
	_, err := e.svc.Sync(bg, "O1") // a conflict
	require.NoError(t, err)
	require.NoError(t, e.svc.HandleNotification(bg, success("R9", 1)))
	ref := e.approved("R2", 1000)
	e.clock.Advance(48 * time.Hour)
	e.bank.NextRefund(refundtest.Fail(&refund.SetupError{Err: errLost}))
	e.process(ref) // a set-up fault, and stuck
	for _, r := range log.Records() {
		require.NotEqual(t, "hook panicked", r.Message)
	}
}

// TestTransitionIsLoggedWithItsAmount: the log alone shows where the money went.
func TestTransitionIsLoggedWithItsAmount(t *testing.T) {
	var log logtest.Recorder
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Logger = log.Logger() })
	e.into(order.StateRefundRequested)
	records := log.Records()
	require.Len(t, records, 1)
	got := map[string]string{}
	for _, a := range records[0].Attrs {
		got[a.Key] = a.Value.String()
	}
	require.Equal(t, map[string]string{
		"order_id": "O1", "refund_no": "R1", "event": "request_refund", "from": "paid",
		"to":    "refund_requested",
		"actor": "buyer:1", "amount": "4000", "currency": "CNY",
	}, got)
}

// TestTracedCommandsReturnTheSame: the Trace hook changes neither result nor error.
func TestTracedCommandsReturnTheSame(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].Trace = func(
			ctx context.Context, _ refund.Command,
		) (context.Context, func(error)) {
			return ctx, nil
		}
	})
	e.into(order.StateRefundRequested)
	r, err := approve(4000).do(bg, e.svc)
	require.NoError(t, err)
	require.Equal(t, e.refund("R1"), r)
	_, err = approve(1).do(bg, e.svc)
	require.ErrorIs(t, err, order.ErrConflict)
}

// TestObserveAsksThreeTimesAtMost: the book changes each time.
func TestObserveAsksThreeTimesAtMost(t *testing.T) {
	e := newEnv(t)
	e.into(order.StateRejected)
	e.console("R1", 4000, refund.OutcomeAccepted)
	for i := range 3 {
		e.bank.NextQuery(refundtest.Answer(isAccepted).Before(func(context.Context) {
			require.NoError(t, e.store.Update(bg, "O1", func(
				_ context.Context, o *order.Order,
			) error {
				o.Refunds[0].Message = fmt.Sprint("something else has changed ", i)
				return nil
			}))
		}))
	}
	err := e.svc.HandleNotification(bg, success("R1", 4000))
	require.ErrorIs(t, err, order.ErrConflict, "the provider should deliver it again")
	require.Equal(t, []string{"query R1", "query R1", "query R1"}, called(e.bank))
	require.Equal(t, order.StateRejected, e.refund("R1").State, "the next hint finds it")
	e.hint()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestNotificationErrorNamesTheField: a number or a total that the notification does not name
// contradicts nothing.
func TestNotificationErrorNamesTheField(t *testing.T) {
	e := newEnv(t)
	_, err := e.svc.Register(bg, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", PaymentID: "P1", Currency: "CNY", Total: 10000,
	})
	require.NoError(t, err)
	e.process(e.approved("R1", 4000))
	for says, change := range map[string]func(*refund.Notification){
		`amount is "1", want "4000"`:       func(n *refund.Notification) { n.Result.Amount = 1 },
		`total is "1", want "10000"`:       func(n *refund.Notification) { n.Total = 1 },
		`gateway is "other", want "bank"`:  func(n *refund.Notification) { n.Gateway = "other" },
		`payment_id is "other", want "P1"`: func(n *refund.Notification) { n.PaymentID = "other" },
		`refund_id is "1", want "provider-R1"`: func(n *refund.Notification) {
			n.Result.ProviderRefundID = "1"
		},
		`amount is "0", want "4000"`:      func(n *refund.Notification) { n.Result.Amount = 0 },
		`total is "-10000", want "10000"`: func(n *refund.Notification) { n.Total = -10000 },
		`payment_id is "P1\x00", want "P1"`: func(
			n *refund.Notification,
		) {
			n.PaymentID = "P1\x00"
		},
		`gateway is "banks", want "bank"`: func(n *refund.Notification) { n.Gateway = "banks" },
		`refund_id is "provider", want "provider-R1`: func(n *refund.Notification) {
			n.Result.ProviderRefundID = "provider"
		},
	} {
		n := success("R1", 4000)
		change(&n)
		require.ErrorContains(t, e.svc.HandleNotification(bg, n), says)
	}
	n := success("R1", 4000)
	n.Gateway, n.PaymentID, n.Total, n.Result.ProviderRefundID = "bank", "P1", 10000, "provider-R1"
	require.NoError(t, e.svc.HandleNotification(bg, n))
}

// TestNotificationOfAnOrderWithoutPaymentNumber: a field that the book does not know cannot be
// contradicted.
func TestNotificationOfAnOrderWithoutPaymentNumber(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost))
	e.process(e.approved("R1", 4000))
	n := success("R1", 4000)
	n.PaymentID, n.Result.ProviderRefundID = "P1", "provider-R1"
	require.NoError(t, e.svc.HandleNotification(bg, n))
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
}

// TestNewServiceNamesWhatIsMissing: everything at once.
func TestNewServiceNamesWhatIsMissing(t *testing.T) {
	_, err := refund.NewService(nil, nil, nil, refund.Options{
		CallTimeout: -1, Lease: -2, QuietPeriod: -1, MaxWait: -1, SetupBackoff: -1, AlertAfter: -1,
		MaxRequests: -1,
	})
	require.ErrorIs(t, err, order.ErrInvalid)
	require.EqualError(t, err, "new refund service: "+strings.Join([]string{
		"machine: is nil", "store: is nil", "gateway: is nil", "call_timeout: is negative",
		"lease: is negative", "quiet_period: is negative", "max_wait: is negative",
		"setup_backoff: is negative", "alert_after: is negative", "max_requests: is negative",
		"lease: must be longer than call_timeout",
	}, "\n"))
	e := newEnv(t)
	_, err = refund.NewService(&order.Machine{}, e.store, e.bank, refund.Options{})
	require.EqualError(t, err, "new refund service: machine: is not made with NewMachine")
	_, err = refund.NewService(
		e.machine,
		e.store,
		e.bank,
		refund.Options{CallTimeout: time.Minute, Lease: time.Minute},
	)
	require.EqualError(t, err, "new refund service: lease: must be longer than call_timeout")
}

func TestGatewaysErrorsNameTheGateway(t *testing.T) {
	_, err := refund.NewGateways(nil)
	require.EqualError(t, err, "new gateways: gateways: is empty")
	require.ErrorIs(t, err, order.ErrInvalid)
	_, err = refund.NewGateways(map[string]refund.RefundGateway{"x": nil})
	require.EqualError(t, err, `new gateways: gateway: "x" is nil`)
	require.ErrorIs(t, err, order.ErrInvalid)

	g, err := refund.NewGateways(map[string]refund.RefundGateway{"bank": newBank().Plain()})
	require.NoError(t, err)
	_, refundErr := g.Refund(bg, refund.Request{Gateway: "x"})
	_, queryErr := g.Query(bg, refund.Request{Gateway: "x"})
	for _, err := range []error{refundErr, queryErr} {
		var setup *refund.SetupError
		require.ErrorAs(t, err, &setup)
		require.Equal(t, "x", setup.Gateway)
		require.ErrorIs(t, err, refund.ErrUnknownGateway)
		require.EqualError(t, err, `set-up of gateway "x": gateway "x": unknown gateway`)
	}
}

func TestBusyErrorText(t *testing.T) {
	require.EqualError(
		t,
		&refund.BusyError{After: time.Second, Err: errors.New("busy")},
		"retry in 1s: busy",
	)
}
