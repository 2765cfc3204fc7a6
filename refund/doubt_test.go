package refund_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestAcceptedIsNeverCancelled: the book was restored from a backup in which the refund had not been sent yet, and the
// provider has it. Once that is known, the amount must not be released for another refund.
func TestAcceptedIsNeverCancelled(t *testing.T) {
	e := newEnv(t)
	ref := e.approved("R1", 4000)
	e.bank.pay(refund.Request{OrderID: "O1", RefundNo: "R1", Amount: 4000})
	e.bank.next(fault{op: "query", res: isAccepted})
	e.hint()
	require.Zero(t, e.refund("R1").Attempts)
	require.NotZero(t, e.refund("R1").AcceptedAt)

	_, err := cancel(true).do(bg, e.svc)
	require.ErrorIs(t, err, refund.ErrTransition)
	require.EqualValues(t, 4000, e.order().Reserved)
	e.process(ref)
	require.Equal(t, order.StateRefunded, e.refund("R1").State)
	require.Empty(t, e.bank.submissions("R1"))
}
