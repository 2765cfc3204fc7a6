package gatewaytest_test

import (
	"testing"

	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestExampleGatewayPasses: the gateway of the example passes the suite.
func TestExampleGatewayPasses(t *testing.T) {
	gatewaytest.Run(t,
		gatewaytest.Harness{New: newShop})
}
