package refund_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestNotSentIsNoSubmission: a refund of which nothing was ever sent can be cancelled. If one
// attempt may have reached the provider, it cannot, whatever later attempts did.
func TestNotSentIsNoSubmission(t *testing.T) {
	sealed := &refund.SetupError{
		Err: fmt.Errorf("the vault is sealed: %w", refund.ErrNotSent),
	}
	wrote := errors.New("write: broken pipe")
	for name, tt := range map[string]struct {
		attempts []refundtest.Step
		cancels  bool
	}{
		"never sent": {
			[]refundtest.Step{refundtest.Fail(sealed), refundtest.Fail(refund.ErrNotSent)}, true,
		},
		"a broken write": {[]refundtest.Step{refundtest.Fail(wrote)}, false},
		"sent before": {
			[]refundtest.Step{refundtest.Fail(wrote), refundtest.Fail(refund.ErrNotSent)}, false,
		},
		"sent later": {
			[]refundtest.Step{refundtest.Fail(refund.ErrNotSent), refundtest.Fail(wrote)}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, bank := newEnv(t), refundtest.New()
			e.register()
			s := e.service(bank, refund.Options{Now: e.clock.Now})
			bank.NextRefund(tt.attempts...)
			r, err := request(4000, "r").do(bg, s)
			require.NoError(t, err)
			ref := refund.Ref{OrderID: "O1", RefundNo: r.No}
			_, err = s.Approve(bg, refund.ApproveParams{Ref: ref, Actor: "m", Amount: 4000})
			require.NoError(t, err)
			for range tt.attempts {
				next, err := s.Process(bg, ref)
				require.NoError(t, err)
				require.Error(t, next.Err)
				e.clock.Advance(next.At.Sub(e.clock.Now()))
			}
			cancel := refund.CancelParams{Ref: ref, Actor: "m", EvenIfApproved: true}
			_, err = s.Cancel(bg, cancel)
			o, getErr := s.Order(bg, "O1")
			require.NoError(t, getErr)
			if !tt.cancels {
				require.ErrorIs(t, err, order.ErrTransition)
				require.ErrorContains(t, err, "already submitted")
				require.EqualValues(t, 4000, o.Reserved)
				return
			}
			require.NoError(t, err)
			require.Zero(t, o.Reserved)
			require.Zero(t, bank.PaidTotal("O1"))
		})
	}
}

// TestNoCancelWhileItIsSent: during the call nobody knows yet whether it is sent.
func TestNoCancelWhileItIsSent(t *testing.T) {
	e, bank := newEnv(t), refundtest.New()
	e.register()
	s := e.service(bank, refund.Options{Now: e.clock.Now})
	r, err := request(4000, "r").do(bg, s)
	require.NoError(t, err)
	ref := refund.Ref{OrderID: "O1", RefundNo: r.No}
	cancel := refund.CancelParams{Ref: ref, Actor: "m", EvenIfApproved: true}
	var during error
	bank.NextRefund(refundtest.Fail(refund.ErrNotSent).Before(func(context.Context) {
		_, during = s.Cancel(bg, cancel)
	}))
	_, err = s.ApproveAndSend(bg, refund.ApproveParams{Ref: ref, Actor: "m", Amount: 4000})
	require.NoError(t, err)
	require.ErrorIs(t, during, order.ErrTransition)
	_, err = s.Cancel(bg, cancel)
	require.NoError(t, err)
}

// TestNotSentDoesNotDelayOthers: the interval between submissions of an order counts submissions.
func TestNotSentDoesNotDelayOthers(t *testing.T) {
	e, bank := newEnv(t), refundtest.New()
	e.register()
	bank.SetLimits(refund.Limits{MinInterval: time.Hour})
	s := e.service(bank, refund.Options{Now: e.clock.Now})
	var refs []refund.Ref
	for _, number := range []string{"R1", "R2"} {
		ref := refund.Ref{OrderID: "O1", RefundNo: number}
		_, err := s.Request(bg, refund.RequestParams{Ref: ref, Actor: "b", Amount: 100})
		require.NoError(t, err)
		_, err = s.Approve(bg, refund.ApproveParams{Ref: ref, Actor: "m", Amount: 100})
		require.NoError(t, err)
		refs = append(refs, ref)
	}
	bank.NextRefund(refundtest.Fail(refund.ErrNotSent))
	_, err := s.Process(bg, refs[0])
	require.NoError(t, err)
	_, err = s.Process(bg, refs[1])
	require.NoError(t, err)
	require.EqualValues(t, 100, bank.Paid("R2")+bank.Paid("R1"))
}
