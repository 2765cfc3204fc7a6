package refund_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

func TestPositionText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	for _, p := range []refund.Position{
		{RequestedAt: at, OrderID: "O-1", RefundNo: "R_1"},
		{RequestedAt: at, OrderID: "订单 \"1\"/?&", RefundNo: "退|1"},
		{RequestedAt: time.Time{}},
	} {
		text, err := json.Marshal(&refund.Page{Next: &p})
		require.NoError(t, err)
		var page refund.Page
		require.NoError(t, json.Unmarshal(text, &page))
		require.Equal(t, p, *page.Next)
		cursor, err := p.MarshalText()
		require.NoError(t, err)
		require.Empty(t, strings.Trim(string(cursor), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
	}
}

// TestPositionNotUTF8: a cursor that somebody made up is his fault, and not the database's.
func TestPositionNotUTF8(t *testing.T) {
	text, err := refund.Position{OrderID: "O\xff", RefundNo: "R"}.MarshalText()
	require.NoError(t, err)
	var p refund.Position
	require.ErrorIs(t, p.UnmarshalText(text), refund.ErrInvalid)
}

func FuzzPositionText(f *testing.F) {
	for _, s := range []string{"", "!", "MQ", "MQBPAFI", "eABPAFI", "MQBPAFIAUg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before := refund.Position{OrderID: "as it was"}
		p := before
		if err := p.UnmarshalText([]byte(text)); err != nil {
			require.ErrorIs(t, err, refund.ErrInvalid)
			require.Equal(t, before, p)
			return
		}
		again, err := p.MarshalText()
		require.NoError(t, err)
		var q refund.Position
		require.NoError(t, q.UnmarshalText(again))
		require.Equal(t, p, q)
	})
}

func TestOutcomeText(t *testing.T) {
	for o := refund.OutcomeUnknown; o <= refund.OutcomeNotFound; o++ {
		text, err := json.Marshal(o)
		require.NoError(t, err)
		require.Equal(t, `"`+o.String()+`"`, string(text))
		var back refund.Outcome
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, o, back)
	}
	o := refund.OutcomeClosed
	require.ErrorIs(t, o.UnmarshalText([]byte("invalid")), refund.ErrInvalid)
	require.Equal(t, refund.OutcomeClosed, o)
}

// TestTransitionErrorText: nobody can click what the provider does.
func TestTransitionErrorText(t *testing.T) {
	err := &order.TransitionError{
		OrderID: "O", RefundNo: "R", Event: order.EventCancel, From: order.StateFailed,
		Available: []order.Event{order.EventAbandon, order.EventAdopt, order.EventRetry, order.EventSettle},
	}
	require.ErrorContains(t, err, "(possible now: abandon, retry)")
	err.Available = []order.Event{order.EventAdopt}
	require.ErrorContains(t, err, "(possible now: nothing)")
}
