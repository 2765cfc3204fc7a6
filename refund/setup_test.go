package refund_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestSetupFaultIsReportedOnce: WeChat Pay requires the certificate for refunds only, so the
// queries in between work.
func TestSetupFaultIsReportedOnce(t *testing.T) {
	noAuth := refundtest.Fail(&refund.SetupError{Gateway: "bank", Err: errors.New("NOAUTH")})
	e := newEnv(t)
	ref := e.approved("R1", 6000)
	for range 10 {
		e.bank.NextRefund(noAuth)
		e.steps(ref, 1)
	}
	require.Len(t, e.setup, 1)
	signError := &refund.SetupError{Gateway: "bank", Err: errors.New("SIGNERROR")}
	e.bank.NextQuery(refundtest.Fail(signError))
	e.bank.NextRefund(noAuth)
	e.steps(ref, 2)
	require.Len(t, e.setup, 1, "still the same fault")
	e.run()
	require.Equal(t, order.StateRefunded, e.refund("R1").State)

	// a refund was sent: the fault is over, and the next one is another
	ref = e.approved("R2", 1000)
	e.bank.NextRefund(noAuth)
	e.steps(ref, 1)
	require.Len(t, e.setup, 2)
}

func TestSetupFaultOfQueriesEndsWithAQuery(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 6000)
	e.process(ref)
	for range 2 {
		fails := setupFault()
		e.bank.NextQuery(fails, fails, refundtest.Answer(isAccepted))
		e.steps(ref, 3)
	}
	require.Len(t, e.setup, 2)
}

func TestSetupFaultIsReportedOncePerGateway(t *testing.T) {
	e := newEnv(t)
	fails := refundtest.Fail(&refund.SetupError{Err: errLost})
	e.bank.NextRefund(fails, fails)
	ref1, ref2 := e.approved("R1", 1000), e.approved("R2", 1000)
	e.process(ref1)
	e.process(ref2)
	require.Len(t, e.setup, 1)
	require.ErrorIs(t, e.setup[0], refund.ErrSetup)
	require.ErrorContains(t, e.setup[0], `gateway "bank"`)
	e.run() // works again
	e.bank.NextRefund(fails)
	e.process(e.approved("R3", 1000))
	require.Len(t, e.setup, 2, "a new fault is reported again")
}

// setupFault makes a call fail because of the gateway's set-up.
func setupFault() refundtest.Step {
	return refundtest.Fail(&refund.SetupError{Err: errors.New("the certificate has expired")})
}
