package refund_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestPositionText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	for _, p := range []refund.Position{
		{RequestedAt: at, Ref: refund.Ref{OrderID: "O-1", RefundNo: "R_1"}},
		{RequestedAt: at, Ref: refund.Ref{OrderID: "订单 \"1\"/?&", RefundNo: "退|1"}},
		{RequestedAt: time.Time{}},
	} {
		text, err := json.Marshal(&refund.Page{Next: &p})
		require.NoError(t, err)
		var page refund.Page
		require.NoError(t, json.Unmarshal(text, &page))
		require.Equal(t, p, *page.Next)
		cursor, err := p.MarshalText()
		require.NoError(t, err)
		require.Empty(
			t,
			strings.Trim(
				string(cursor), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
			),
		)
	}
}

// TestPositionNotUTF8: a cursor that somebody invented is ErrInvalid, and no error of the database.
func TestPositionNotUTF8(t *testing.T) {
	text, err := refund.Position{Ref: refund.Ref{OrderID: "O\xff", RefundNo: "R"}}.MarshalText()
	require.NoError(t, err)
	var p refund.Position
	require.ErrorIs(t, p.UnmarshalText(text), order.ErrInvalid)
}

func FuzzPositionText(f *testing.F) {
	for _, s := range []string{"", "!", "MQ", "MQBPAFI", "eABPAFI", "MQBPAFIAUg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before := refund.Position{Ref: o1("as it was")}
		p := before
		if err := p.UnmarshalText([]byte(text)); err != nil {
			require.ErrorIs(t, err, order.ErrInvalid)
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
	text, err := json.Marshal([]refund.Outcome{
		refund.OutcomeUnknown, refund.OutcomeAccepted, refund.OutcomeSucceeded,
		refund.OutcomeDeclined, refund.OutcomeClosed, refund.OutcomeAbnormal,
		refund.OutcomeNotFound,
	})
	require.NoError(t, err)
	require.Equal(t, `["","accepted","succeeded","declined","closed","abnormal","not_found"]`,
		string(text))
	require.Equal(t, refund.OutcomeUnknown, refund.Result{}.Outcome)
}

// TestTransitionErrorText: it offers only events that a person can fire.
func TestTransitionErrorText(t *testing.T) {
	err := &order.TransitionError{
		OrderID: "O", RefundNo: "R", Event: order.EventCancel, From: order.StateFailed,
		Available: []order.Event{
			order.EventAbandon, order.EventAdopt, order.EventRetry, order.EventSettle,
		},
	}
	require.ErrorContains(t, err, "(possible now: abandon, retry)")
	err.Available = []order.Event{order.EventAdopt}
	require.ErrorContains(t, err, "(possible now: nothing)")
}

// TestProviderWordsNeverStopABooking: whatever the provider calls its refund, code and message, and
// whatever year it names, the outcome is booked with words that every store can keep.
func TestProviderWordsNeverStopABooking(t *testing.T) {
	words := map[string]string{
		"129 characters": strings.Repeat("7", 129), "very long": strings.Repeat("x", 100_000),
		"multi-byte":         strings.Repeat("余额不足", 400),
		"cut in a character": strings.Repeat("余", 43) + "𠮷",
		"not UTF-8":          strings.Repeat("\xff\xfe", 300),
		"control characters": strings.Repeat("\x00\x1b\u0085", 200),
	}
	ends := map[refund.Outcome]order.State{
		refund.OutcomeSucceeded: order.StateRefunded, refund.OutcomeDeclined: order.StateFailed,
		refund.OutcomeAccepted: order.StateApproved, refund.OutcomeClosed: order.StateFailed,
		refund.OutcomeAbnormal: order.StateAbnormal,
	}
	for name, word := range words {
		for outcome, end := range ends {
			t.Run(string(outcome)+", "+name, func(t *testing.T) {
				e := newEnv(t)
				ref := e.approved("R1", 4000)
				e.bank.NextRefund(refundtest.Answer(refund.Result{
					Outcome: outcome, ProviderRefundID: word, Code: word, Message: word,
					RefundedAt: time.Date(40000, 1, 1, 0, 0, 0, 0, time.UTC),
				}))
				require.Equal(t, end, e.process(ref).State)
				o := e.order()
				r := o.Refund("R1")
				for text, most := range map[string]int{
					r.ProviderRefundID: order.MaxCode, r.Code: order.MaxCode,
					r.Message:                        order.MaxMessage,
					o.History[len(o.History)-1].Note: order.MaxMessage,
				} {
					require.LessOrEqual(t, len(text), most)
					require.True(t, utf8.ValidString(text))
					require.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl))
				}
				require.NotEmpty(t, r.ProviderRefundID)
				if utf8.ValidString(word) {
					require.Greater(
						t, len(r.ProviderRefundID), order.MaxCode-utf8.UTFMax,
						"no more is cut than must be",
					)
				}

				// The notification names the whole of it.
				n := success("R1", 4000)
				n.Result.ProviderRefundID = word
				e.bank.NextQuery(refundtest.Answer(refund.Result{
					Outcome: refund.OutcomeSucceeded, ProviderRefundID: word,
				}))
				require.NoError(t, e.svc.HandleNotification(bg, n))
				require.Equal(t, order.StateRefunded, e.refund("R1").State)
			})
		}
	}
}
