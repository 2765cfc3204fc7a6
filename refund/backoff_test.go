package refund_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

func TestExponentialBackoff(t *testing.T) {
	b := refund.ExponentialBackoff(5*time.Second, time.Hour)
	for attempts, most := range map[int]time.Duration{
		-1: 5 * time.Second, 0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second,
		5:  80 * time.Second,
		11: time.Hour, 1 << 40: time.Hour,
	} {
		for range 100 {
			d := b("g", attempts)
			require.LessOrEqual(t, d, most)
			require.Greater(t, d, most*4/5-time.Nanosecond)
		}
	}
	require.Zero(t, refund.ExponentialBackoff(0, 0)("g", 3))
}

func TestBackoffNeverOverflows(t *testing.T) {
	const ever = time.Duration(1<<63 - 1)
	for _, b := range []refund.Backoff{
		refund.ExponentialBackoff(time.Nanosecond, ever), refund.ExponentialBackoff(ever-1, ever),
		refund.ExponentialBackoff(time.Hour, time.Second),
	} {
		least := time.Duration(0)
		for attempts := range 200 {
			d := b("g", attempts)
			require.Positive(t, d)
			require.GreaterOrEqual(
				t, d, least, "never less than four fifths of what an earlier attempt waited",
			)
			least = max(least, d/5*4)
		}
	}
	require.Zero(
		t, refund.ExponentialBackoff(0, time.Hour)("g", 1<<62),
		"at once, and not after 2^62 rounds",
	)
	require.LessOrEqual(t, refund.ExponentialBackoff(time.Hour, time.Second)("g", 1), time.Second)
}

// TestDefaultScheduleOfPolls: the provider needs a month. The refund is asked about within seconds,
// then less and less often, but at least every two hours, to the end.
func TestDefaultScheduleOfPolls(t *testing.T) {
	e := newEnv(t, func(_ *env, o *refund.Options) { o.Backoff = nil })
	ref := e.approved("R1", 4000)
	start := e.clock.Now()
	var waits []time.Duration
	for e.clock.Now().Sub(start) < 30*24*time.Hour {
		e.bank.NextQuery(refundtest.Answer(isAccepted))
		next := e.process(ref)
		require.Equal(t, order.StateApproved, next.State)
		wait := next.At.Sub(e.clock.Now())
		require.Greater(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, 2*time.Hour)
		waits = append(waits, wait)
		e.clock.Advance(wait)
	}
	require.LessOrEqual(t, waits[0], 5*time.Second)
	require.LessOrEqual(t, waits[1], 10*time.Second)
	require.Greater(t, waits[len(waits)-1], 90*time.Minute)
	require.Less(t, len(waits), 500, "about one every two hours")
	distinct := map[time.Duration]bool{}
	for _, w := range waits[20:] {
		distinct[w] = true
	}
	require.Greater(t, len(distinct), len(waits)/2, "jitter")
}

// TestBackoffIsBounded: whatever a host's Backoff returns, the next attempt is not before now and
// not after MaxWait.
func TestBackoffIsBounded(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, 0: 0, time.Minute: time.Minute, time.Hour: time.Hour,
		math.MaxInt64: time.Hour, math.MinInt64: 0,
	} {
		e := newEnv(t, func(_ *env, o *refund.Options) {
			o.MaxWait = time.Hour
			o.Backoff = func(string, int) time.Duration { return said }
		})
		next := e.process(e.approved("R1", 4000))
		require.Equal(t, want, next.At.Sub(e.clock.Now()), "backoff says %v", said)
	}
	_, err := refund.NewService(
		newEnv(t).machine, plainStore{}, newBank(), refund.Options{MaxWait: -1},
	)
	require.ErrorContains(t, err, "max_wait: is negative")
}

func TestWaitAfterEachKindOfError(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"unknown", errLost, time.Minute},
		{"busy", &refund.BusyError{After: time.Hour, Err: errLost}, time.Hour},
		{
			"busy for less than the backoff", &refund.BusyError{After: time.Second, Err: errLost},
			time.Minute,
		},
		{"busy without end", &refund.BusyError{After: 1<<63 - 1, Err: errLost}, 24 * time.Hour},
		{"busy until yesterday", &refund.BusyError{After: -time.Hour, Err: errLost}, time.Minute},
		{"set-up", &refund.SetupError{Err: errLost}, 10 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			e.bank.NextRefund(refundtest.Fail(tc.err))
			next := e.process(e.approved("R1", 4000))
			require.Equal(t, e.clock.Now().Add(tc.want), next.At)
			require.ErrorIs(t, next.Err, errLost)
			require.Contains(t, e.refund("R1").Message, "connection reset")
		})
	}
}

// TestBackoffIsThatOfTheGateway: a provider can have its own waits.
func TestBackoffIsThatOfTheGateway(t *testing.T) {
	var asked []string
	e := newEnv(t, func(_ *env, o *refund.Options) {
		o.Backoff = func(gateway string, attempts int) time.Duration {
			asked = append(asked, fmt.Sprintf("%s %d", gateway, attempts))
			return time.Minute
		}
	})
	e.process(e.approved("R1", 4000)) // accepted
	e.clock.Advance(time.Minute)
	e.process(e.approvedOf("other", "O2")) // accepted
	require.Equal(t, []string{"bank 1", "other 1"}, asked)
}
