package refund_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestAbandonWaitsForASlowProvider: a provider may not show a refund at first, while it pays it.
// Only after the quiet period does "not found" release the amount. A refusal does at once.
func TestAbandonWaitsForASlowProvider(t *testing.T) {
	const quiet = 5 * time.Minute
	notFound := refundtest.Answer(isNotFound)
	refused := refundtest.Answer(refund.Result{Outcome: refund.OutcomeDeclined, Code: "NO"})
	for name, tt := range map[string]struct {
		after   time.Duration // the submission
		answer  refundtest.Step
		settled bool
	}{
		"not found at once":                  {0, notFound, false},
		"not found just before":              {quiet - time.Microsecond, notFound, false},
		"not found after the period":         {quiet, notFound, true},
		"refused at once":                    {0, refused, true},
		"submitted by a clock an hour ahead": {-time.Hour, notFound, true},
		"submitted by a clock a bit ahead":   {-time.Second, notFound, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(_ *env, o *refund.Options) { o.QuietPeriod = quiet })
			e.bank.NextRefund(refundtest.Decline("NOTENOUGH"))
			e.process(e.approved("R1", 4000))
			require.Equal(t, order.StateFailed, e.refund("R1").State)
			e.clock.Advance(tt.after)
			e.bank.NextQuery(tt.answer)
			_, err := abandon.do(bg, e.svc)
			if tt.settled {
				require.NoError(t, err)
				require.Zero(t, e.order().Reserved)
				return
			}
			require.ErrorIs(t, err, refund.ErrUnsettled)
			require.ErrorContains(t, err, "may not show it before ")
			require.EqualValues(t, 4000, e.order().Reserved)
		})
	}
}
