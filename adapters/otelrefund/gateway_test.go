package otelrefund_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// codedError is an error with the provider's code.
type codedError struct{ code string }

func (e *codedError) Error() string     { return "the bank said " + e.code }
func (e *codedError) ErrorCode() string { return e.code }

// TestCallIsRecordedAndUnchanged: the table says what is recorded for each answer. The caller
// receives the answer unchanged.
func TestCallIsRecordedAndUnchanged(t *testing.T) {
	type answer struct {
		res refund.Result
		err error
	}
	declined := func(code string) answer {
		return answer{res: refund.Result{Outcome: refund.OutcomeDeclined, Code: code}}
	}
	for name, c := range map[string]struct {
		answer                 answer
		outcome, code, problem string
	}{
		"succeeded":                {answer{res: refund.Result{Outcome: refund.OutcomeSucceeded}}, "succeeded", "", ""},
		"declined is not an error": {declined("NOTENOUGH"), "declined", "NOTENOUGH", ""},
		"no outcome":               {answer{}, "unknown", "", "no_outcome"},
		"an invalid outcome":       {answer{res: refund.Result{Outcome: "paid"}}, "invalid", "", "no_outcome"},
		"error":                    {answer{err: errors.New("reset")}, "unknown", "", "_OTHER"},
		"set-up": {
			answer{err: &refund.SetupError{Gateway: "bank", Err: &codedError{"CERT_ERROR"}}},
			"unknown", "CERT_ERROR", "setup",
		},
		"busy": {
			answer{err: fmt.Errorf("call: %w", &refund.BusyError{
				After: time.Second, Err: &codedError{"SYSTEMERROR"},
			})},
			"unknown", "SYSTEMERROR", "busy",
		},
		"a lost connection":    {answer{err: &net.OpError{Op: "read", Err: errors.New("reset")}}, "unknown", "", "connection"},
		"a time-out":           {answer{err: fmt.Errorf("ask the bank: %w", context.DeadlineExceeded)}, "unknown", "", "timeout"},
		"a network's time-out": {answer{err: &url.Error{Op: "Post", Err: os.ErrDeadlineExceeded}}, "unknown", "", "timeout"},
		"mismatch":             {answer{err: &refund.MismatchError{Field: "amount"}}, "unknown", "", "mismatch"},
		"a text for a code":    {declined("Mr Smith has no account"), "declined", "other", ""},
		"a long code":          {declined(strings.Repeat("A", 65)), "declined", "other", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			step := refundtest.Answer(c.answer.res)
			if c.answer.err != nil {
				step = step.ThenFail(c.answer.err)
			}
			step = step.Before(func(context.Context) { r.clock.Advance(1500 * time.Millisecond) })
			b := refundtest.New()
			b.Next(step, step)
			g := r.Gateway(b)
			res, err := g.Refund(bg, refund.Request{
				Gateway: "bank", OrderID: "O1", RefundNo: "R1", Amount: 5, Reason: "r",
			})
			require.Equal(t, c.answer.err, err)
			require.Equal(t, c.answer.res.Code, res.Code)
			_, err = g.Query(bg, refund.Request{
				Gateway: "bank", OrderID: "O1", RefundNo: "R1", Amount: 5,
			})
			require.Equal(t, c.answer.err, err)

			code, problem, status := "", "", ""
			if c.code != "" {
				code = "code=" + c.code + " "
			}
			if c.problem != "" {
				problem, status = "error.type="+c.problem+" ", " Error: "+c.problem
			}
			require.Equal(t, []string{
				"gateway.refund client {" + problem + code + "gateway=bank operation=refund order_id=O1 outcome=" + c.outcome + " refund_no=R1}" + status,
				"gateway.query client {" + problem + code + "gateway=bank operation=query order_id=O1 outcome=" + c.outcome + " refund_no=R1}" + status,
			}, r.ended())
			require.Equal(t, []string{
				"gateway.call.duration{" + problem + "gateway=bank operation=query outcome=" + c.outcome + "} 1 of 1.5s",
				"gateway.call.duration{" + problem + "gateway=bank operation=refund outcome=" + c.outcome + "} 1 of 1.5s",
				"gateway.calls{" + code + "gateway=bank operation=query outcome=" + c.outcome + "} 1",
				"gateway.calls{" + code + "gateway=bank operation=refund outcome=" + c.outcome + "} 1",
			}, r.metrics())
		})
	}
}

// TestEndedContextIsRecorded: a call that timed out or was cancelled is recorded, although its ctx
// has ended.
func TestEndedContextIsRecorded(t *testing.T) {
	for _, c := range []struct {
		ctx  func() (context.Context, context.CancelFunc)
		want string
	}{
		{func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(bg, start.AddDate(-10, 0, 0))
		}, "timeout"},
		{func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(bg)
			cancel()
			return ctx, cancel
		}, "canceled"},
	} {
		r := newRecording(t)
		ctx, cancel := c.ctx()
		_, err := r.Gateway(refundtest.New()).Query(ctx, refund.Request{Gateway: "bank"})
		cancel()
		require.ErrorIs(t, err, ctx.Err())
		require.Contains(t, r.metrics(),
			"gateway.calls{gateway=bank operation=query outcome=unknown} 1")
		require.Contains(t, r.metrics(), "gateway.call.duration{error.type="+c.want+" gateway=bank operation=query outcome=unknown} 1 of 0s")
	}
}

// TestPanicIsPassedOn: the caller receives the panic. The outcome of the call is unknown.
func TestPanicIsPassedOn(t *testing.T) {
	r := newRecording(t)
	b := refundtest.New()
	b.Next(refundtest.Pay().Before(func(context.Context) { panic("bank") }))
	require.PanicsWithValue(t, "bank",
		func() { _, _ = r.Gateway(b).Refund(bg, refund.Request{Gateway: "bank", RefundNo: "R1"}) })
	require.Equal(t, []string{
		"gateway.refund client {error.type=panic gateway=bank operation=refund order_id= outcome=unknown refund_no=R1} Error: panic",
	}, r.ended())
}

// TestCodesAreBounded: a provider that invents codes does not get a series for each.
func TestCodesAreBounded(t *testing.T) {
	r := newRecording(t)
	b := refundtest.New()
	g := r.Gateway(b)
	for i := range 1000 {
		b.Next(refundtest.Decline(fmt.Sprintf("E%d", i)))
		_, err := g.Refund(bg, refund.Request{Gateway: "bank"})
		require.NoError(t, err)
	}
	lines := r.metrics()
	require.Len(t, lines, 102, "100 codes, the others, and the durations")
	require.Contains(t, lines,
		"gateway.calls{code=other gateway=bank operation=refund outcome=declined} 900")
}

// newFull returns a gateway with every optional interface.
func newFull() *refundtest.Gateway {
	b := refundtest.New()
	b.SetCheck(func(refund.Request) error { return order.ErrInvalid })
	b.SetLimits(refund.Limits{MaxRefunds: 4})
	return b
}

// TestOptionalInterfacesAreThoseOfTheGateway: the decorated gateway has the optional interfaces of
// its gateway, and the others do no harm.
func TestOptionalInterfacesAreThoseOfTheGateway(t *testing.T) {
	r := newRecording(t)
	bare, full := r.Gateway(refundtest.New().Plain()), r.Gateway(newFull())
	_, ok := bare.(refund.NotificationReader)
	require.False(t, ok)
	_, ok = bare.(refund.Router)
	require.False(t, ok)
	_, ok = full.(refund.Router)
	require.False(t, ok)
	require.Implements(t, (*refund.NotificationReader)(nil), full)
	require.Nil(t, r.Gateway(nil))

	for _, c := range []struct {
		g      refund.RefundGateway
		check  error
		limits refund.Limits
		list   error
	}{
		{bare, nil, refund.Limits{}, refund.ErrUnsupported},
		{full, order.ErrInvalid, refund.Limits{MaxRefunds: 4}, nil},
	} {
		checker, _ := c.g.(refund.Checker)
		require.Equal(t, c.check, checker.Check(refund.Request{}))
		limiter, _ := c.g.(refund.Limiter)
		require.Equal(t, c.limits, limiter.Limits("bank"))
		lister, _ := c.g.(refund.Lister)
		_, err := lister.List(bg, refund.Request{Gateway: "bank", OrderID: "O1"})
		require.ErrorIs(t, err, c.list)
	}
	require.Equal(t, []string{"gateway.list client {gateway=bank operation=list order_id=O1 outcome=ok}"}, r.ended(), "no call, no span")
}

// TestGatewaysCanBeDecorated: Gateways as a whole or each gateway in it. They list, check and read
// notifications as before.
func TestGatewaysCanBeDecorated(t *testing.T) {
	for name, build := range map[string]func(
		r *recording, named map[string]refund.RefundGateway,
	) refund.RefundGateway{
		"around": func(r *recording, named map[string]refund.RefundGateway) refund.RefundGateway {
			g, err := refund.NewGateways(named)
			require.NoError(t, err)
			return r.Gateway(g)
		},
		"within": func(r *recording, named map[string]refund.RefundGateway) refund.RefundGateway {
			for n, g := range named {
				named[n] = r.Gateway(g)
			}
			g, err := refund.NewGateways(named)
			require.NoError(t, err)
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(t)
			m, err := order.NewMachine(order.Options{})
			require.NoError(t, err)
			g := build(r, map[string]refund.RefundGateway{
				"full": newFull(), "bare": refundtest.New().Plain(),
			})
			svc, err := refund.NewService(m, memstore.New(), g, refund.Options{
				Hooks: []refund.Hooks{r.Hooks()},
			})
			require.NoError(t, err)
			_, err = svc.NotificationHandler("nobody")
			require.ErrorIs(t, err, refund.ErrUnknownGateway)
			_, err = svc.NotificationHandler("bare")
			require.ErrorIs(t, err, refund.ErrUnsupported)
			h, err := svc.NotificationHandler("full")
			require.NoError(t, err)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, newPost(`{"Result": {"RefundNo": "R1"}}`))
			require.Equal(t, http.StatusNoContent, w.Code)

			full, err := g.(refund.Router).Route("full")
			require.NoError(t, err)
			bare, err := g.(refund.Router).Route("bare")
			require.NoError(t, err)
			require.ErrorIs(t, full.(refund.Checker).Check(refund.Request{}), order.ErrInvalid)
			require.NoError(t, bare.(refund.Checker).Check(refund.Request{}))
			require.Equal(t, refund.Limits{MaxRefunds: 4}, full.(refund.Limiter).Limits("full"))
			_, err = bare.(refund.Lister).List(bg, refund.Request{Gateway: "bare"})
			require.ErrorIs(t, err, refund.ErrUnsupported)
			_, err = full.(refund.Lister).List(bg, refund.Request{Gateway: "full"})
			require.NoError(t, err)
			require.Contains(t, r.metrics(), "notifications.unknown{gateway=full} 1")
			require.Contains(t, r.metrics(),
				"gateway.calls{gateway=full operation=list outcome=ok} 1")
			require.Contains(t, strings.Join(r.ended(), "\n"),
				"gateway.read_notification internal {")
		})
	}
}

// TestBadNotificationIsRecorded: without its content.
func TestBadNotificationIsRecorded(t *testing.T) {
	r := newRecording(t)
	reader, _ := r.Gateway(refundtest.New()).(refund.NotificationReader)
	_, err := reader.ReadNotification(newPost(`{"Result": {"RefundedAt": "Mr Smith"}}`))
	require.ErrorIs(t, err, refund.ErrNotification)
	require.ErrorContains(t, err, "Mr Smith")
	require.Equal(t, []string{
		"gateway.read_notification internal {error.type=bad_notification operation=read_notification outcome=error} Error: bad_notification",
	}, r.ended())
	w := httptest.NewRecorder()
	reader.Acknowledge(w, err)
	require.Equal(t, http.StatusInternalServerError, w.Code)
}
