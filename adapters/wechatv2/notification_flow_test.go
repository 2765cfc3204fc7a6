package wechatv2_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// notified is a service that receives notifications over HTTP. It has order ORD-1 of 100 fen and
// its approved refund RF-1 of 30, which are those of the vectors.
type notified struct {
	*flow
	store   *unsteady
	url     string
	unknown int
}

// unsteady is a store that can be down.
type unsteady struct {
	*memstore.Store
	read, write error
}

func (s *unsteady) Get(ctx context.Context, orderID string) (*order.Order, error) {
	if s.read != nil {
		return nil, s.read
	}
	return s.Store.Get(ctx, orderID)
}

func (s *unsteady) Update(
	ctx context.Context, orderID string, fn func(context.Context, *order.Order) error,
) error {
	if s.write != nil {
		return s.write
	}
	return s.Store.Update(ctx, orderID, fn)
}

func newNotified(t *testing.T) *notified {
	t.Helper()
	f := &notified{flow: newFlow(t), store: &unsteady{Store: memstore.New()}}
	var err error
	f.sim, err = wechattest.NewServer(wechattest.Options{
		AppID: "wx0000000000000001", MchID: "1000000001", APIKey: testKey, Now: f.clock.Now,
	})
	require.NoError(t, err)
	t.Cleanup(f.sim.Close)
	require.NoError(t, f.sim.AddOrder(wechattest.Order{OutTradeNo: "ORD-1", TotalFee: 100}))
	m, err := order.NewMachine(order.Options{})
	require.NoError(t, err)
	f.svc, err = refund.NewService(m, f.store, newGateway(t, config(f.sim)),
		patient(refund.Options{Now: f.clock.Now, Hooks: []refund.Hooks{{
			UnknownNotification: func(context.Context, refund.Notification) { f.unknown++ },
		}}}))
	require.NoError(t, err)
	ctx := context.Background()
	_, err = f.svc.Register(ctx,
		refund.RegisterParams{OrderID: "ORD-1", Gateway: "wechatv2", Currency: "CNY", Total: 100})
	require.NoError(t, err)
	_, err = f.svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORD-1", RefundNo: "RF-1"}, Amount: 30,
		Actor: "buyer:1",
	})
	require.NoError(t, err)
	_, err = f.svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORD-1", RefundNo: "RF-1"}, Amount: 30,
		Actor: "staff:1",
	})
	require.NoError(t, err)

	h, err := f.svc.NotificationHandler("wechatv2")
	require.NoError(t, err)
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	f.url = web.URL
	return f
}

// deliver sends a notification and returns the return_code of the answer.
func (f *notified) deliver(e map[string]string) string {
	f.t.Helper()
	resp, err := http.Post(f.url, "text/xml", strings.NewReader(string(wechatv2.Encode(e))))
	require.NoError(f.t, err)
	defer resp.Body.Close()
	require.Equal(f.t, http.StatusOK, resp.StatusCode)
	var b strings.Builder
	require.NoError(f.t, resp.Write(&b))
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	ack, err := wechatv2.Decode([]byte(body))
	require.NoError(f.t, err)
	return ack["return_code"]
}

func (f *notified) book() *order.Order {
	f.t.Helper()
	o, err := f.svc.Order(context.Background(), "ORD-1")
	require.NoError(f.t, err)
	return o
}

// TestNotificationReplacesALostAnswer checks that a notification completes a refund whose answer
// was lost.
func TestNotificationReplacesALostAnswer(t *testing.T) {
	f := newNotified(t)
	f.sim.Inject(wechattest.LoseAnswer())
	_, err := f.svc.Process(context.Background(), refund.Ref{OrderID: "ORD-1", RefundNo: "RF-1"})
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, f.book().Refund("RF-1").State)

	info := infoVectors(t)["notify_success"].ReqInfo
	require.Equal(t, "SUCCESS", f.deliver(envelope(info)))
	booked := f.book()
	require.Equal(t, order.StateRefunded, booked.Refund("RF-1").State)
	require.EqualValues(t, 30, booked.Refunded)
	queries := f.sim.Calls(wechattest.PathQuery)

	inner := innerFields()
	inner["refund_id"] = booked.Refund("RF-1").ProviderRefundID
	for range 3 {
		require.Equal(t, "SUCCESS", f.deliver(envelope(encryptInfo(encodeRoot(inner), testKey))),
			"replayed")
	}
	inner["refund_id"] = "50999"
	require.Equal(t, "FAIL", f.deliver(envelope(encryptInfo(encodeRoot(inner), testKey))),
		"another refund_id")
	require.Equal(t, booked, f.book())
	require.Equal(t, queries, f.sim.Calls(wechattest.PathQuery), "a replay asks nothing")
	require.EqualValues(t, 30, f.sim.PaidTotal("ORD-1"))
}

// TestForgedNotificationsSettleNothing checks that no notification of a forger settles a refund
// that was never sent to WeChat Pay.
func TestForgedNotificationsSettleNothing(t *testing.T) {
	f := newNotified(t)
	send := func(want string, e map[string]string) {
		t.Helper()
		require.Equal(t, want, f.deliver(e))
	}
	with := func(name, value string) map[string]string {
		inner := innerFields()
		inner[name] = value
		return envelope(encryptInfo(encodeRoot(inner), testKey))
	}
	vectors := infoVectors(t)
	for _, name := range []string{
		"notify_success", "notify_refundclose", "notify_change",
		"notify_block_aligned",
	} {
		send("SUCCESS", envelope(vectors[name].ReqInfo)) // a replay: queried, and not found
	}
	send("FAIL", envelope(vectors["notify_md5_leading_zeros"].ReqInfo)) // another merchant's key
	send("FAIL", envelope(vectors["tiny"].ReqInfo))
	other := envelope(vectors["notify_success"].ReqInfo)
	other["mch_id"] = "1000000002"
	send("FAIL", other)
	send("FAIL", with("refund_fee", "31"))
	send("FAIL", with("total_fee", "200"))
	require.Zero(t, f.unknown)
	send("SUCCESS", with("out_refund_no", "RF-9"))
	send("SUCCESS", with("out_trade_no", "ORD-9"))
	require.Equal(t, 2, f.unknown)

	// Blocks of one notification in place of each block of another one, and swapped blocks.
	second := innerFields()
	second["out_refund_no"], second["refund_fee"] = "RF-2", "70"
	second["refund_status"] = "REFUNDCLOSE"
	first := encryptBlocks([]byte(encodeRoot(innerFields())), testKey)
	foreign := encryptBlocks([]byte(encodeRoot(second)), testKey)
	for i := 0; i+32 <= min(len(first), len(foreign)); i += 16 {
		swapped := append([]byte{}, first...)
		copy(swapped[i:], first[i+16:i+32])
		copy(swapped[i+16:], first[i:i+16])
		f.deliver(envelope(toBase64(swapped)))
		spliced := append([]byte{}, first...)
		copy(spliced[i:], foreign[i:i+16])
		f.deliver(envelope(toBase64(spliced)))
		f.deliver(envelope(toBase64(append(spliced[:i:i], foreign[i:]...))))
	}

	o := f.book()
	require.Equal(t, order.StateApproved, o.Refund("RF-1").State)
	require.Zero(t, o.Refunded)
	require.Len(t, o.Refunds, 1)
	require.Len(t, o.History, 2, "asked for and approved, nothing else")
	require.Zero(t, f.sim.Calls(wechattest.PathRefund), "a notification pays nothing")
	require.Zero(t, f.sim.PaidTotal("ORD-1"))
}

// TestNotificationIsDeliveredAgainUntilItIsBooked checks that the notification is not acknowledged
// while the store or the query fails. After an acknowledgement WeChat Pay would not deliver again.
func TestNotificationIsDeliveredAgainUntilItIsBooked(t *testing.T) {
	f := newNotified(t)
	f.sim.Inject(wechattest.LoseAnswer())
	_, err := f.svc.Process(context.Background(), refund.Ref{OrderID: "ORD-1", RefundNo: "RF-1"})
	require.NoError(t, err)
	message := envelope(infoVectors(t)["notify_success"].ReqInfo)
	down := errors.New("connection refused")
	f.store.read = down
	require.Equal(t, "FAIL", f.deliver(message), "the store cannot be read")
	f.store.read, f.store.write = nil, down
	require.Equal(t, "FAIL", f.deliver(message), "nothing can be written")
	require.Equal(t, order.StateApproved, f.book().Refund("RF-1").State)
	f.store.write = nil
	for name, fault := range map[string]wechattest.Fault{
		"502": wechattest.Status(502), "no answer": wechattest.LoseAnswer().NotExecuted(),
		"unsigned":       wechattest.NoSign(),
		"another refund": wrongRefundNo("RF-2"),
		"busy":           wechattest.ErrCode("FREQUENCY_LIMITED", "x", false),
		"certificate":    wechattest.ErrCode("CERT_ERROR", "x", false),
		"new status":     unknownStatus("NEW"),
	} {
		f.sim.Inject(fault.On(wechattest.PathQuery))
		require.Equal(t, "FAIL", f.deliver(message), name)
		require.Equal(t, order.StateApproved, f.book().Refund("RF-1").State, name)
	}
	require.Zero(t, f.unknown, "a refund that cannot be read is not unknown")
	require.Equal(t, "SUCCESS", f.deliver(message))
	require.Equal(t, order.StateRefunded, f.book().Refund("RF-1").State)
	f.store.read = down
	require.Equal(t, "FAIL", f.deliver(message), "whether it was booked cannot be read")
}
