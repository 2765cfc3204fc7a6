package wechatv2_test

import (
	"context"
	"log/slog"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// newServer starts a simulator with one paid order: O1 of 100 fen.
func newServer(t testing.TB, opts wechattest.Options) *wechattest.Server {
	t.Helper()
	srv, err := wechattest.NewServer(opts)
	require.NoError(t, err)
	t.Cleanup(srv.Close)
	require.NoError(t, srv.AddOrder(wechattest.Order{OutTradeNo: "O1", TotalFee: 100}))
	return srv
}

// patience is how long a test waits on a slow and busy machine. No test fails earlier.
const patience = 3 * time.Minute

// patient returns options under which no call ends while a test waits.
func patient(opts refund.Options) refund.Options {
	opts.CallTimeout, opts.Lease = 2*patience, 3*patience
	return opts
}

// adapt calls try with longer and longer limits until it returns true. A test that needs a time
// limit to end at a certain point cannot know how long this machine needs to reach the point.
func adapt(t *testing.T, try func(limit time.Duration) bool) {
	t.Helper()
	for limit := 200 * time.Millisecond; limit < patience; limit *= 2 {
		if try(limit) {
			return
		}
	}
	require.FailNow(t, "no limit is long enough")
}

func config(srv *wechattest.Server) wechatv2.Config {
	c := srv.Config()
	c.RefundRate, c.QueryRate = -1, -1
	c.Timeout, c.Logger = patience, slog.New(slog.DiscardHandler)
	return c
}

// counted returns a context with which calls count the connections that they open. On a busy
// machine net/http opens more than it needs: it gives a connection up if the end of a write is not
// reported within 50 ms.
func counted() (context.Context, *atomic.Int64) {
	var opened atomic.Int64
	return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				opened.Add(1)
			}
		},
	}), &opened
}

// field sets one field of an answer.
func field(name, value string) wechattest.Fault { return wechattest.Fault{}.Field(name, value) }

// wrongRefundNo makes the answer to any call one for another refund.
func wrongRefundNo(number string) wechattest.Fault {
	return field("out_refund_no", number).Field("out_refund_no_0", number)
}

// wrongAmount makes the answer to any call one with another amount, in fen.
func wrongAmount(fen string) wechattest.Fault {
	return field("refund_fee", fen).Field("refund_fee_0", fen)
}

// unknownStatus answers a query with a refund_status that no document names.
func unknownStatus(status string) wechattest.Fault {
	return field("refund_status_0", status).On(wechattest.PathQuery)
}

// notFound answers a query with REFUNDNOTEXIST, though the refund may exist.
func notFound() wechattest.Fault {
	return wechattest.ErrCode("REFUNDNOTEXIST", "not exist", false).On(wechattest.PathQuery)
}

func newGateway(t testing.TB, c wechatv2.Config) *wechatv2.Gateway {
	t.Helper()
	g, err := wechatv2.New(c)
	require.NoError(t, err)
	t.Cleanup(g.CloseIdleConnections)
	return g
}

// request returns a request for 30 of the 100 fen of O1.
func request() refund.Request {
	return refund.Request{
		OrderID: "O1", RefundNo: "R1", Amount: 30, Total: 100, Currency: "CNY",
		Reason: "不想要了 <&> \"'",
	}
}
