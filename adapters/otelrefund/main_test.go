package otelrefund_test

import (
	"testing"

	"github.com/orderfsm/orderfsm/internal/logtest"
)

func TestMain(m *testing.M) { logtest.Main(m) }
