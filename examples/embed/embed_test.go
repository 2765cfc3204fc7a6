package embed_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/examples/embed"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestREADMESnippets: every Go block of the README stands in this package, letter by letter.
func TestREADMESnippets(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("embed.go")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		code, _, found := strings.Cut(b, "```")
		require.True(t, found)
		require.Contains(t, string(source), code)
	}
}

func TestEmbedded(t *testing.T) {
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	defer sim.Close()
	svc, err := embed.New(memstore.New(), wechatv2.Config{
		AppID: sim.AppID(), MchID: sim.MchID(), APIKey: sim.APIKey(), BaseURL: sim.URL(), RootCAs: sim.RootCAs(),
		CertPEM: sim.ClientCertPEM(), KeyPEM: sim.ClientKeyPEM(),
	}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 100}))
	_, err = svc.Register(ctx, refund.RegisterParams{OrderID: "ORDER-1", Gateway: "wechatv2", Currency: "CNY", Total: 100})
	require.NoError(t, err)
	r, err := svc.Request(ctx, refund.RequestParams{OrderID: "ORDER-1", Amount: 100, Actor: "buyer:1"})
	require.NoError(t, err)
	_, err = svc.Approve(ctx, refund.ApproveParams{OrderID: "ORDER-1", RefundNo: r.No, Amount: 100, Actor: "staff:1"})
	require.NoError(t, err)

	tick, worked := make(chan time.Time), make(chan error)
	go func() { worked <- embed.Work(ctx, svc, tick) }()
	tick <- time.Time{} // taken only when the first round is done
	cancel()
	require.NoError(t, <-worked)
	o, err := svc.Order(context.Background(), "ORDER-1")
	require.NoError(t, err)
	require.Equal(t, order.StateApproved, o.State, "accepted, not yet confirmed")
	require.EqualValues(t, 100, sim.PaidTotal("ORDER-1"))
}
