package refundtest_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/gatewaytest"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// provider adapts the gateway to the suite.
type provider struct {
	*refundtest.Gateway
	orders atomic.Int64
}

func (p *provider) AddOrder(total int64) refund.Request {
	id := fmt.Sprintf("O%d", p.orders.Add(1))
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "CNY"}
}

func (p *provider) Settle(number string) {
	if p.State(number) == refund.OutcomeAccepted {
		_ = p.End(number, refund.OutcomeSucceeded)
	}
}

func (p *provider) Next(f gatewaytest.Fault) bool {
	var s refundtest.Step
	switch f {
	case gatewaytest.FaultDecline:
		s = refundtest.Decline("NO_FUNDS")
	case gatewaytest.FaultLoseAnswer:
		s = refundtest.AsUsual().ThenFail(nil)
	case gatewaytest.FaultFailBefore, gatewaytest.FaultGarbage: // errors both
		s = refundtest.Fail(nil)
	case gatewaytest.FaultOtherRefund:
		s = refundtest.AsUsual().Rewrite(func(r *refund.Result) { r.RefundNo += "x" })
	case gatewaytest.FaultOtherAmount:
		s = refundtest.AsUsual().Rewrite(func(r *refund.Result) { r.Amount += 7 })
	case gatewaytest.FaultHang:
		s = refundtest.Hang()
	case gatewaytest.FaultAbnormal:
		s = refundtest.Abnormal()
	case gatewaytest.FaultClose:
		s = refundtest.Close()
	default:
		return false
	}
	p.Gateway.Next(s)
	return true
}

// TestConformance: the gateway keeps the promises of the port with each default.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, usual := range map[string]refundtest.Step{
		"pays at once":    refundtest.Pay(),
		"accepts":         refundtest.Accept(),
		"pays when asked": refundtest.PayWhenAsked(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := func(*testing.T) (refund.RefundGateway, gatewaytest.Provider) {
				gw := refundtest.New()
				gw.ByDefault(usual)
				return gw, &provider{Gateway: gw}
			}
			gatewaytest.Run(t, gatewaytest.Harness{New: open})
		})
	}
}
