package wechatv2_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// shop is a service with its notification endpoint on a mux, as in a host, and a simulator that
// delivers to it.
type shop struct {
	*flow
	gateway *wechatv2.Gateway
	unknown []refund.Notification
}

func newShop(t *testing.T, opts wechattest.Options, limits *refund.Limits) *shop {
	t.Helper()
	s := &shop{flow: &flow{t: t, clock: newClock()}}
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	opts.Now, opts.NotifyURL = s.clock.Now, web.URL+"/wechat/refunds"
	opts.NotifyClient = unhurried(t)
	var err error
	s.sim, err = wechattest.NewServer(opts)
	require.NoError(t, err)
	t.Cleanup(s.sim.Close)
	cfg := config(s.sim)
	cfg.Limits = limits
	s.gateway = newGateway(t, cfg)
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	var mu sync.Mutex
	s.svc, err = refund.NewService(m, memstore.New(), s.gateway,
		patient(refund.Options{Now: s.clock.Now, Hooks: []refund.Hooks{{
			UnknownNotification: func(_ context.Context, n refund.Notification) {
				mu.Lock()
				defer mu.Unlock()
				s.unknown = append(s.unknown, n)
			},
		}}}))
	require.NoError(t, err)
	h, err := s.svc.NotificationHandler("wechatv2")
	require.NoError(t, err)
	mux.Handle("POST /wechat/refunds", h)
	require.NoError(t, s.sim.AddOrder(wechattest.Order{
		OutTradeNo: "ORDER-1", TotalFee: 10000, PaidAt: s.clock.Now(),
		Coupons: []wechattest.Coupon{{ID: "c1", Type: "NO_CASH", Fee: 1000}},
	}))
	_, err = s.svc.Register(context.Background(), refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "wechatv2", Currency: "CNY", Total: 10000,
		PaidAt: s.clock.Now(),
	})
	require.NoError(t, err)
	return s
}

// unhurried returns a client that sends notifications without WeChat Pay's time limit.
func unhurried(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		return transport.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	})}
}

func (s *shop) process(number string) refund.ProcessResult {
	s.t.Helper()
	ref := refund.Ref{OrderID: "ORDER-1", RefundNo: number}
	next, err := s.svc.Process(context.Background(), ref)
	require.NoError(s.t, err)
	return next
}

func noLimits() *refund.Limits { return &refund.Limits{} }

// TestNotificationBooksTheRefund checks that after a day at the bank a notification books the
// refund, also if earlier deliveries fail.
func TestNotificationBooksTheRefund(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		faults []wechattest.NoticeFault
		tries  int
	}{
		"at once":                {nil, 1},
		"twice at the same time": {[]wechattest.NoticeFault{wechattest.TwiceAtOnce()}, 1},
		"lost twice": {[]wechattest.NoticeFault{
			wechattest.LoseNotice(),
			wechattest.LoseNotice(),
		}, 3},
		"for another merchant": {
			[]wechattest.NoticeFault{wechattest.EnvelopeField("mch_id", "1000000002")}, 2,
		},
		"for another sub-merchant": {
			[]wechattest.NoticeFault{wechattest.EnvelopeField("sub_mch_id", "1900000110")}, 2,
		},
		"with another key": {
			[]wechattest.NoticeFault{wechattest.WrongKey("another key of thirty-two bytes.")}, 2,
		},
		"a failure": {[]wechattest.NoticeFault{wechattest.FailEnvelope("x")}, 2},
		"with another amount": {
			[]wechattest.NoticeFault{wechattest.ContentField("refund_fee", "2999")}, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, wechattest.Options{
				SettleAfter: 24 * time.Hour, SubMchID: "1900000109",
				SubAppID: "wxsub",
			}, nil)
			s.approve("R1", 3000)
			s.process("R1")
			require.Empty(t, s.sim.Deliver(context.Background()))
			require.Equal(t, order.StateApproved, s.order().Refund("R1").State)
			s.clock.Advance(24 * time.Hour)
			s.sim.InjectNotice(tt.faults...)
			tries := 0
			for range 5 {
				for _, d := range s.sim.Deliver(context.Background()) {
					tries++
					require.Equal(t, tries, d.Attempt)
					require.Equal(t, d.Err == nil, tries == tt.tries, d.Err)
				}
				s.clock.Advance(time.Hour)
			}
			require.Equal(t, tt.tries, tries)
			o := s.order()
			require.Equal(t, order.StateRefunded, o.Refund("R1").State)
			require.EqualValues(t, 3000, o.Refunded)
			require.EqualValues(t, 3000, s.sim.PaidTotal("ORDER-1"))
		})
	}
}

// TestNotificationMayComeBeforeTheAnswer checks that a notification books the refund before its own
// answer arrives, or without it.
func TestNotificationMayComeBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{
		"late": {},
		"lost": wechattest.LoseAnswer(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, wechattest.Options{}, nil)
			s.approve("R1", 3000)
			s.sim.Inject(fault.After(func(ctx context.Context) {
				for _, d := range s.sim.Deliver(ctx) {
					if d.Err != nil {
						t.Error(d.Err)
					}
				}
			}))
			s.process("R1")
			require.Equal(t, order.StateRefunded, s.order().Refund("R1").State)
			require.EqualValues(t, 3000, s.sim.PaidTotal("ORDER-1"))
			require.Equal(t, 1, s.sim.Calls(wechattest.PathRefund))
		})
	}
}

// TestNotificationOfAConsoleRefundReachesTheHook checks that a hook receives the notification of a
// refund that the shop has not made, and that Sync adopts the refund.
func TestNotificationOfAConsoleRefundReachesTheHook(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newShop(t, wechattest.Options{}, nil)
	require.NoError(t, s.sim.RefundInConsole("ORDER-1", "CONSOLE-1", 6000))
	tried := s.sim.Deliver(ctx)
	require.Len(t, tried, 1)
	require.NoError(t, tried[0].Err)
	require.Len(t, s.unknown, 1)
	require.Equal(t, "CONSOLE-1", s.unknown[0].Result.RefundNo)
	require.Empty(t, s.order().Refunds)
	_, err := s.svc.Sync(ctx, "ORDER-1")
	require.NoError(t, err)
	require.EqualValues(t, 6000, s.order().Refunded)
	_, err = s.svc.Request(ctx,
		refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 6000, Actor: "buyer:1"})
	require.ErrorIs(t, err, order.ErrAmount)
}

// TestAbnormalRefundCanStillSucceed checks a refund that the bank returns and a person then
// completes.
func TestAbnormalRefundCanStillSucceed(t *testing.T) {
	t.Parallel()
	s := newShop(t, wechattest.Options{}, nil)
	s.sim.Inject(wechattest.EndsAs(wechattest.StatusChange))
	s.approve("R1", 3000)
	s.process("R1")
	require.NoError(t, s.sim.Deliver(context.Background())[0].Err)
	require.Equal(t, order.StateAbnormal, s.order().Refund("R1").State)
	require.NoError(t, s.sim.Settle("R1", wechattest.StatusSuccess))
	require.NoError(t, s.sim.Deliver(context.Background())[0].Err)
	require.Equal(t, order.StateRefunded, s.order().Refund("R1").State)
}

// TestDeclaredLimitsPreventRefusals checks that the declared limits prevent requests that WeChat
// Pay would refuse.
func TestDeclaredLimitsPreventRefusals(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newShop(t, wechattest.Options{Spacing: time.Minute, RefuseConcurrent: true}, nil)
	s.approve("R1", 100)
	s.approve("R2", 100)
	s.finish("R1")
	s.finish("R2")
	for _, e := range s.sim.Ledger() {
		require.Equal(t, wechattest.StatusSuccess, e.Status)
	}
	require.Len(t, s.sim.Ledger(), 2)
	require.Equal(t, 2, s.sim.Calls(wechattest.PathRefund), "none was sent too soon")

	s.clock.Advance(366 * 24 * time.Hour)
	_, err := s.svc.Request(ctx,
		refund.RequestParams{Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R3"}, Amount: 100, Actor: "buyer:1"})
	require.ErrorIs(t, err, refund.ErrLimit, "a year has passed")
}

// TestRefusalForItsPaceFailsNoRefund checks that without declared limits WeChat Pay refuses, no
// refund fails, and the refund is sent again.
func TestRefusalForItsPaceFailsNoRefund(t *testing.T) {
	t.Parallel()
	s := newShop(t, wechattest.Options{Spacing: time.Minute}, noLimits())
	s.approve("R1", 100)
	s.approve("R2", 100)
	s.finish("R1")
	s.finish("R2")
	require.Equal(t, order.StateRefunded, s.order().Refund("R2").State)
	require.Greater(t, s.sim.Calls(wechattest.PathRefund), 2)

	// After a year, and without a declared limit, WeChat Pay refuses definitely.
	s.approve("R3", 100)
	s.clock.Advance(366 * 24 * time.Hour)
	s.finish("R3")
	require.Equal(t, order.StateFailed, s.order().Refund("R3").State)
	require.Equal(t, "TRADE_OVERDUE", s.order().Refund("R3").Code)
}

// TestConcurrentRefusalFailsNoRefund checks that a refund does not fail if WeChat Pay is busy with
// its order.
func TestConcurrentRefusalFailsNoRefund(t *testing.T) {
	t.Parallel()
	s := newShop(t, wechattest.Options{RefuseConcurrent: true}, noLimits())
	var second error
	s.sim.Inject(wechattest.Fault{}.After(func(ctx context.Context) {
		req := refund.Request{
			OrderID: "ORDER-1", RefundNo: "R2", Amount: 100, Total: 10000,
			Currency: "CNY",
		}
		_, second = s.gateway.Refund(ctx, req)
	}))
	s.approve("R1", 100)
	s.finish("R1")
	var later *refund.BusyError
	require.ErrorAs(t, second, &later)
	require.Equal(t, 5*time.Second, later.After)
}
