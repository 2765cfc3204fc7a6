package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/refund"
)

// start runs the command and returns the settings that it prints.
func start(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append([]string{"-dir", t.TempDir()}, args...), w); w.Close() }()
	lines := bufio.NewScanner(r)
	said := map[string]string{}
	for len(said) < 9 && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		said[name] = value
	}
	rest := make(chan struct{})
	go func() { defer close(rest); _, _ = io.Copy(io.Discard, r) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		<-rest
	})
	require.Len(t, said, 9)
	return said
}

func send(t *testing.T, said map[string]string, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(said["CONTROL_URL"]+path, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// TestRefundsWithThePrintedSettings makes refunds with the printed settings only.
func TestRefundsWithThePrintedSettings(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	notified := make(chan struct{}, 16)
	inbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<xml><return_code>SUCCESS</return_code></xml>")
		notified <- struct{}{}
	}))
	defer inbox.Close()
	said := start(t, "-order", "ORD-1=100", "-notify-url", inbox.URL, "-settle-after", "1h",
		"-speed", "60")

	ca, err := os.ReadFile(said["WECHAT_CA_FILE"])
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	cfg := wechatv2.Config{
		AppID: said["WECHAT_APPID"], MchID: said["WECHAT_MCH_ID"], APIKey: said["WECHAT_API_KEY"],
		BaseURL: said["WECHAT_BASE_URL"], RootCAs: pool, CertFile: said["WECHAT_CERT_FILE"],
		KeyFile: said["WECHAT_KEY_FILE"],
		Timeout: 3 * time.Minute,
	}
	_, err = wechatv2.New(cfg)
	require.NoError(t, err)
	cfg.CertFile, cfg.KeyFile, cfg.P12File = "", "", said["WECHAT_P12_FILE"]
	g, err := wechatv2.New(cfg)
	require.NoError(t, err)
	defer g.CloseIdleConnections()

	ask := func(id, number string) (refund.Result, error) {
		return g.Refund(ctx, refund.Request{
			OrderID: id, RefundNo: number, Amount: 30, Total: 100,
			Currency: "CNY",
		})
	}
	res, err := ask("ORD-1", "RF-1")
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeAccepted, res.Outcome)

	for _, c := range [][2]string{
		{"/orders", `{"out_trade_no":"ORD-2","total_fee":100}`},
		{"/refunds", `{"out_trade_no":"ORD-2","out_refund_no":"CON-1","refund_fee":60}`},
		{"/settle", `{"out_refund_no":"CON-1","refund_status":"CHANGE"}`},
		{"/balance", `{"fen":29}`},
		{"/advance", `{"seconds":3600}`},
	} {
		status, text := send(t, said, c[0], c[1])
		require.Equal(t, http.StatusNoContent, status, text)
	}
	res, err = ask("ORD-2", "RF-2")
	require.NoError(t, err)
	require.Equal(t, "NOTENOUGH", res.Code)
	for _, fault := range []string{
		"lose_answer", "fail_before", "status_502", "truncate", "wrong_sign", "not_found_once",
		`err_code","code":"SYSTEMERROR`, `err_code_executed","code":"SYSTEMERROR`,
	} {
		status, text := send(t, said, "/faults", `{"fault":"`+fault+`"}`)
		require.Equal(t, http.StatusNoContent, status, text)
		if fault == "not_found_once" {
			res, err = g.Query(ctx, refund.Request{
				OrderID: "ORD-1", RefundNo: "RF-1", Amount: 30,
				Total: 100, Currency: "CNY",
			})
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeNotFound, res.Outcome)
			continue
		}
		_, err = ask("ORD-1", "RF-1")
		require.Error(t, err, fault)
	}
	for _, c := range [][2]string{
		{"/faults", `{"fault":"flood"}`},
		{"/faults", `{"fault":"err_code"}`},
		{"/orders", `{"nonsense":1}`},
		{"/orders", `{"out_trade_no":"ORD-1","total_fee":100}`},
		{"/settle", `[]`},
		{"/balance", `{}`},
		{"/balance", `{"fen":-1}`},
		{"/advance", `{"seconds":-1}`},
		{"/advance", `{"seconds":9223372036854775807}`},
		{"/faults", `{"fault":"truncate","path":"/x"}`},
	} {
		status, _ := send(t, said, c[0], c[1])
		require.Equal(t, http.StatusBadRequest, status, c)
	}
	// A fault stays until a call to its path, or until it is removed.
	status, text := send(t, said, "/faults", `{"fault":"truncate","path":"/secapi/pay/refund"}`)
	require.Equal(t, http.StatusNoContent, status, text)
	known := refund.Request{
		OrderID: "ORD-1", RefundNo: "RF-1", Amount: 30, Total: 100,
		Currency: "CNY",
	}
	_, err = g.Query(ctx, known)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, said["CONTROL_URL"]+"/faults",
		nil)
	require.NoError(t, err)
	cleared, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	cleared.Body.Close()
	_, err = ask("ORD-1", "RF-1")
	require.NoError(t, err)

	for range 2 { // RF-1 and CON-1
		select {
		case <-notified:
		case <-time.After(3 * time.Minute):
			t.Fatal("no notification")
		}
	}

	resp, err := http.Get(said["CONTROL_URL"] + "/ledger")
	require.NoError(t, err)
	defer resp.Body.Close()
	var ledger []line
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&ledger))
	require.Len(t, ledger, 2)
	require.Equal(t, []any{"RF-1", "SUCCESS", int64(30), 1}, []any{
		ledger[0].OutRefundNo,
		ledger[0].RefundStatus, ledger[0].RefundFee, ledger[0].Payments,
	})
	require.Equal(t, "CHANGE", ledger[1].RefundStatus)
}

func TestUnusableArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"x"},
		{"-speed", "0"},
		{"-order", "O1"},
		{"-order", "O 1=5"},
		{"-nonsense"},
		{"-addr", "nowhere:x"},
		{"-addr", "0.0.0.0:0"},
		{"-control", ":0"},
		{"-control", "nowhere:x"},
	} {
		require.Error(t, run(context.Background(), args, io.Discard), args)
	}
}
