package refund_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestUnknownCodeIsNoDiscrepancy: a code that the adapter does not know is stored for a person, and
// no hook is called.
func TestUnknownCodeIsNoDiscrepancy(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.Answer(refund.Result{Code: "NEW_CODE", Message: "what is this"}))
	next := e.process(e.approved("R1", 4000))
	require.ErrorContains(t, next.Err, "no outcome (unknown) NEW_CODE what is this")
	require.NotErrorIs(t, next.Err, refund.ErrMismatch)
	require.Empty(t, e.discrepancies)
	require.Contains(t, e.refund("R1").Message, "NEW_CODE")
}

// TestSettledDuringALostCall: a notification books the outcome during a call whose answer is lost.
func TestSettledDuringALostCall(t *testing.T) {
	e := newEnv(t)
	e.bank.NextRefund(refundtest.PayWhenAsked().ThenFail(errLost).Before(func(context.Context) {
		e.bank.NextQuery(refundtest.Answer(isPaid))
		e.hint()
	}))
	require.Equal(
		t, refund.ProcessResult{State: order.StateRefunded}, e.process(e.approved("R1", 4000)),
		"nothing is unknown any more",
	)
}

// TestProvidersTextIsMadeStorable: the provider's text is clipped and cleaned before it is stored.
func TestProvidersTextIsMadeStorable(t *testing.T) {
	for name, text := range map[string]string{
		"long":        strings.Repeat("退", 5000),
		"not UTF-8":   "no\xff\xfe" + strings.Repeat("\x80", 600),
		"control":     "a\x00b\x1b[31m\r\nc\u009b",
		"plain":       "not enough funds",
		"nothing":     "",
		"whole runes": strings.Repeat("x", 499) + "退",
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []refundtest.Step{
				refundtest.Answer(refund.Result{
					Outcome: refund.OutcomeDeclined, Code: text, Message: text,
					ProviderRefundID: text,
				}),
				refundtest.Fail(errors.New(text)),
			} {
				e := newEnv(t)
				e.bank.NextRefund(step)
				e.process(e.approved("R1", 4000))
				r := e.refund("R1")
				texts := []string{r.Code, r.Message, r.ProviderRefundID}
				for _, tr := range e.order().History {
					texts = append(texts, tr.Note)
				}
				for _, kept := range texts {
					require.True(t, utf8.ValidString(kept))
					require.LessOrEqual(t, len(kept), 500)
					require.NotContains(t, strings.Map(func(r rune) rune {
						if r < ' ' || r >= 0x7f && r < 0xa0 {
							return '\x00'
						}
						return r
					}, kept), "\x00")
				}
			}
		})
	}
}

// TestStuckWhenTheOutcomeCannotBeRecorded: the provider has paid, and the host's own hook fails
// each time.
func TestStuckWhenTheOutcomeCannotBeRecorded(t *testing.T) {
	broken := true
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Hooks[0].InTx = func(_ context.Context, _ *order.Order, t order.Transition) error {
			if broken && t.Event == order.EventSettle {
				return errLost
			}
			return nil
		}
	})
	ref := e.approved("R1", 4000)
	e.process(ref)
	for _, want := range []int{0, 1, 2} {
		e.clock.Advance(12 * time.Hour)
		_, err := e.svc.Process(bg, ref)
		require.ErrorIs(t, err, errLost)
		require.Len(t, e.stuck, want)
	}
	require.Equal(t, "R1", e.stuck[1].RefundNo)
	require.Equal(t, 4, e.stuck[1].Attempts)
	require.ErrorIs(t, e.stuck[1].Err, errLost)
	broken = false
	e.clock.Advance(time.Hour)
	require.Equal(t, order.StateRefunded, e.process(ref).State)
}
