package order_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

func wrapTwice(err error) error {
	return fmt.Errorf("handle click: %w", fmt.Errorf("approve refund: %w", err))
}

func TestErrorsMatchAfterWrapping(t *testing.T) {
	m := newMachine(t)
	sentinels := []error{
		order.ErrTransition, order.ErrAmount, order.ErrVetoed, order.ErrInvalid,
		order.ErrRefundNotFound, order.ErrConflict,
	}
	reason := errors.New("only on weekdays")
	veto := func(context.Context, *order.Order, order.Transition) error { return reason }
	for name, c := range map[string]struct {
		trigger order.Trigger
		guards  []order.Guard
		is      error
		as      func(error) bool
		says    []string
	}{
		"transition": {
			trigger(order.EventSettle, "R1", 0), nil, order.ErrTransition,
			func(err error) bool {
				var e *order.TransitionError
				return errors.As(err, &e) && e.Event == order.EventSettle
			},
			[]string{"settle refund R1 of order O1", "state refund_requested", "possible now: approve, cancel, reject)"},
		},
		"amount": {
			trigger(order.EventRequestRefund, "R2", 41), nil, order.ErrAmount,
			func(err error) bool {
				var e *order.AmountError
				return errors.As(err, &e) && e.Left == 40
			},
			[]string{"order O1", "41", "40 left"},
		},
		"amount zero": {
			trigger(order.EventRequestRefund, "R2", 0), nil, order.ErrAmount,
			func(err error) bool {
				var e *order.AmountError
				return errors.As(err, &e) && e.Asked == 0
			},
			[]string{"order O1", "greater than 0", "got 0"},
		},
		"veto": {
			trigger(order.EventApprove, "R1", 0),
			[]order.Guard{veto},
			order.ErrVetoed,
			func(err error) bool {
				var e *order.VetoError
				return errors.As(err, &e) && errors.Is(err, reason)
			},
			[]string{"approve refund R1 of order O1", "only on weekdays"},
		},
		"invalid": {
			trigger(order.EventApprove, "R 1", 0), nil, order.ErrInvalid,
			func(err error) bool {
				var e *order.InvalidError
				return errors.As(err, &e) && e.Field == "refund_no"
			},
			[]string{"approve refund of order O1", "refund_no"},
		},
		"not found": {
			trigger(order.EventApprove, "R9", 0), nil, order.ErrRefundNotFound, nil,
			[]string{"approve refund R9 of order O1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := wrapTwice(refuse(t, m, inState(t, m, order.StateRefundRequested), c.trigger,
				c.guards...))
			for _, s := range sentinels {
				require.Equal(t, s == c.is, errors.Is(err, s), "%v", s) //nolint:errorlint // which sentinel it is, not whether it matches
			}
			if c.as != nil {
				require.True(t, c.as(err))
			}
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestErrorNamesTheFailedCondition(t *testing.T) {
	m, o := newMachine(t), inState(t, newMachine(t), order.StateApproved)
	o.Refund("R1").Outstanding = true
	require.ErrorContains(t, refuse(t, m, o, trigger(order.EventCancel, "R1", 0)), "already submitted")
	settled := inState(t, m, order.StateRefunded)
	require.ErrorContains(t, refuse(t, m, settled, trigger(order.EventCancel, "R1", 0)), "possible now: nothing")
}

func TestInvalidErrorDoesNotQuoteTheValue(t *testing.T) {
	require.NotContains(t, order.ValidateRefundNo("R1\n2025 level=error").Error(), "level")
}

func TestInvalidErrorNamesTheLimit(t *testing.T) {
	require.EqualError(t, order.ValidateRefundNo(""), "refund_no: must have 1 to 64 characters, has 0")
}
