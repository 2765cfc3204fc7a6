package refund

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
)

const (
	judgeQuiet   = 2 * time.Minute
	judgeAttempt = 3
)

func judgeNow() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// circumstance is a row of the table: a refund in the book, what was asked, and how.
type circumstance struct {
	name string
	r    order.Refund
	q    question
	// submitted reports that the answer is that of a submission.
	submitted bool
}

// attempted is an approved refund while an attempt of Process is under way: as it was before the
// attempt, and as change leaves it.
func attempted(name string, before func(*order.Refund), change func(*circumstance)) circumstance {
	seen := order.Refund{
		No: "R1", State: order.StateApproved, Amount: 60, Attempts: judgeAttempt - 1,
	}
	if before != nil {
		before(&seen)
	}
	c := circumstance{name: name, r: seen, q: question{seen: seen, attempt: judgeAttempt}}
	c.r.Attempts, c.r.LeasedUntil = judgeAttempt, judgeNow().Add(time.Minute)
	if change != nil {
		change(&c)
	}
	return c
}

// asked is a refund about which Sync, Abandon or a notification asked.
func asked(name string, r order.Refund, change func(*circumstance)) circumstance {
	r.No, r.Amount, r.Attempts = "R1", 60, 1
	c := circumstance{name: name, r: r, q: question{seen: r}}
	if change != nil {
		change(&c)
	}
	return c
}

func circumstances() []circumstance {
	ago := func(d time.Duration) time.Time { return judgeNow().Add(-d) }
	submitted := func(c *circumstance) { c.submitted = true }
	outstanding := func(r *order.Refund) { r.Outstanding = true }
	refused := func(d time.Duration) func(*order.Refund) {
		return func(r *order.Refund) {
			r.Outstanding, r.DeclinedAt, r.Code = true, ago(d), "NOTENOUGH"
		}
	}
	accepted := func(denied time.Duration) func(*order.Refund) {
		return func(r *order.Refund) {
			r.Outstanding, r.AcceptedAt = true, ago(time.Hour)
			if denied > 0 {
				r.DeclinedAt = ago(denied)
			}
		}
	}
	moved := func(c *circumstance) { c.q.seen.State = order.StateApproved }
	return []circumstance{
		attempted("approved: sent for the first time", nil, submitted),
		attempted("approved: sent again after an unknown outcome", outstanding, submitted),
		attempted("approved: queried after an unknown outcome", outstanding, nil),
		attempted("approved: queried after an unknown outcome of a retry",
			func(r *order.Refund) { r.Outstanding, r.Retries = true, 1 }, nil),
		attempted("approved: a refusal waits for proof", refused(time.Minute), nil),
		attempted("approved: a refusal has waited long enough", refused(judgeQuiet), nil),
		attempted("approved: a refusal is dated in the future", refused(-time.Hour), nil),
		attempted("approved: not sent, the order has an excess", nil,
			func(c *circumstance) { c.q.unsendable = "no room" }),
		attempted("approved: accepted before", accepted(0), nil),
		attempted("approved: accepted before, after a retry", func(r *order.Refund) {
			accepted(0)(r)
			r.Retries = 1
		}, nil),
		attempted("approved: accepted before, denied a moment ago", accepted(time.Minute), nil),
		attempted("approved: accepted before, denied long enough", accepted(judgeQuiet), nil),
		attempted("approved: accepted after the question", outstanding,
			func(c *circumstance) { c.r.AcceptedAt = judgeNow() }),
		attempted("approved: a newer attempt is under way", outstanding,
			func(c *circumstance) { c.r.Attempts++ }),
		asked("approved: Sync asks", order.Refund{State: order.StateApproved}, nil),
		asked("approved: Sync asks, accepted before",
			order.Refund{State: order.StateApproved, AcceptedAt: ago(time.Hour)}, nil),
		asked("approved: Sync asks during an attempt",
			order.Refund{State: order.StateApproved, LeasedUntil: judgeNow()}, nil),
		asked(
			"approved: Sync asks after a retry",
			order.Refund{State: order.StateApproved, Retries: 1}, nil,
		),
		asked("approved: retried after Sync asked", order.Refund{State: order.StateApproved},
			func(c *circumstance) { c.r.Retries++ }),
		asked("abnormal", order.Refund{State: order.StateAbnormal}, nil),
		asked(
			"abnormal, changed after the question", order.Refund{State: order.StateAbnormal}, moved,
		),
		asked("failed", order.Refund{State: order.StateFailed}, nil),
		asked("failed, changed after the question", order.Refund{State: order.StateFailed}, moved),
		asked(
			"refunded, confirmed by the provider",
			order.Refund{State: order.StateRefunded, ConfirmedAt: judgeNow()}, nil,
		),
		asked(
			"refunded, changed after the question",
			order.Refund{State: order.StateRefunded, ConfirmedAt: judgeNow()}, moved,
		),
		asked("refunded, resolved by a person", order.Refund{State: order.StateRefunded}, nil),
		asked(
			"in review, rejected, cancelled, abandoned", order.Refund{State: order.StateAbandoned},
			nil,
		),
		asked(
			"the same, changed after the question", order.Refund{State: order.StateAbandoned},
			moved,
		),
	}
}

// String is the verdict as the table of the package documentation has it.
func (v verdict) String() string {
	var words []string
	add := func(on bool, word string) {
		if on {
			words = append(words, word)
		}
	}
	add(v.adopt, "adopt")
	add(v.event != "", string(v.event))
	add(v.accepted, "note")
	add(v.refused, "wait")
	add(v.again, "ask again")
	s := strings.Join(words, ", ")
	switch {
	case v.discrepancy != nil:
		return strings.TrimSpace(s + " !")
	case s == "":
		return "·"
	}
	return s
}

// TestJudgeTable: the package documentation shows the meaning of every answer in every
// circumstance. With UPDATE=1 the test writes the table. A difference in it is a change in how
// money is handled.
func TestJudgeTable(t *testing.T) {
	outcomes := []Outcome{
		OutcomeSucceeded, OutcomeAccepted, OutcomeAbnormal, OutcomeClosed, OutcomeDeclined,
		OutcomeNotFound,
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "the book says")
	for _, o := range outcomes {
		fmt.Fprint(w, "\t", o)
	}
	for _, c := range circumstances() {
		fmt.Fprint(w, "\n", c.name)
		for _, o := range outcomes {
			r := c.r
			v := judge(
				&r, &c.q,
				answer{res: Result{Outcome: o}, submitted: c.submitted, queried: !c.submitted},
				judgeNow(), judgeQuiet,
			)
			require.Equal(t, c.r, r, "judge has no effects")
			fmt.Fprint(w, "\t", v)
		}
	}
	require.NoError(t, w.Flush())
	var table strings.Builder
	for _, line := range strings.Split(b.String(), "\n") {
		table.WriteString("//\t" + strings.TrimRight(line, " ") + "\n")
	}

	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	const begin = "//\tthe book says"
	start := strings.Index(string(doc), begin)
	require.Positive(t, start, "the documentation has the table")
	end := start + strings.Index(string(doc)[start:], "//\n")
	if os.Getenv("UPDATE") != "" {
		require.NoError(
			t,
			os.WriteFile(
				"doc.go", []byte(string(doc)[:start]+table.String()+string(doc)[end:]), 0o600,
			),
		)
		return
	}
	require.Equal(
		t, string(doc)[start:end], table.String(), "UPDATE=1 go test -run TestJudgeTable ./refund",
	)
}

// TestErrorsHaveNoVerdict: an error means unknown, in every circumstance. Only an answer about
// something else is reported.
func TestErrorsHaveNoVerdict(t *testing.T) {
	for _, c := range circumstances() {
		for _, o := range []Outcome{OutcomeUnknown, OutcomeSucceeded, OutcomeDeclined} {
			a := answer{res: Result{Outcome: o}, err: errors.New("time-out"), queried: true}
			require.Equal(t, verdict{}, judge(&c.r, &c.q, a, judgeNow(), judgeQuiet), c.name)
		}
		require.Equal(t, verdict{}, judge(&c.r, &c.q, answer{}, judgeNow(), judgeQuiet), c.name)
		mismatch := &MismatchError{Field: "amount"}
		require.Equal(t, verdict{discrepancy: mismatch},
			judge(
				&c.r, &c.q, answer{res: Result{Outcome: OutcomeSucceeded}, err: mismatch},
				judgeNow(), judgeQuiet,
			), c.name)
	}
}

// TestDenialIsReportedOnce: as long as the provider keeps denying what it has accepted.
func TestDenialIsReportedOnce(t *testing.T) {
	c := attempted("", func(r *order.Refund) {
		r.AcceptedAt, r.DeclinedAt = judgeNow().Add(-time.Hour), judgeNow().Add(-time.Hour)
	}, nil)
	for _, o := range []Outcome{OutcomeNotFound, OutcomeDeclined} {
		v := judge(
			&c.r, &c.q, answer{res: Result{Outcome: o}, queried: true}, judgeNow(), judgeQuiet,
		)
		require.EqualError(t, v.discrepancy, denialMessage)
		known := c.r
		v.marker.apply(&known, judgeNow())
		require.Equal(
			t, verdict{},
			judge(
				&known, &c.q, answer{res: Result{Outcome: o}, queried: true}, judgeNow(),
				judgeQuiet,
			),
		)
	}
}

// TestOnlyOneAttemptIsNewest: a retry begins to count attempts again, so the number alone is not
// enough.
func TestOnlyOneAttemptIsNewest(t *testing.T) {
	for name, change := range map[string]func(*order.Refund){
		"a newer attempt": func(r *order.Refund) { r.Attempts++ },
		"a retry":         func(r *order.Refund) { r.Retries++ },
		"it has ended":    func(r *order.Refund) { r.State = order.StateFailed },
	} {
		c := attempted(name, nil, nil)
		require.True(t, c.q.isNewest(&c.r))
		require.True(t, c.q.isCurrent(&c.r))
		change(&c.r)
		require.False(t, c.q.isNewest(&c.r), name)
		require.False(t, c.q.isCurrent(&c.r), name)
	}
	c := asked("", order.Refund{State: order.StateApproved}, nil)
	require.False(t, c.q.isNewest(&c.r), "nobody attempts it")
}
