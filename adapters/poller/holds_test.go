package poller

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/refund"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func due(orderID, number string, at time.Time) refund.DueRefund {
	return refund.DueRefund{Ref: refund.Ref{OrderID: orderID, RefundNo: number}, At: at}
}

func newHolds() *holds { return &holds{byOrder: map[string]map[string]*hold{}} }

// TestHolds: the refund was due since 11:00 and was processed at noon. The table says whether it is
// held if the store lists it again.
func TestHolds(t *testing.T) {
	before := noon.Add(-time.Hour)
	year := 365 * 24 * time.Hour
	for name, tc := range map[string]struct {
		firm   time.Duration
		at     time.Time     // since when it is due now
		now    time.Duration // after noon
		held   bool
		forgot bool // by then
	}{
		"at once":                        {at: noon, now: 0, held: true},
		"within the second":              {at: noon, now: holdAgain - 1, held: true},
		"after the second, due since":    {at: noon.Add(500 * time.Millisecond), now: holdAgain},
		"due just now":                   {at: noon.Add(5 * time.Second), now: 5 * time.Second},
		"due before, not asked":          {at: before, now: holdAgain},
		"retried, clock a minute behind": {at: noon.Add(-clockSlack), now: holdAgain},
		"clock further behind":           {at: noon.Add(-clockSlack - 1), now: holdAgain, held: true},
		"clock a year behind":            {at: noon.Add(-year), now: 30 * time.Second, held: true},
		"clock a year ahead":             {at: noon.Add(year), now: holdOdd - 1, held: true},
		"clock just ahead":               {at: noon.Add(2*time.Second + 1), now: 2 * time.Second, held: true},
		"year behind, after a minute":    {at: noon.Add(-year), now: holdOdd, forgot: true},
		"year ahead, after a minute":     {at: noon.Add(year), now: holdOdd, forgot: true},
		"failed":                         {firm: holdError, at: before, now: holdError - 1, held: true},
		"failed, later":                  {firm: holdError, at: before, now: holdError},
		"clock set back":                 {at: before, now: -time.Hour, forgot: true},
		"clock set back a little":        {at: before, now: -10 * time.Second, forgot: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolds()
			if tc.firm == 0 {
				tc.firm = holdAgain
			}
			h.add(due("O1", "R1", before), noon, tc.firm)
			d, now := due("O1", "R1", tc.at), noon.Add(tc.now)
			require.Equal(t, tc.held, h.contain(d, now))
			require.False(t, h.contain(due("O1", "R2", tc.at), now))
			require.False(t, h.contain(due("O2", "R1", tc.at), now))
			require.Equal(t, tc.held, h.expire(now) == 1)
			require.Equal(t, tc.forgot, len(h.byOrder) == 0)
			require.Equal(t, tc.forgot, h.n == 0)
		})
	}
}

// TestHoldsAreBounded: the memory for wrong clocks is bounded, however many refunds wait for their
// outcome.
func TestHoldsAreBounded(t *testing.T) {
	h := newHolds()
	for i := range maxHolds + 500 {
		h.add(due("O"+strconv.Itoa(i), "R", noon.Add(-time.Hour)), noon, holdAgain)
	}
	h.add(due("O1", "R", noon.Add(-time.Hour)), noon, holdAgain) // the same again
	require.Equal(t, maxHolds+500, h.n)
	require.Equal(t, maxHolds+500, h.expire(noon))
	require.Zero(t, h.expire(noon.Add(holdAgain)), "nothing is held any more")
	require.InDelta(t, maxHolds, h.n, 1)
	require.Zero(t, h.expire(noon.Add(holdOdd)))
	require.Empty(t, h.byOrder)
	require.Zero(t, h.n)
}

func TestReleaseOthersReleasesTheOrdersOtherRefunds(t *testing.T) {
	h := newHolds()
	require.False(t, h.releaseOthers(refund.Ref{OrderID: "O1", RefundNo: "R1"}))
	for _, number := range []string{"R1", "R2", "R3"} {
		h.add(due("O1", number, noon), noon, holdAgain)
	}
	h.add(due("O2", "R4", noon), noon, holdAgain)
	require.True(t, h.releaseOthers(refund.Ref{OrderID: "O1", RefundNo: "R1"}))
	require.Equal(t, 2, h.n)
	require.True(t, h.contain(due("O1", "R1", noon), noon))
	require.False(t, h.contain(due("O1", "R2", noon), noon))
	require.True(t, h.contain(due("O2", "R4", noon), noon))
	require.False(t, h.releaseOthers(refund.Ref{OrderID: "O1", RefundNo: "R1"}))
}
