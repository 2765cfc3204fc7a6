package embed_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/examples/embed"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestREADMESnippets checks that the functions in the README equal those of this package, byte by
// byte. (Package internal/docs checks every other block.)
func TestREADMESnippets(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var source strings.Builder
	for _, file := range []string{"embed.go", "extend.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		source.Write(text)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		code, _, found := strings.Cut(b, "```")
		require.True(t, found)
		if strings.Contains(code, "\nfunc ") {
			require.Contains(t, source.String(), code)
		}
	}
}

// TestEmbedded runs a refund through the snippets. It is requested and approved, and the worker or
// the notification settles it, whichever comes first.
func TestEmbedded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	defer web.Close()
	sim, err := wechattest.NewServer(wechattest.Options{NotifyURL: web.URL + "/wechat/refunds"})
	require.NoError(t, err)
	defer sim.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "shop.db")+
		"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
	require.NoError(t, err)
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(ctx))

	cfg := sim.Config()
	cfg.SignType = embed.Account(cfg.APIKey).SignType
	cfg.NotifyURL = web.URL + "/wechat/refunds"
	svc, worker, err := embed.New(db, sqlstore.SQLite, cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- embed.Run(ctx, mux, svc, worker) }()

	require.NoError(t, sim.AddOrder(wechattest.Order{OutTradeNo: "ORDER-1", TotalFee: 100}))
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: wechatv2.GatewayName, Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	r, err := svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1"}, Amount: 100, Actor: "buyer:1",
	})
	require.NoError(t, err)
	_, err = svc.Approve(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: r.No}, Amount: 100, Actor: "staff:1",
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		sim.Deliver(ctx)
		o, err := svc.Order(ctx, "ORDER-1")
		return err == nil && o.State == order.StateRefunded
	}, 3*time.Minute, 20*time.Millisecond)
	require.EqualValues(t, 100, sim.PaidTotal("ORDER-1"))
	cancel()
	require.NoError(t, <-ran)

	_, _, err = embed.New(nil, sqlstore.SQLite, cfg, nil)
	require.Error(t, err)
}
