package wechatv2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

func TestTLSFaultsAreSetupErrors(t *testing.T) {
	t.Parallel()
	srv, other := newServer(t, wechattest.Options{}), newServer(t, wechattest.Options{})
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.TLS = &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  x509.NewCertPool(),
	}
	mutual.Config.ErrorLog = log.New(io.Discard, "", 0)
	mutual.StartTLS()
	t.Cleanup(mutual.Close)
	mutualCA := x509.NewCertPool()
	mutualCA.AddCert(mutual.Certificate())

	cfg := config(srv)
	unknownCA := cfg
	unknownCA.RootCAs = other.Config().RootCAs
	systemCAs := cfg
	systemCAs.RootCAs = nil
	foreign := cfg
	foreign.CertPEM, foreign.KeyPEM = other.Config().CertPEM, other.Config().KeyPEM
	strict := cfg
	strict.BaseURL, strict.RootCAs = mutual.URL, mutualCA

	ctx := context.Background()
	for name, tt := range map[string]struct {
		gateway refund.RefundGateway
		text    string
		setup   bool
	}{
		"unknown authority": {
			newGateway(t, unknownCA),
			"the service's certificate cannot be trusted", true,
		},
		"not one of the system's": {
			newGateway(t, systemCAs),
			"the service's certificate cannot be trusted", true,
		},
		"refused merchant, by page": {
			newGateway(t, foreign),
			"the service refused the merchant's certificate", true,
		},
		"refused merchant, in handshake": {
			newGateway(t, strict),
			"the service refused the merchant's certificate", true,
		},
	} {
		res, err := tt.gateway.Refund(ctx, request())
		// In TLS 1.3 a refusal in the handshake arrives after the client has begun to write. If the
		// write fails first, the call is unknown and the next one learns the reason.
		for try := 0; name == "refused merchant, in handshake" && !errors.Is(err, refund.ErrSetup) && try < 100; try++ {
			require.Error(t, err)
			res, err = tt.gateway.Refund(ctx, request())
		}
		require.ErrorIs(t, err, refund.ErrSetup, name)
		require.ErrorContains(t, err, tt.text, name)
		require.Zero(t, res)
	}
	require.Zero(t, srv.Calls(wechattest.PathQuery))
	require.Empty(t, srv.Ledger())

	// The query needs no certificate.
	res, err := newGateway(t, foreign).Query(ctx, request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeNotFound, res.Outcome)
}

// TestWrongHostNameIsRefused checks that a certificate for another name is refused.
func TestWrongHostNameIsRefused(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(web.Certificate())
	cfg.BaseURL = strings.Replace(web.URL, "127.0.0.1", "localhost", 1) // not in its certificate
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
	var name x509.HostnameError
	require.ErrorAs(t, err, &name)
	require.ErrorContains(t, err, "check base_url")
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(web.Certificate())
	cfg.BaseURL = web.URL
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
	require.ErrorContains(t, err, "does not support TLS 1.2 (check base_url")
	require.ErrorContains(t, err, "protocol version")
}

// TestRedirectIsNotFollowed checks that a signed message goes to the configured host only.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var paths []string
			cfg := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if paths = append(paths, r.URL.Path); len(paths) == 1 {
					http.Redirect(w, r, "/elsewhere", status)
				}
			})
			cfg.BaseURL += "/prefix/"
			_, err := newGateway(t, cfg).Refund(context.Background(), request())
			require.ErrorContains(t, err, fmt.Sprintf("HTTP status %d", status))
			require.Equal(t, []string{"/prefix/secapi/pay/refund"}, paths)
		})
	}
}

// TestCertificatePagesAreSetupErrors checks that the pages for a certificate problem, and no
// others, are faults of the set-up.
func TestCertificatePagesAreSetupErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		page   string
		setup  bool
	}{
		{400, "<center>No required SSL certificate was sent</center>", true},
		{400, "<center>The SSL certificate error</center>", true},
		{400, "<center>400 Bad Request</center>", false},
		{403, "<center>No required SSL certificate was sent</center>", false},
		{502, "<center>The SSL certificate error</center>", false},
	} {
		cfg := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte("<html><body>" + tt.page + "<hr></body></html>"))
		})
		cfg.Name = "cn"
		_, err := newGateway(t, cfg).Refund(context.Background(), request())
		var fault *refund.SetupError
		if tt.setup {
			require.ErrorAs(t, err, &fault)
			require.Equal(t, "cn", fault.Gateway)
		} else {
			require.ErrorIs(t, err, wechatv2.ErrAnswer)
			require.NotErrorIs(t, err, refund.ErrSetup)
		}
	}
}

// TestSequentialCallsShareAConnection checks that calls in sequence share connections.
func TestSequentialCallsShareAConnection(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	g := newGateway(t, cfg)
	ctx, opened := counted()
	for range 1000 {
		_, err := g.Refund(ctx, request())
		require.NoError(t, err)
	}
	_, err := g.Query(ctx, request())
	require.NoError(t, err)
	require.Less(t, opened.Load(), int64(100), "of 1,001; see counted")
}

// TestConnectionsAreReused checks that 64 concurrent calls leave 64 connections for the next 64.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	const calls = 64
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	ctx, opened := counted()
	for range 3 {
		var all, done sync.WaitGroup
		all.Add(calls)
		for range calls {
			// No call is answered before all have arrived.
			srv.Inject(wechattest.Fault{}.After(func(context.Context) { all.Done(); all.Wait() }))
			done.Add(1)
			go func() {
				defer done.Done()
				if _, err := g.Query(ctx, request()); err != nil {
					t.Error(err)
				}
			}()
		}
		done.Wait()
	}
	require.GreaterOrEqual(t, opened.Load(), int64(calls))
	require.Less(t, opened.Load(), int64(2*calls), "of three times as many; see counted")
}

// TestNothingIsLeftOpen counts the goroutines and descriptors of the process around calls that end
// in every way, so it is not parallel.
func TestNothingIsLeftOpen(t *testing.T) { //nolint:paralleltest // it counts
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const dir = "/proc/self/fd"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("only where the system lists descriptors: unproven that none leaks")
	}
	count := func() int {
		open, err := os.ReadDir(dir)
		require.NoError(t, err)
		return len(open)
	}
	round := func() {
		srv, err := wechattest.NewServer(wechattest.Options{})
		require.NoError(t, err)
		defer srv.Close()
		g, err := wechatv2.New(config(srv))
		require.NoError(t, err)
		defer g.CloseIdleConnections()
		srv.Inject(wechattest.LoseAnswer(), wechattest.BreakOff(), wechattest.Status(502),
			wechattest.Body(make([]byte, 1<<20)), wechattest.Truncate())
		for range 8 {
			_, _ = g.Refund(context.Background(), request())
		}
	}
	round() // opens what stays open
	before := count()
	for range 5 {
		round()
	}
	require.Eventually(t, func() bool { return count() <= before }, patience, 10*time.Millisecond)
}

// TestVerificationCannotBeTurnedOff checks that no file of the module turns it off.
func TestVerificationCannotBeTurnedOff(t *testing.T) {
	t.Parallel()
	token := "Insecure" + "SkipVerify"
	files := 0
	require.NoError(t,
		filepath.WalkDir(moduleRoot(t), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			require.NotContains(t, string(src), token, path)
			return nil
		}))
	require.Greater(t, files, 20)
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
}
