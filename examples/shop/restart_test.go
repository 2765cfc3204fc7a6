package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// childVar in the environment makes this test binary a shop.
const childVar = "ORDERFSM_SHOP_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	if err == nil {
		cfg.Refunds = quick(2 * time.Second)
		err = run(ctx, cfg, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is a shop in another process.
type process struct {
	*exec.Cmd
	url   string
	ended chan struct{} // closed at the end of its output
}

// startProcess starts a shop and waits until it listens.
func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	args = append([]string{"-addr", "127.0.0.1:0"}, args...)
	p := &process{Cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(append(os.Environ(), childVar+"=1"), env...)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	p.Stderr = os.Stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() { p.kill() })
	lines := bufio.NewReader(out)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "the shop ended: %s", line)
		if rest, ok := strings.CutPrefix(line, "shop: "); ok {
			p.url, _, _ = strings.Cut(rest, ",")
		}
	}
	go func() { defer close(p.ended); _, _ = io.Copy(io.Discard, lines) }()
	return p
}

// kill sends SIGKILL and waits until the process has ended.
func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended already
	<-p.ended
	_ = p.Wait()
}

// account writes the files that the shop needs to use sim, and returns the environment that
// wechatpay-sim would print.
func account(t *testing.T, sim *wechattest.Server) []string {
	t.Helper()
	dir := t.TempDir()
	cfg := sim.Config()
	pair, err := tls.X509KeyPair(cfg.CertPEM, cfg.KeyPEM)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	p12, err := pkcs12.LegacyDES.Encode(pair.PrivateKey, leaf, nil, cfg.MchID)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "apiclient_cert.p12"), p12, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), sim.CACertPEM(), 0o600))
	return []string{
		"WECHAT_BASE_URL=" + cfg.BaseURL, "WECHAT_APPID=" + cfg.AppID, "WECHAT_MCH_ID=" + cfg.MchID,
		"WECHAT_API_KEY=" + cfg.APIKey, "WECHAT_P12_FILE=" + filepath.Join(dir, "apiclient_cert.p12"),
		"WECHAT_CA_FILE=" + filepath.Join(dir, "ca.pem"),
	}
}

// TestRestart kills the shop during a refund and starts it again on the same database, while WeChat
// Pay goes on running. It checks that the refund ends, is paid once, and returns to stock once.
func TestRestart(t *testing.T) {
	for _, tc := range []struct {
		name string
		// How far the call is when the shop is killed.
		hold func(wait func(context.Context)) wechattest.Fault
	}{
		{"before it is paid", func(wait func(context.Context)) wechattest.Fault { return wechattest.Fault{}.Before(wait) }},
		{"paid, and not answered", func(wait func(context.Context)) wechattest.Fault { return wechattest.Fault{}.After(wait) }},
		{"just approved", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim, err := wechattest.NewServer(wechattest.Options{})
			require.NoError(t, err)
			defer sim.Close()
			env, file := account(t, sim), sqliteFile(t)
			p := startProcess(t, env, "-dsn", file)

			require.NoError(t, sim.AddOrder(wechattest.Order{
				OutTradeNo: "ORD-1", TotalFee: 2*4990 + 1500,
			}))
			must(t, 201, li, p.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1}]}`)
			must(t, 202, li, p.url+"/orders/ORD-1/refunds", `{"skus":["tea"],"reason":"bitter"}`, "Idempotency-Key", "a")
			called := make(chan struct{})
			if tc.hold != nil {
				wait := func(ctx context.Context) { close(called); <-ctx.Done() }
				sim.Inject(tc.hold(wait).On(wechattest.PathRefund))
			} else {
				close(called)
			}
			must(t, 200, wang, p.url+"/staff/orders/ORD-1/refunds/ORD-1_a/approve", `{"amount":9980}`)
			<-called
			p.kill()

			p = startProcess(t, env, "-dsn", file)
			var seen map[string]any
			require.Eventually(t, func() bool {
				seen = must(t, 200, li, p.url+"/orders/ORD-1", "")
				return seen["refunded"] == float64(9980)
			}, patience, 50*time.Millisecond)
			require.Len(t, seen["messages"], 1)
			require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			<-p.ended
			require.NoError(t, p.Wait(), "the shop must stop without an error")

			ledger := sim.Ledger()
			require.Len(t, ledger, 1)
			require.Equal(t, []any{"ORD-1_a", int64(9980), 1},
				[]any{ledger[0].OutRefundNo, ledger[0].Amount, ledger[0].Payments})
			s := openShop(t, file) // with the simulator inside, which starts from the shop's book
			require.EqualValues(t, 100, s.number(t, `SELECT stock FROM inventory WHERE sku = 'tea'`))
			require.EqualValues(t, 99, s.number(t, `SELECT stock FROM inventory WHERE sku = 'cup'`))
			require.EqualValues(t, 1, s.number(t, `SELECT count(*) FROM messages`))
			require.NoError(t, s.sim.recall(bg, s.app))
			require.EqualValues(t, 9980, s.sim.PaidTotal("ORD-1"))
		})
	}
}

// TestRestartInside kills the shop together with the simulator inside it. It checks that the new
// simulator learns the orders and the settled refund from the shop's database.
func TestRestartInside(t *testing.T) {
	file := sqliteFile(t)
	p := startProcess(t, nil, "-dsn", file)
	ask := func(sku string, amount int) {
		must(t, 202, li, p.url+"/orders/ORD-1/refunds", `{"skus":["`+sku+`"],"reason":"bitter"}`, "Idempotency-Key", sku)
		must(t, 200, wang, p.url+"/staff/orders/ORD-1/refunds/ORD-1_"+sku+"/approve", fmt.Sprintf(`{"amount":%d}`, amount))
	}
	refunded := func(amount float64) {
		require.Eventually(t, func() bool {
			return must(t, 200, li, p.url+"/orders/ORD-1", "")["refunded"] == amount
		}, patience, 50*time.Millisecond)
	}
	must(t, 201, li, p.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"tea","quantity":1},{"sku":"cup","quantity":1}]}`)
	ask("tea", 4990)
	refunded(4990)
	ask("cup", 1500) // it waits, because the other one was less than a minute ago
	p.kill()

	p = startProcess(t, nil, "-dsn", file)
	must(t, 201, li, p.url+"/orders", `{"order_id":"ORD-1","items":[{"sku":"tea","quantity":1},{"sku":"cup","quantity":1}]}`)
	must(t, 201, li, p.url+"/orders", `{"order_id":"ORD-2","items":[{"sku":"pot","quantity":1}]}`)
	v := must(t, 200, wang, p.url+"/staff/refunds?state=approved", "")
	require.Len(t, v["refunds"], 1)
	must(t, 202, li, p.url+"/orders/ORD-2/refunds", `{"skus":["pot"],"reason":"leaks"}`, "Idempotency-Key", "pot")
	must(t, 200, wang, p.url+"/staff/orders/ORD-2/refunds/ORD-2_pot/approve", `{"amount":12800}`)
	require.Eventually(t, func() bool {
		return must(t, 200, li, p.url+"/orders/ORD-2", "")["state"] == "refunded"
	}, patience, 50*time.Millisecond)
	refunded(4990)
}
