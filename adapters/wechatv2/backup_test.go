package wechatv2_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// newQuiet returns a server, not started, that does not log failed handshakes.
func newQuiet(t *testing.T) *httptest.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(web.Close)
	return web
}

// newHangUp returns a server that accepts connections and closes each at once.
func newHangUp(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return "https://" + ln.Addr().String()
}

// closedPort returns an address without a listener. A connection holds the port until the test
// ends.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return "https://" + conn.LocalAddr().String()
}

// TestLostConnectionGoesToTheBackupHost checks that a call whose connection is lost goes to the
// backup host.
func TestLostConnectionGoesToTheBackupHost(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{
		"nobody listens":       closedPort(t),
		"handshake broken off": newHangUp(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, wechattest.Options{})
			cfg := config(srv)
			cfg.BaseURL, cfg.BackupURL = base, srv.Config().BaseURL
			g := newGateway(t, cfg)
			res, err := g.Refund(context.Background(), request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeAccepted, res.Outcome)
			res, err = g.Query(context.Background(), request())
			require.NoError(t, err)
			require.Equal(t, refund.OutcomeSucceeded, res.Outcome)

			cfg.BackupURL = closedPort(t)
			_, err = newGateway(t, cfg).Refund(context.Background(), request())
			require.ErrorContains(t, err, "; at the backup host: ")
		})
	}
}

// TestBackupHostIsOnlyForLostConnections checks which faults send a call to the backup host. Both
// addresses reach one service, which counts the calls.
func TestBackupHostIsOnlyForLostConnections(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault    wechattest.Fault
		switches bool
	}{
		"hung up after paying": {wechattest.LoseAnswer(), true},
		"hung up before":       {wechattest.LoseAnswer().NotExecuted(), true},
		"502":                  {wechattest.Status(502), false},
		"503":                  {wechattest.Status(503).NotExecuted(), false},
		"broken off":           {wechattest.BreakOff(), false},
		"cut":                  {wechattest.Truncate(), false},
		"empty":                {wechattest.Body(nil), false},
		"wrong signature":      {wechattest.WrongSign(), false},
		"another refund":       {wrongRefundNo("R2"), false},
		"SYSTEMERROR":          {wechattest.ErrCode("SYSTEMERROR", "x", true), false},
		"CERT_ERROR":           {wechattest.ErrCode("CERT_ERROR", "x", false), false},
		"FREQUENCY_LIMITED":    {wechattest.ErrCode("FREQUENCY_LIMITED", "x", false), false},
		"return_code FAIL":     {wechattest.ReturnFail("system error", true), false},
		"slower than Timeout": {wechattest.Fault{}.After(func(ctx context.Context) {
			<-ctx.Done()
		}), false},
		"slower before it acts": {wechattest.Fault{}.Before(func(ctx context.Context) {
			<-ctx.Done()
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slower := strings.HasPrefix(name, "slower")
			try := func(limit time.Duration) bool {
				srv := newServer(t, wechattest.Options{})
				cfg := config(srv)
				cfg.BackupURL = strings.Replace(cfg.BaseURL, "127.0.0.1", "localhost", 1)
				cfg.Timeout = limit
				var hosts spy
				cfg.WrapTransport = hosts.wrap
				g := newGateway(t, cfg)
				want := []string{"127.0.0.1"}
				if slower {
					_, err := g.Query(context.Background(), request()) // connects
					if err != nil || len(hosts.names) > 1 {
						return false
					}
					want = append(want, "127.0.0.1")
				}
				srv.Inject(tt.fault)
				res, err := g.Refund(context.Background(), request())
				if tt.switches {
					want = append(want, "localhost")
					require.NoError(t, err)
					require.Equal(t, refund.OutcomeAccepted, res.Outcome)
					require.Equal(t, hosts.bodies[0], hosts.bodies[1])
				} else {
					require.Error(t, err)
					require.Zero(t, res)
				}
				require.Equal(t, want, hosts.names)
				require.LessOrEqual(t, srv.PaidTotal("O1"), int64(30))
				return true
			}
			if slower {
				adapt(t, try)
			} else {
				try(patience)
			}
		})
	}
}

// TestBackupHostIsNotForFaultsOfTheCaller checks that an ended context or a wrong certificate does
// not send a call to the backup host.
func TestBackupHostIsNotForFaultsOfTheCaller(t *testing.T) {
	t.Parallel()
	srv, other := newServer(t, wechattest.Options{}), newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.BackupURL = strings.Replace(cfg.BaseURL, "127.0.0.1", "localhost", 1)

	ctx, cancel := context.WithCancel(context.Background())
	var hosts spy
	gone := cfg
	gone.WrapTransport = hosts.wrap
	srv.Inject(wechattest.LoseAnswer().After(func(context.Context) { cancel() }))
	_, err := newGateway(t, gone).Refund(ctx, request())
	require.Error(t, err)
	require.Equal(t, []string{"127.0.0.1"}, hosts.names)

	untrusted := gone
	untrusted.BaseURL = other.Config().BaseURL
	_, err = newGateway(t, untrusted).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
	require.Len(t, hosts.names, 2, "one call more")
}

// TestBackupHostIsNotUsedAfterAByte checks that a call stays with a host that has begun to answer:
// it may have acted.
func TestBackupHostIsNotUsedAfterAByte(t *testing.T) {
	t.Parallel()
	cfg := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 20")
		conn.Close()
	})
	var calls atomic.Int64
	cfg.BackupURL = newWeb(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }).BaseURL
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorContains(t, err, "call wechat pay: ")
	require.Zero(t, calls.Load())
}

// TestTotalTimeoutBoundsAllCalls checks that it bounds all calls of one Refund together.
func TestTotalTimeoutBoundsAllCalls(t *testing.T) {
	t.Parallel()
	adapt(t, func(limit time.Duration) bool {
		srv := newServer(t, wechattest.Options{})
		cfg := config(srv)
		cfg.Timeout, cfg.TotalTimeout = limit, limit
		g := newGateway(t, cfg)
		// One call brings the refusal, the other is the query of the number.
		srv.Inject(wechattest.ErrCode("ERROR", "x", false).On(wechattest.PathRefund),
			wechattest.Fault{}.After(func(ctx context.Context) { <-ctx.Done() }).
				On(wechattest.PathQuery))
		_, err := g.Refund(context.Background(), request())
		if srv.Calls(wechattest.PathQuery) == 0 {
			return false
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, srv.Calls(wechattest.PathQuery))
		return true
	})
}

// spy records the bodies that pass through a transport.
type spy struct {
	mu     sync.Mutex
	names  []string
	bodies []string
}

func (s *spy) wrap(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		raw, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(raw)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.names, s.bodies = append(s.names, r.URL.Hostname()), append(s.bodies, string(body))
		s.mu.Unlock()
		return next.RoundTrip(r)
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestProxyIsUsedAndItsPasswordNotShown checks that calls go through a proxy with a password, and
// that no error shows it.
func TestProxyIsUsedAndItsPasswordNotShown(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect ||
			r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpodW50ZXIy" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		tunnels.Add(1)
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		down, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, down); up.Close() }()
		_, _ = io.Copy(down, up)
		down.Close()
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)

	cfg := config(srv)
	cfg.ProxyURL = "http://user:hunter2@" + at.Host
	g := newGateway(t, cfg)
	_, err = g.Refund(context.Background(), request())
	require.NoError(t, err)
	require.EqualValues(t, 1, tunnels.Load())
	require.Contains(t, fmt.Sprint(g), `proxy_url="http://REDACTED@`+at.Host+`"`)

	cfg.ProxyURL = "http://user:hunter3@" + at.Host
	g = newGateway(t, cfg)
	_, err = g.Refund(context.Background(), request())
	require.ErrorContains(t, err, "Proxy Authentication Required")
	cfg.ProxyURL = "http://user:hunter3@" + strings.TrimPrefix(closedPort(t), "https://")
	_, dialErr := newGateway(t, cfg).Refund(context.Background(), request())
	require.Error(t, dialErr)
	cfg.ProxyURL = "http://user:hunter3@a b"
	_, confErr := wechatv2.New(cfg)
	require.Equal(t, []string{"proxy_url"}, faultyFields(confErr))
	for _, text := range []string{
		fmt.Sprint(g), fmt.Sprint(cfg), err.Error(), dialErr.Error(),
		confErr.Error(),
	} {
		require.NotContains(t, text, "hunter")
	}

	// TLS is verified end to end, so the proxy need not be trusted.
	cfg.ProxyURL, cfg.RootCAs = "http://user:hunter2@"+at.Host, x509.NewCertPool()
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
}
