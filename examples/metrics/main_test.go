package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// scope matches the labels of the scope, which every series has.
var scope = regexp.MustCompile(`,?otel_scope_(name|version)="[^"]*"`)

// scrape reads /metrics as Prometheus does.
func scrape(t *testing.T, s *shop) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	require.Equal(t, http.StatusOK, w.Code)
	return strings.ReplaceAll(scope.ReplaceAllString(w.Body.String(), ""), "{}", "")
}

// TestMetrics checks the names and values of the metrics after refunds of all kinds, and that the
// alerts use only these names.
func TestMetrics(t *testing.T) {
	ctx := context.Background()
	sim, err := wechattest.NewServer(wechattest.Options{})
	require.NoError(t, err)
	defer sim.Close()
	clock := refundtest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	s, err := newShop(sim, clock.Now)
	require.NoError(t, err)
	defer s.close()
	process := func(id string) {
		t.Helper()
		_, err := s.svc.Process(ctx, refund.Ref{OrderID: id, RefundNo: "R-" + id})
		require.NoError(t, err)
	}

	for _, id := range []string{"paid", "short", "lost", "setup"} {
		require.NoError(t, s.refund(ctx, id, 250))
	}
	process("paid") // it is accepted
	clock.Advance(time.Hour)
	process("paid")
	sim.Inject(wechattest.ErrCode("NOTENOUGH", "not enough money", false))
	process("short")
	sim.Inject(wechattest.ErrCode("CERT_ERROR", "certificate", false))
	process("setup")
	require.Contains(t, strings.Split(scrape(t, s), "\n"), "orderfsm_refunds_oldest_due_age_seconds 3600", "the age of the refund that was not processed")
	clock.Advance(25 * time.Hour)
	sim.Inject(wechattest.LoseAnswer().NotExecuted())
	process("lost")
	require.NoError(t, s.pay(ctx, "console", 250))
	require.NoError(t, sim.RefundInConsole("console", "R-console", 100))
	_, err = s.svc.Sync(ctx, "console")
	require.NoError(t, err)

	got := scrape(t, s)
	for _, line := range []string{
		`orderfsm_refunded_amount_total{orderfsm_currency="CNY",orderfsm_gateway="wechatv2"} 350`,
		`orderfsm_transitions_total{orderfsm_event="request_refund",orderfsm_from="paid",orderfsm_gateway="wechatv2",orderfsm_to="refund_requested"} 4`,
		`orderfsm_gateway_setup_faults_total{orderfsm_gateway="wechatv2"} 1`,
		`orderfsm_refunds_stuck 2`,
		`orderfsm_refunds_in_flight 0`,
	} {
		require.Contains(t, strings.Split(got, "\n"), line)
	}
	requireAlerts(t, got)
}

// requireAlerts checks that alerts.yml is valid and uses only metrics that were seen.
func requireAlerts(t *testing.T, scraped string) {
	t.Helper()
	file, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr string
				For         string
				Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(file))
	dec.KnownFields(true)
	require.NoError(t, dec.Decode(&rules))
	require.ErrorIs(t, dec.Decode(&rules), io.EOF)
	names := regexp.MustCompile(`orderfsm_[a-z_]+`)
	for _, r := range rules.Groups[0].Rules {
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		seen := names.FindAllString(r.Expr, -1)
		require.NotEmpty(t, seen, r.Alert)
		for _, name := range seen {
			found := regexp.MustCompile(`(?m)(^|[{,])` + name + `[{ =]`).MatchString(scraped)
			require.True(t, found, "%s: %s is neither a metric nor a label", r.Alert, name)
		}
	}
	require.GreaterOrEqual(t, len(rules.Groups[0].Rules), 5)
}

// TestRun checks that the program serves /metrics and ends when its context ends.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, in) }()
	url := make([]byte, 200)
	n, err := out.Read(url)
	require.NoError(t, err)
	resp, err := http.Get(strings.TrimSpace(string(url[:n])))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Contains(t, string(body), "orderfsm_refunds_due")
	stop()
	require.NoError(t, <-ended)
	require.Error(t, run(ctx, []string{"-nonsense"}, io.Discard))
	require.NoError(t, run(ctx, []string{"-h"}, io.Discard))
}
