package wechatv2_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestServicePaysOnceAfterEveryFault runs the whole workflow through the adapter, over TLS, against
// the simulator. It checks that after any fault of a call the refund does not fail, the buyer is
// paid once, and the order ends refunded.
func TestServicePaysOnceAfterEveryFault(t *testing.T) {
	refundPath := func(f wechattest.Fault) wechattest.Fault { return f.On(wechattest.PathRefund) }
	queryPath := func(f wechattest.Fault) wechattest.Fault { return f.On(wechattest.PathQuery) }
	for name, script := range map[string][]wechattest.Fault{
		"answer lost after paying": {wechattest.LoseAnswer()},
		"connection lost before":   {wechattest.LoseAnswer().NotExecuted()},
		"time-out after paying": {
			refundPath(wechattest.Fault{}.After(func(ctx context.Context) { <-ctx.Done() })),
		},
		"every first call lost": {
			refundPath(wechattest.LoseAnswer()),
			queryPath(wechattest.LoseAnswer().NotExecuted()),
		},
		"502 after paying":                   {wechattest.Status(502)},
		"502 instead of paying":              {wechattest.Status(502).NotExecuted()},
		"garbage":                            {wechattest.Body([]byte("<<<"))},
		"empty":                              {wechattest.Body(nil)},
		"cut answer":                         {wechattest.Truncate()},
		"broken off":                         {wechattest.BreakOff()},
		"wrong signature":                    {wechattest.WrongSign()},
		"no signature":                       {wechattest.NoSign()},
		"signed by the other algorithm":      {wechattest.OtherSign()},
		"answer for another refund":          {wrongRefundNo("R9")},
		"answer with another amount":         {wrongAmount("1")},
		"SYSTEMERROR, executed":              {wechattest.ErrCode("SYSTEMERROR", "系统超时", true)},
		"SYSTEMERROR, not executed":          {wechattest.ErrCode("SYSTEMERROR", "系统超时", false)},
		"unknown code, executed":             {wechattest.ErrCode("NEW_CODE", "?", true)},
		"BIZERR_NEED_RETRY":                  {wechattest.ErrCode("BIZERR_NEED_RETRY", "", false)},
		"FREQUENCY_LIMITED":                  {wechattest.ErrCode("FREQUENCY_LIMITED", "", false)},
		"ERROR, the echo of our own success": {wechattest.ErrCode("ERROR", "订单已全额退款", true)},
		"certificate fault":                  {wechattest.ErrCode("CERT_ERROR", "", false)},
		"return_code FAIL, system":           {wechattest.ReturnFail("system error", true)},
		"return_code FAIL, unknown text":     {wechattest.ReturnFail("whatever", true)},
		"unknown refund_status":              {queryPath(unknownStatus("NOTSURE"))},
		"not found for a while":              {queryPath(notFound())},
		"query with a wrong signature":       {queryPath(wechattest.WrongSign())},
		"lost, then NOTENOUGH for the second": {
			refundPath(wechattest.LoseAnswer()), queryPath(notFound()),
			refundPath(wechattest.ErrCode("NOTENOUGH", "基本账户余额不足", false)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := patience
			if name == "time-out after paying" {
				limit = time.Second
			}
			f := newFlowWithin(t, limit)
			f.sim.Inject(script...)
			f.approve("R1", 3000)
			f.finish("R1")
			o := f.order()
			require.Equal(t, order.StateRefunded, o.Refund("R1").State)
			for _, tr := range o.History {
				require.NotEqual(t, order.EventFail, tr.Event)
			}
			require.EqualValues(t, 3000, o.Refunded)
			require.EqualValues(t, 3000, f.sim.PaidTotal("ORDER-1"))
			for _, e := range f.sim.Ledger() {
				require.Equal(t, 1, e.Payments)
			}
		})
	}
}

// TestServiceFailsADefiniteRefusal checks that a documented refusal fails the refund, and that the
// same number pays later.
func TestServiceFailsADefiniteRefusal(t *testing.T) {
	f := newFlow(t)
	f.sim.SetBalance(0)
	f.approve("R1", 3000)
	f.finish("R1")
	r := f.order().Refund("R1")
	require.Equal(t, order.StateFailed, r.State)
	require.Equal(t, "NOTENOUGH", r.Code)
	require.Zero(t, f.sim.PaidTotal("ORDER-1"))

	f.sim.SetBalance(3000)
	_, err := f.svc.Retry(context.Background(),
		refund.RetryParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Actor: "staff:1"})
	require.NoError(t, err)
	f.finish("R1")
	require.Equal(t, order.StateRefunded, f.order().Refund("R1").State)
	require.EqualValues(t, 3000, f.sim.PaidTotal("ORDER-1"))
}

// TestServiceRefusesNumbersWhenAsked checks that a number that WeChat Pay does not accept is
// refused before the refund is recorded.
func TestServiceRefusesNumbersWhenAsked(t *testing.T) {
	f := newFlow(t)
	_, err := f.svc.Register(context.Background(), refund.RegisterParams{
		OrderID: "an order number that is far too long", Gateway: "wechatv2", Currency: "CNY",
		Total: 100,
	})
	require.NoError(t, err)
	for id, number := range map[string]string{
		"ORDER-1":                              "R 1",
		"an order number that is far too long": "R1",
	} {
		_, err := f.svc.Request(context.Background(),
			refund.RequestParams{
				Ref: refund.Ref{OrderID: id, RefundNo: number}, Amount: 1, Actor: "buyer:1",
			})
		require.ErrorIs(t, err, order.ErrInvalid)
		o, err := f.svc.Order(context.Background(), id)
		require.NoError(t, err)
		require.Empty(t, o.Refunds)
	}
}

// flow is a service with the adapter, the simulator, and order ORDER-1 of 100 yuan.
type flow struct {
	t     *testing.T
	clock *refundtest.Clock
	sim   *wechattest.Server
	svc   *refund.Service
}

func newClock() *refundtest.Clock {
	return refundtest.NewClock(time.Date(2026, 1, 5, 2, 0, 0, 0, time.UTC))
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	return newFlowWithin(t, patience)
}

// newFlowWithin is newFlow with a time limit for each call.
func newFlowWithin(t *testing.T, limit time.Duration) *flow {
	t.Helper()
	f := &flow{t: t, clock: newClock()}
	var err error
	f.sim, err = wechattest.NewServer(wechattest.Options{Now: f.clock.Now})
	require.NoError(t, err)
	t.Cleanup(f.sim.Close)
	cfg := f.sim.Config()
	cfg.Timeout = limit
	g, err := wechatv2.New(cfg)
	require.NoError(t, err)
	t.Cleanup(g.CloseIdleConnections)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	f.svc, err = refund.NewService(m, memstore.New(), g, patient(refund.Options{Now: f.clock.Now}))
	require.NoError(t, err)
	require.NoError(t, f.sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 10000}))
	_, err = f.svc.Register(context.Background(), refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "wechatv2", Currency: "CNY", Total: 10000,
	})
	require.NoError(t, err)
	return f
}

func (f *flow) approve(number string, fen int64) {
	f.t.Helper()
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: number}
	_, err := f.svc.Request(context.Background(),
		refund.RequestParams{Ref: ref, Amount: fen, Actor: "buyer:1"})
	require.NoError(f.t, err)
	_, err = f.svc.Approve(context.Background(),
		refund.ApproveParams{Ref: ref, Amount: fen, Actor: "staff:1"})
	require.NoError(f.t, err)
}

// finish processes a refund until it has ended.
func (f *flow) finish(number string) {
	f.t.Helper()
	for range 20 {
		next, err := f.svc.Process(context.Background(),
			refund.Ref{OrderID: "ORDER-1", RefundNo: number})
		require.NoError(f.t, err)
		if next.At.IsZero() {
			return
		}
		f.clock.Advance(next.At.Sub(f.clock.Now()))
	}
	f.t.Fatal("no end")
}

func (f *flow) order() *order.Order {
	f.t.Helper()
	o, err := f.svc.Order(context.Background(), "ORDER-1")
	require.NoError(f.t, err)
	return o
}
