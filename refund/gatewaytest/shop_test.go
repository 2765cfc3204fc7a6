package gatewaytest_test

import (
	"testing"

	"github.com/orderfsm/orderfsm/refund/gatewaytest"
)

// TestExample: what the example shows works.
func TestExample(t *testing.T) { gatewaytest.Run(t, gatewaytest.Harness{New: newShop}) }
