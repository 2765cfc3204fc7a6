package wechatv2_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// honestFaults break calls in every way except one: the service never signs a false statement about
// money.
func honestFaults() []wechattest.Fault {
	return []wechattest.Fault{
		{},
		{},
		{}, // calls that succeed
		wechattest.LoseAnswer(), wechattest.LoseAnswer().NotExecuted(), wechattest.BreakOff(),
		wechattest.Truncate(), wechattest.Status(http.StatusBadGateway),
		wechattest.Status(http.StatusBadGateway).NotExecuted(),
		wechattest.Body(nil), wechattest.Body([]byte("<html><hr></html>")),
		wechattest.WrongSign(), wechattest.OtherSign(), wechattest.NoSign(),
		field("out_refund_no", "R9").Field("out_refund_no_0", "R9"),
		field("total_fee", "7"),
		wechattest.ErrCode("SYSTEMERROR", "System Error", true),
		wechattest.ErrCode("SYSTEMERROR", "System Error", false),
		wechattest.ErrCode("ERROR", "x", true), wechattest.ErrCode("INVALID_REQUEST", "x", true),
		wechattest.ErrCode("REFUND_FEE_MISMATCH", "x", true),
		wechattest.ErrCode("FREQUENCY_LIMITED", "x", false),
		wechattest.ErrCode("NEW_CODE", "x", true),
		wechattest.ReturnFail("签名错误", true), wechattest.ReturnFail("系统繁忙", true),
		wechattest.ReturnFail("invalid refund_fee", true),
		unknownStatus("NEW"),
		wechattest.EndsAs(wechattest.StatusClosed), wechattest.EndsAs(wechattest.StatusChange),
	}
}

// TestEveryOutcomeIsTrue runs random scripts of calls and faults. It checks that every outcome that
// the gateway returns is true, and that no number is paid twice.
func TestEveryOutcomeIsTrue(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		srv, err := wechattest.NewServer(wechattest.Options{})
		require.NoError(t, err)
		defer srv.Close()
		require.NoError(t, srv.AddOrder(wechattest.Order{OutTradeNo: "O1", TotalFee: 100}))
		cfg := config(srv)
		cfg.SignType = wechatv2.SignHMACSHA256
		g, err := wechatv2.New(cfg)
		require.NoError(t, err)
		defer g.CloseIdleConnections()
		for range rapid.IntRange(1, 25).Draw(t, "calls") {
			req := refund.Request{
				OrderID: "O1", RefundNo: fmt.Sprintf("R%d", rapid.IntRange(1, 3).Draw(t, "number")),
				Amount: 40, Total: 100, Currency: "CNY", // the total covers two of three
			}
			faults := honestFaults()
			srv.Inject(faults[rapid.IntRange(0, len(faults)-1).Draw(t, "fault")])
			before := srv.Paid(req.RefundNo)
			ask := g.Refund
			asked := rapid.Bool().Draw(t, "refund")
			if !asked {
				ask = func(ctx context.Context, req refund.Request) (refund.Result, error) {
					return g.Query(ctx, req)
				}
			}
			res, err := ask(ctx, req)
			if err != nil {
				require.Zero(t, res)
				continue
			}
			paid := srv.Paid(req.RefundNo)
			switch res.Outcome {
			case refund.OutcomeSucceeded, refund.OutcomeAbnormal:
				require.EqualValues(t, 40, paid)
			case refund.OutcomeDeclined, refund.OutcomeNotFound:
				require.Zero(t, before)
				require.Zero(t, paid)
				require.Equal(t, asked, res.Outcome == refund.OutcomeDeclined)
			case refund.OutcomeClosed:
				require.Zero(t, paid)
			case refund.OutcomeAccepted:
			case refund.OutcomeUnknown:
				t.Fatal("unknown without an error")
			}
		}
		require.LessOrEqual(t, srv.PaidTotal("O1"), int64(100))
		for _, e := range srv.Ledger() {
			require.Equal(t, 1, e.Payments)
		}
	})
}

// TestConcurrentCallsPayOnce checks that 32 concurrent calls for one refund pay once.
func TestConcurrentCallsPayOnce(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	var wg sync.WaitGroup
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			res, err := g.Refund(context.Background(), request())
			if err != nil || res.Outcome != refund.OutcomeAccepted {
				t.Errorf("%v: %v", res.Outcome, err)
			}
		}()
	}
	wg.Wait()
	require.EqualValues(t, 30, srv.PaidTotal("O1"))
}
