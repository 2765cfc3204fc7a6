package refund

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

// TestClip: text that can be stored stays as it is; other text loses as little as possible.
func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "1234567890": "1234567890", "12345678901": "1234567890", "a b~": "a b~",
		"a\x00b": "a b", "a\x1fb": "a b", "a\x7fb": "a b", "a\u0080b": "a b", "a\u009fb": "a b",
		"a\u00a0b":   "a\u00a0b",
		"a\xff\xfeb": "a?b", "退款退款": "退款退", "123456789退": "123456789", "12345678é": "12345678é",
		strings.Repeat("\x80", 100): "?", strings.Repeat("x", 100): "xxxxxxxxxx",
	} {
		require.Equal(t, want, clip(text, 10), "%q", text)
	}
	require.Equal(t, "CODE words", joinWords(Result{Code: "CODE", Message: "words"}))
	require.Equal(t, "words", joinWords(Result{Message: "words"}))
	require.Equal(t, "CODE", joinWords(Result{Code: "CODE"}))
}

// TestMarkerNeedsAnUnchangedRefund: the refund may change between the report and the mark.
func TestMarkerNeedsAnUnchangedRefund(t *testing.T) {
	now := judgeNow()
	words := Result{Code: "CODE", Message: "words"}
	resolved := order.Refund{State: order.StateRefunded, Code: "OLD"}
	type refund = *order.Refund
	denied := order.Refund{
		State: order.StateApproved, AcceptedAt: now, DeclinedAt: now, Code: "OLD",
	}
	for name, c := range map[string]struct {
		paid   bool
		r      order.Refund
		change func(r refund)
		noted  bool
	}{
		"paid":                  {true, resolved, func(refund) {}, true},
		"paid, confirmed since": {true, resolved, func(r refund) { r.ConfirmedAt = now }, false},
		"paid, moved on": {
			true, resolved, func(r refund) { r.State = order.StateFailed }, false,
		},
		"denied": {false, denied, func(refund) {}, true},
		"denied, ended": {
			false, denied, func(r refund) { r.State = order.StateFailed }, false,
		},
		"denied, sent again": {
			false, denied, func(r refund) { r.AcceptedAt = time.Time{} }, false,
		},
		"denied, confirmed": {
			false, denied, func(r refund) { r.DeclinedAt = time.Time{} }, false,
		},
	} {
		r := c.r
		c.change(&r)
		want := r
		if c.noted {
			want.Code, want.Message = words.Code, words.Message
			if c.paid {
				want.ConfirmedAt = now
			}
		}
		h := &marker{book: c.r.State, words: words}
		if c.paid {
			h.words.Outcome = OutcomeSucceeded
		}
		h.apply(&r, now)
		require.Equal(t, want, r, name)
	}
}

// TestConfirmedRefundIsMarked: otherwise its contradiction would be reported at every comparison.
func TestConfirmedRefundIsMarked(t *testing.T) {
	r := order.Refund{State: order.StateRefunded, ConfirmedAt: judgeNow(), Code: "OLD"}
	want := r
	want.Code, want.Message = "CODE", "words"
	h := &marker{book: r.State, words: Result{Code: "CODE", Message: "words"}}
	h.apply(&r, judgeNow().Add(time.Hour))
	require.Equal(t, want, r)
}

// TestRefusalMayBeDatedAheadByTheQuietPeriod: clocks may differ by that much. Only the newest
// attempt changes the refund.
func TestRefusalMayBeDatedAheadByTheQuietPeriod(t *testing.T) {
	notFound := answer{res: Result{Outcome: OutcomeNotFound}, queried: true}
	ahead := func(d time.Duration) func(*order.Refund) {
		return func(r *order.Refund) {
			r.Outstanding, r.DeclinedAt = true, judgeNow().Add(d)
			r.Code, r.Message = "NOTENOUGH", "no"
		}
	}
	c := attempted("", ahead(judgeQuiet), nil)
	require.Equal(t, verdict{}, judge(&c.r, &c.q, notFound, judgeNow(), judgeQuiet))
	c = attempted("", ahead(judgeQuiet+1), nil)
	words := Result{Code: "NOTENOUGH", Message: "no"}
	require.Equal(t, verdict{keep: true, words: words, refused: true},
		judge(&c.r, &c.q, notFound, judgeNow(), judgeQuiet), "its words are kept")
	c.q.attempt = 0
	require.Equal(t, verdict{}, judge(&c.r, &c.q, notFound, judgeNow(), judgeQuiet))
}

// TestRefusalDatedTooFarAheadWaitsAgain: a wrong clock wrote when it was refused. The wait begins
// again.
func TestRefusalDatedTooFarAheadWaitsAgain(t *testing.T) {
	for name, before := range map[string]func(*order.Refund){
		"refused": func(r *order.Refund) {
			r.Outstanding, r.DeclinedAt = true, judgeNow().Add(judgeQuiet+1)
		},
		"denied": func(r *order.Refund) {
			r.Outstanding, r.AcceptedAt = true, judgeNow().Add(-time.Hour)
			r.DeclinedAt = judgeNow().Add(judgeQuiet + 1)
		},
	} {
		c := attempted(name, before, nil)
		v := judge(
			&c.r,
			&c.q,
			answer{res: Result{Outcome: OutcomeNotFound}, queried: true},
			judgeNow(),
			judgeQuiet,
		)
		require.Equal(t, verdict{keep: true, refused: true}, v, name)
	}
}

// TestSetupFaultEndsWithASuccessOfItsKind: a call of another kind proves nothing.
func TestSetupFaultEndsWithASuccessOfItsKind(t *testing.T) {
	const works, fails = false, true
	type call struct {
		gateway string
		op      operation
		failed  bool
		news    bool
	}
	query, list := call{"a", opQuery, fails, true}, call{"a", opList, fails, true}
	refund := call{"a", opRefund, fails, true}
	known := func(c call) call { c.news = false; return c }
	over := func(c call) call { c.failed, c.news = works, false; return c }
	other := func(c call) call { c.gateway = "b"; return c }
	for name, calls := range map[string][]call{
		"reported once":           {query, known(query)},
		"for each gateway":        {query, other(query), known(query), known(other(query))},
		"not for each operation":  {query, known(list)},
		"once more for refunds":   {query, refund, known(refund), known(query)},
		"once if refunds began":   {refund, known(query), known(refund)},
		"over":                    {list, over(list), list},
		"not over by another one": {list, over(query), over(refund), known(list)},
		"of another gateway":      {list, other(over(list)), known(list)},
		"over when both are over": {
			list, known(query), over(query), known(query), over(query), over(list), query,
		},
		"nothing was wrong": {over(list), over(refund), list},
	} {
		var f setupFaults
		for i, c := range calls {
			require.Equal(t, c.news, f.record(c.gateway, c.op, c.failed), "%s, call %d", name, i+1)
		}
	}
}

// TestAgrees: which states of the book and which answers mean the same.
func TestAgrees(t *testing.T) {
	confirmed := order.Refund{State: order.StateRefunded, ConfirmedAt: judgeNow()}
	ended := []order.Refund{
		{State: order.StateRefundRequested},
		{State: order.StateFailed},
		{State: order.StateRejected},
		{State: order.StateCancelled},
		{State: order.StateAbandoned},
	}
	open := []order.Refund{
		{State: order.StateApproved},
		{State: order.StateAbnormal},
		{State: order.StateRefunded},
		confirmed,
	}
	for outcome, agreeing := range map[Outcome][]order.Refund{
		OutcomeUnknown: nil, OutcomeAccepted: {{State: order.StateApproved}},
		OutcomeSucceeded: {confirmed}, OutcomeAbnormal: {{State: order.StateAbnormal}},
		OutcomeDeclined: ended, OutcomeClosed: ended,
		OutcomeNotFound: ended,
	} {
		for _, r := range slices.Concat(ended, open) {
			require.Equal(
				t, slices.Contains(agreeing, r), agrees(&r, outcome), "%s, %v", outcome, r.State,
			)
		}
	}
}

// TestLoggedOutcomes: an outcome that no constant has is not logged as it is.
func TestLoggedOutcomes(t *testing.T) {
	require.Equal(t, "unknown", OutcomeUnknown.word())
	require.Equal(t, "not_found", OutcomeNotFound.word())
	require.Equal(t, "invalid", Outcome("paid").word())
}
