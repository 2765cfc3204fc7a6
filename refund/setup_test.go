package refund_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestSetupFaultIsReportedOnce: WeChat Pay requires the certificate for refunds only, so the
// queries in between work.
func TestSetupFaultIsReportedOnce(t *testing.T) {
	noAuth := fault{
		op: "refund", err: &refund.SetupError{Gateway: "bank", Err: errors.New("NOAUTH")},
	}
	e := newEnv(t)
	ref := e.approved("R1", 6000)
	for range 10 {
		e.bank.next(noAuth)
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 1)
	e.bank.next(
		fault{op: "query", err: &refund.SetupError{Gateway: "bank", Err: errors.New("SIGNERROR")}},
		noAuth,
	)
	e.steps(ref, 2)
	require.Len(t, e.setup, 1, "still the same fault")
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)

	// a refund was sent: the fault is over, and the next one is another
	ref = e.approved("R2", 1000)
	e.bank.next(noAuth)
	e.steps(ref, 1)
	require.Len(t, e.setup, 2)
}

func TestSetupFaultOfQueriesEndsWithAQuery(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 6000)
	e.process(ref)
	for range 2 {
		e.bank.next(
			fault{op: "query", err: &refund.SetupError{Err: errors.New("SIGNERROR")}},
			fault{op: "query", err: &refund.SetupError{Err: errors.New("SIGNERROR")}},
			fault{op: "query", res: isAccepted},
		)
		e.steps(ref, 3)
	}
	require.Len(t, e.setup, 2)
}

func TestSetupFaultIsReportedOncePerGateway(t *testing.T) {
	e := newEnv(t)
	fails := fault{op: "refund", err: &refund.SetupError{Err: errLost}}
	e.bank.next(fails, fails)
	ref1, ref2 := e.approved("R1", 1000), e.approved("R2", 1000)
	e.process(ref1)
	e.process(ref2)
	require.Len(t, e.setup, 1)
	require.ErrorIs(t, e.setup[0], refund.ErrSetup)
	require.ErrorContains(t, e.setup[0], `gateway "bank"`)
	e.run() // works again
	e.bank.next(fails)
	e.process(e.approved("R3", 1000))
	require.Len(t, e.setup, 2, "a new fault is reported again")
}
