package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// longest is how long the provider's words are at most, in bytes.
const longest = 100_000

// scripts are what a wordy provider writes: one sort each, as long as the longest word.
var scripts = func() (all []string) {
	for _, s := range []string{
		"9", "NOTENOUGH-", "退款", "a\u00e9", "\U0001f4b8", "\xff\xfe", "x\x00y", "\n\t\x1b[31m", " ",
		"\xe9\x80", "\u2028\u0085\u200b",
	} {
		all = append(all, strings.Repeat(s, longest/len(s)+1))
	}
	return all
}()

// lengths are about the limits of the columns, and far beyond.
var lengths = []int{
	0, 1, 64, 127, 128, 129, 130, 255, 257, 385, 499, 500, 501, 502, 513, 2001, 4097, 65_537,
	longest,
}

// words are long and odd, and always the same for the same numbers.
func words(h uint64) string {
	return scripts[h%uint64(len(scripts))][:lengths[h>>8%uint64(len(lengths))]]
}

// oddTimes are dates that a provider may give, in years that no store keeps, or hardly.
var oddTimes = []time.Time{
	{},
	time.Unix(1<<60, 0), time.Unix(-1<<60, 0),
	time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
	time.Date(-4, 2, 29, 0, 0, 0, 0, time.UTC),
	time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(292_277, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 8*3600+5*60+43)),
}

// say puts an answer into a wordy provider's words. Its number for a refund is always the same.
func (p *provider) say(res refund.Result) refund.Result {
	if !p.w.plan.Provider.Wordy {
		return res
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(res.RefundNo))
	of := hash.Sum64()
	if res.ProviderRefundID != "" {
		res.ProviderRefundID = "#" + words(mix(p.w.plan.Seed, of))
	}
	p.said++
	h := mix(p.w.plan.Seed, of, p.said)
	res.Code += words(h >> 3)
	res.Message, res.Recipient, res.Settled = words(h>>7), words(h>>9), int64(h) //nolint:gosec // any number
	if !res.RefundedAt.IsZero() && h&3 == 0 {
		res.RefundedAt = oddTimes[h>>11%uint64(len(oddTimes))]
	}
	return res
}

// fault is an error in a wordy provider's words.
func (p *provider) fault() error {
	if !p.w.plan.Provider.Wordy {
		return errFault
	}
	p.said++
	return fmt.Errorf("%w: %s", errFault, words(mix(p.w.plan.Seed, p.said)))
}

var errColumn = errors.New("value does not fit the column")

// bookable is what the columns of a store take. What the provider says must never be refused by
// them.
func (c *checker) bookable(o *order.Order) error {
	fits := true
	for i := range o.Refunds {
		r := &o.Refunds[i]
		fits = fits && name(r.ProviderRefundID) && name(r.Code) && name(r.Recipient) &&
			text(r.Message, order.MaxMessage) && text(r.ReviewNote, order.MaxText)
		for _, at := range []time.Time{
			r.NextAttemptAt, r.LeasedUntil, r.SubmittedAt, r.DeclinedAt, r.AcceptedAt,
			r.ConfirmedAt,
			r.ApprovedAt, r.EndedAt, r.RefundedAt,
		} {
			fits = fits && 1 <= at.Year() && at.Year() <= 9999
		}
	}
	if n := len(o.History); n > 0 {
		fits = fits && text(o.History[n-1].Note, order.MaxText)
	}
	if fits {
		return nil
	}
	c.w.fail("not_bookable", "order %s: what the provider said does not fit the columns", o.ID)
	return errColumn
}

// name reports whether s can be stored as what the provider calls a thing.
func name(s string) bool {
	return text(s, 4*order.MaxCode) && utf8.RuneCountInString(s) <= order.MaxCode
}

// text reports whether s can be stored as text of at most so many bytes.
func text(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
