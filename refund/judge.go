package refund

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderfsm/orderfsm/order"
)

// question is what the provider is asked about a refund, and what the book knew at that time.
type question struct {
	req Request
	// seen is the refund as the book had it before the question.
	seen order.Refund
	// attempt numbers the attempt of Process that asks; 0 if Sync, Abandon or a notification asks.
	attempt int
	// until is when the attempt's lease ends. Nothing is sent from then on.
	until time.Time
	// unsendable is why the refund is only queried and not sent; empty if it may be sent.
	unsendable string
}

// isNewest reports whether the question is that of the newest attempt of r. Only its answer
// reschedules r, and only its refusal counts, because a newer attempt may have been accepted.
func (q *question) isNewest(r *order.Refund) bool {
	return q.attempt > 0 && r.State == order.StateApproved &&
		r.Attempts == q.attempt && r.Retries == q.seen.Retries
}

// isCurrent reports whether r is unchanged since the question, so that the answer is not older.
func (q *question) isCurrent(r *order.Refund) bool {
	if q.attempt > 0 {
		return q.isNewest(r)
	}
	return r.Equal(&q.seen)
}

// isBeforeAcceptance reports whether an acceptance of r was booked after the question. A refusal
// may be older than that, and Process asks again.
func (q *question) isBeforeAcceptance(r *order.Refund) bool {
	return !r.AcceptedAt.IsZero() && q.seen.AcceptedAt.IsZero()
}

// answer is the result of a question.
type answer struct {
	res Result
	err error
	// submitted reports that Refund may have reached the provider; queried that res is the answer
	// to a Query.
	submitted, queried bool
}

// verdict is what an answer means for a refund in the book. The zero value changes nothing.
type verdict struct {
	// adopt adopts a refund that the book does not expect at the provider; event follows it.
	adopt bool
	event order.Event
	// words are kept with the refund if keep is set or an event is fired.
	keep  bool
	words Result
	// accepted notes that the provider has the refund; refused that it refuses or denies the
	// refund, and that this waits for proof.
	accepted, refused bool
	// discrepancy is how the provider and the book disagree; nil if they agree. marker prevents a
	// second report of it; may be nil.
	discrepancy error
	marker      *marker
	// again reports that the answer may be older than the book: ask once more.
	again bool
}

// marker is what a refund keeps of a discrepancy that was reported.
type marker struct {
	book  order.State // of the refund when it was judged
	words Result
}

// apply marks r, unless it has changed since.
func (m *marker) apply(r *order.Refund, now time.Time) {
	paid := m.words.Outcome == OutcomeSucceeded
	switch {
	case r.State != m.book:
		return
	case r.State == order.StateApproved && (r.AcceptedAt.IsZero() || r.DeclinedAt.IsZero()):
		return
	case r.State == order.StateRefunded && paid && !r.ConfirmedAt.IsZero():
		return
	}
	setWords(r, m.words)
	if paid {
		r.ConfirmedAt = now
	}
}

// denialMessage is that of a refund which the provider denies after it has accepted it.
const denialMessage = "the provider denies a refund that it has accepted"

// judge returns what answer a to question q means for refund r, which may have changed since the
// question. now is on the clock that refusals are timed with; quiet is QuietPeriod. judge has no
// effects.
func judge(r *order.Refund, q *question, a answer, now time.Time, quiet time.Duration) verdict {
	isReported := a.err != nil && r.Message == clip(a.err.Error(), order.MaxMessage)
	if errors.Is(a.err, ErrMismatch) && !isReported {
		return verdict{discrepancy: a.err}
	}
	if a.err != nil {
		return verdict{}
	}
	if q.isNewest(r) && r.DeclinedAt.Sub(now) > quiet && isRefusal(a.res.Outcome) {
		// A wrong clock dated the refusal in the future. The quiet period begins now.
		return verdict{keep: true, words: Result{Code: r.Code, Message: r.Message}, refused: true}
	}
	switch a.res.Outcome {
	case OutcomeSucceeded:
		return judgePaid(r, a.res)
	case OutcomeAccepted:
		return judgeAccepted(r, q, a.res)
	case OutcomeAbnormal:
		return judgeAbnormal(r, q, a.res)
	case OutcomeDeclined, OutcomeClosed:
		return judgeRefusal(r, q, a, now, quiet)
	case OutcomeNotFound:
		return judgeNotFound(r, q, a.res, now, quiet)
	case OutcomeUnknown:
	}
	return verdict{}
}

// isRefusal reports whether an outcome can end a refund without a payment.
func isRefusal(o Outcome) bool {
	switch o {
	case OutcomeDeclined, OutcomeClosed, OutcomeNotFound:
		return true
	case OutcomeUnknown, OutcomeAccepted, OutcomeSucceeded, OutcomeAbnormal:
	}
	return false
}

// judgePaid judges a payment, which is a fact no matter when the question was asked.
func judgePaid(r *order.Refund, res Result) verdict {
	switch r.State {
	case order.StateRefunded:
		if !r.ConfirmedAt.IsZero() {
			return verdict{}
		}
		const twice = "the provider says that it paid a refund that a person had resolved " +
			"as paid: was it paid twice?"
		return verdict{marker: &marker{r.State, res}, discrepancy: errors.New(twice)}
	case order.StateApproved, order.StateAbnormal, order.StateFailed:
		return verdict{event: order.EventSettle, words: res}
	}
	return verdict{
		adopt: true, event: order.EventSettle, words: res, discrepancy: disagreement(r, res),
	}
}

// judgeAccepted judges a refund that the provider has and has not paid yet.
func judgeAccepted(r *order.Refund, q *question, res Result) verdict {
	switch {
	case r.State == order.StateAbnormal, !r.ConfirmedAt.IsZero():
		return verdict{} // the book is newer
	case r.State == order.StateApproved && q.seen.State == order.StateApproved &&
		r.Retries == q.seen.Retries:
		return verdict{keep: true, words: res, accepted: true}
	case !q.isCurrent(r):
		return verdict{again: true}
	case r.State == order.StateRefunded:
		return judgeContradiction(r, res) // a person resolved it as paid, and now it will be
	}
	return verdict{adopt: true, words: res, discrepancy: disagreement(r, res)}
}

// mayBeUnderWay reports whether approved refund r is being submitted, or was retried, so that the
// provider may still show its earlier state. Only Process knows which of its answers is newer.
func mayBeUnderWay(r *order.Refund) bool { return !r.LeasedUntil.IsZero() || r.Retries > 0 }

// judgeAbnormal judges money that left the merchant and did not reach the buyer.
func judgeAbnormal(r *order.Refund, q *question, res Result) verdict {
	switch {
	case r.State == order.StateAbnormal:
		return verdict{}
	case r.State == order.StateApproved && (!q.isCurrent(r) || q.attempt == 0 && mayBeUnderWay(r)):
		return verdict{} // Process goes on asking
	case !q.isCurrent(r):
		return verdict{again: true}
	case r.State == order.StateRefunded:
		return judgeContradiction(r, res)
	case r.State == order.StateApproved:
		return verdict{event: order.EventHold, words: res}
	}
	return verdict{
		adopt: true, event: order.EventHold, words: res, discrepancy: disagreement(r, res),
	}
}

// judgeRefusal judges a refund that was declined or closed. In doubt it stays approved, because
// nobody asks about a failed refund.
func judgeRefusal(
	r *order.Refund, q *question, a answer, now time.Time, quiet time.Duration,
) verdict {
	closed := a.res.Outcome == OutcomeClosed
	switch {
	case r.State == order.StateRefunded && a.queried:
		if !q.isCurrent(r) {
			return verdict{again: true}
		}
		return judgeContradiction(r, a.res)
	case !q.isCurrent(r):
		// Process goes on asking about an approved refund, and nobody about an abnormal one.
		return verdict{again: r.State == order.StateAbnormal && closed}
	case r.State == order.StateAbnormal && closed:
		return verdict{event: order.EventFail, words: a.res}
	case r.State != order.StateApproved:
		return verdict{}
	case q.attempt == 0 && (mayBeUnderWay(r) || !closed):
		return verdict{} // Process goes on asking
	case q.isBeforeAcceptance(r):
		return verdict{}
	case !r.AcceptedAt.IsZero() && !closed:
		return judgeDenial(r, a.res, now, quiet)
	case q.attempt > 0 && !r.DeclinedAt.IsZero() && now.Sub(r.DeclinedAt) < quiet:
		return verdict{} // asked too early, by a clock that is ahead
	case q.attempt > 0 && q.seen.Outstanding && q.seen.DeclinedAt.IsZero() &&
		(a.submitted || r.Retries > 0):
		// An earlier submission may have caused it, or it may be from before the retry.
		return verdict{keep: true, words: a.res, refused: true}
	}
	return verdict{event: order.EventFail, words: a.res}
}

// judgeNotFound judges a number that the provider does not know. It proves a refusal that waits,
// and later it ends a refund that must not be sent. Process sends any other refund again.
func judgeNotFound(
	r *order.Refund, q *question, res Result, now time.Time, quiet time.Duration,
) verdict {
	switch {
	case !q.isNewest(r) || q.isBeforeAcceptance(r):
		return verdict{}
	case !r.AcceptedAt.IsZero():
		return judgeDenial(r, res, now, quiet)
	case r.DeclinedAt.IsZero():
		if q.unsendable == "" {
			return verdict{}
		}
		return verdict{keep: true, words: Result{Message: q.unsendable}, refused: true}
	case now.Sub(r.DeclinedAt) >= quiet:
		// An earlier submission had time enough to arrive and did not.
		return verdict{event: order.EventFail, words: Result{Code: r.Code, Message: r.Message}}
	}
	return verdict{}
}

// judgeDenial judges a provider that denies a refund which it has accepted. It may be slow, or have
// lost the refund, or be asked for another merchant. The money may have moved: a person must
// decide.
func judgeDenial(r *order.Refund, res Result, now time.Time, quiet time.Duration) verdict {
	switch {
	case r.DeclinedAt.IsZero():
		words := Result{Code: res.Code, Message: "the provider does not confirm it any more"}
		return verdict{keep: true, words: words, refused: true}
	case r.Message == denialMessage || now.Sub(r.DeclinedAt) < quiet:
		return verdict{}
	}
	return reportOnce(r, res, errors.New(denialMessage))
}

// judgeContradiction judges an answer that contradicts a refunded refund.
func judgeContradiction(r *order.Refund, res Result) verdict {
	err := disagreement(r, res)
	if r.Message == err.Error() {
		return verdict{}
	}
	return reportOnce(r, res, err)
}

// reportOnce reports a discrepancy whose text the refund then keeps as its message.
func reportOnce(r *order.Refund, res Result, err error) verdict {
	words := Result{Code: res.Code, Message: err.Error()}
	return verdict{discrepancy: err, marker: &marker{r.State, words}}
}

func disagreement(r *order.Refund, res Result) error {
	const text = "the provider says %s of a refund that is booked as %s"
	return fmt.Errorf(text, res.Outcome, r.State)
}
