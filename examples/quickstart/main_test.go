package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestStories(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), nil, env(nil), &out))
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"order ORDER-A: refunded, refunded 100.00 of 100.00 yuan",
		"refused: refund of order ORDER-B: amount 1 exceeds the 0 left",
		"order ORDER-B: refunded, refunded 100.00 of 100.00 yuan",
		"reject ORDER-C-R1 refund_requested → rejected 100.00 staff:wang worn, see photo 3",
		"order ORDER-C: paid, refunded 0.00 of 100.00 yuan",
		"fail ORDER-D-R1 approved → failed 100.00 provider NOTENOUGH",
		"retry ORDER-D-R1 failed → approved",
		"ORDER-E-R1 stays approved:",
		"settle ORDER-E-R1 approved → refunded",
		"hold ORDER-F-R1 approved → abnormal",
		"settle ORDER-F-R1 abnormal → refunded",
		"ORDER-B 100.00 100.00 ORDER-B-R1: 1 ORDER-B-R2: 1",
		"Ledger and book agree: every refund was paid once.",
	} {
		require.Contains(t, text, want)
	}
	// The README shows a part of it. The times differ from run to run, because the worker waits a
	// random time.
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```text\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, shown)
	timeless := func(s string) string {
		return strings.Join(strings.Fields(regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(s, "TIME")), " ")
	}
	for line := range strings.Lines(string(shown[1])) {
		require.Contains(t, timeless(text), timeless(line))
	}
}

func TestMissingAccount(t *testing.T) {
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	require.NoError(t, os.WriteFile(cert, []byte("not a certificate"), 0o600))
	const key = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	order := []string{"-order", "ORD-1", "-total", "100", "-amount", "30", "-refund-no", "RF-1"}
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"only an app ID", nil, map[string]string{"WECHAT_APPID": "wx1"}, []string{
			"WECHAT_MCH_ID", "WECHAT_API_KEY", "WECHAT_CERT_FILE", "WECHAT_KEY_FILE",
			"missing order number: -order", "-refund-no", "-total", "-amount",
		}},
		{"only an order", order, nil, []string{
			"WECHAT_APPID", "WECHAT_MCH_ID", "WECHAT_API_KEY", "WECHAT_CERT_FILE", "WECHAT_KEY_FILE",
		}},
		{"no such file", order, map[string]string{
			"WECHAT_APPID": "wx1", "WECHAT_MCH_ID": "1", "WECHAT_API_KEY": key,
			"WECHAT_CERT_FILE": filepath.Join(dir, "nope.pem"), "WECHAT_KEY_FILE": cert,
		}, []string{"nope.pem"}},
		{"wrong key and certificate", order, map[string]string{
			"WECHAT_APPID": "wx1", "WECHAT_MCH_ID": "1", "WECHAT_API_KEY": key[1:],
			"WECHAT_CERT_FILE": cert, "WECHAT_KEY_FILE": cert,
		}, []string{"api_key", "cert"}},
		{"stray argument", []string{"now"}, nil, []string{`"now"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(context.Background(), tc.args, env(tc.env), &out)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), key[1:], "the key is not shown")
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	vars := env(map[string]string{"WECHAT_API_KEY": "secret"})
	require.NoError(t, run(context.Background(), []string{"-h"}, vars, &out))
	require.Contains(t, out.String(), "WECHAT_CERT_FILE")
	require.NotContains(t, out.String(), "secret")
}
