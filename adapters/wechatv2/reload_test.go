package wechatv2_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// selfSigned makes a certificate for 127.0.0.1 that is its own authority, valid until end.
func selfSigned(t *testing.T, name string, end time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   end.Add(-48 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// guests is a server that records which certificates clients present.
type guests struct {
	mu    sync.Mutex
	names []string
}

func (g *guests) serve(t *testing.T) wechatv2.Config {
	t.Helper()
	web := httptest.NewUnstartedServer(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			defer g.mu.Unlock()
			name := "none"
			if len(r.TLS.PeerCertificates) > 0 {
				name = r.TLS.PeerCertificates[0].Subject.CommonName
			}
			g.names = append(g.names, name)
		}))
	web.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	web.StartTLS()
	t.Cleanup(web.Close)
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.BaseURL, cfg.RootCAs = web.URL, x509.NewCertPool()
	cfg.RootCAs.AddCert(web.Certificate())
	cfg.Now = today
	return cfg
}

// today is the time of these tests. The server's own certificate follows the real clock.
func today() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func tomorrow() time.Time { return today().Add(24 * time.Hour) }

func TestReloadedCertificateIsPresented(t *testing.T) {
	t.Parallel()
	var seen guests
	cfg := seen.serve(t)
	dir := t.TempDir()
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	cfg.CertFile, cfg.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	install := func(name string, end time.Time) {
		certPEM, keyPEM := selfSigned(t, name, end)
		require.NoError(t, os.WriteFile(cfg.CertFile, certPEM, 0o600))
		require.NoError(t, os.WriteFile(cfg.KeyFile, keyPEM, 0o600))
	}
	install("first", tomorrow())
	g := newGateway(t, cfg)
	call := func() {
		_, err := g.Refund(context.Background(), request())
		require.ErrorIs(t, err, wechatv2.ErrAnswer) // the answer is empty
	}
	call()
	install("second", tomorrow())
	call() // the connection stays
	require.NoError(t, g.ReloadCertificate())
	call()

	// An unusable certificate changes nothing.
	install("expired", today().Add(-time.Hour))
	err := g.ReloadCertificate()
	require.ErrorIs(t, err, order.ErrInvalid)
	require.ErrorContains(t, err, "cert_pem: expired at ")
	require.NoError(t, os.Remove(cfg.KeyFile))
	require.ErrorContains(t, g.ReloadCertificate(), "key_pem: read the file")
	g.CloseIdleConnections()
	call()
	require.Equal(t, []string{"first", "first", "second", "second"}, seen.names)
}

// TestConnectionsOfAnOldCertificateAreLeft checks that a connection that was in use during a reload
// is not used by another call.
func TestConnectionsOfAnOldCertificateAreLeft(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	var mu sync.Mutex
	var used []string // the addresses of the connections, in the order of their calls
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			mu.Lock()
			defer mu.Unlock()
			used = append(used, c.Conn.LocalAddr().String())
		},
	})
	ask := func() {
		_, err := g.Refund(ctx, request())
		require.NoError(t, err)
	}
	srv.Inject(wechattest.Fault{}.After(func(context.Context) {
		// The call that waits here uses the first connection.
		if g.ReloadCertificate() != nil {
			t.Error("reload")
		}
		if _, err := g.Refund(ctx, request()); err != nil { // opens the second
			t.Error(err)
		}
	}))
	ask()
	for range 5 {
		ask()
	}
	require.Len(t, used, 7)
	require.NotContains(t, used[1:], used[0])
	require.NoError(t, g.ReloadCertificate())
	ask()
	require.NotContains(t, used[:7], used[7])
}

// TestUnusableCertificateSendsNothing checks that an unusable certificate of the callback is a
// fault of the set-up, and that nothing is sent.
func TestUnusableCertificateSendsNothing(t *testing.T) {
	t.Parallel()
	var seen guests
	cfg := seen.serve(t)
	cfg.BackupURL = strings.Replace(cfg.BaseURL, "127.0.0.1", "localhost", 1)
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	certPEM, keyPEM := selfSigned(t, "merchant", tomorrow())
	_, otherKey := selfSigned(t, "other", tomorrow())
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	block, _ := pem.Decode(otherKey)
	other, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	for name, key := range map[string]any{
		"no private key": nil, "another's": other, "one that cannot sign": "key",
		"one of nothing": (*ecdsa.PrivateKey)(nil), "panic": nil,
	} {
		cfg.GetClientCertificate = func(context.Context) (*tls.Certificate, error) {
			if name == "panic" {
				panic("the host's")
			}
			return &tls.Certificate{Certificate: pair.Certificate, PrivateKey: key}, nil
		}
		_, err := newGateway(t, cfg).Refund(context.Background(), request())
		require.ErrorIs(t, err, refund.ErrSetup, name)
		require.NotContains(t, err.Error(), "backup", name)
		var setup *refund.SetupError
		require.ErrorAs(t, err, &setup)
		require.Equal(t, wechatv2.GatewayName, setup.Gateway)
	}
	require.Empty(t, seen.names)
}

// TestExpiredCertificateIsASetupError checks that calls fail with a fault of the set-up after the
// certificate has expired, until it is renewed.
func TestExpiredCertificateIsASetupError(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	var days atomic.Int64
	now := func() time.Time { // the server's certificates are of the real clock
		return time.Now().AddDate(0, 0, int(days.Load())) //nolint:forbidigo // see above
	}
	cfg := config(srv)
	cfg.Now = now
	dir := t.TempDir()
	cfg.CertFile, cfg.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	install := func(from, to int) {
		var err error
		cfg.CertPEM, cfg.KeyPEM, err = srv.IssueClientCert(now().AddDate(0, 0, from),
			now().AddDate(0, 0, to))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(cfg.CertFile, cfg.CertPEM, 0o600))
		require.NoError(t, os.WriteFile(cfg.KeyFile, cfg.KeyPEM, 0o600))
		cfg.CertPEM, cfg.KeyPEM = nil, nil
	}
	install(-1, 5)
	g := newGateway(t, cfg)
	_, err := g.Refund(context.Background(), request())
	require.NoError(t, err)
	days.Store(6)
	g.CloseIdleConnections()
	_, err = g.Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
	require.ErrorContains(t, err, "renew it")
	var setup *refund.SetupError
	require.ErrorAs(t, err, &setup)
	require.Equal(t, wechatv2.GatewayName, setup.Gateway)
	require.Error(t, g.ReloadCertificate(), "it is still the old one")
	install(-7, 5) // valid by the server's clock too
	require.NoError(t, g.ReloadCertificate())
	_, err = g.Refund(context.Background(), request())
	require.NoError(t, err)

	// The server refuses a certificate that has expired by its own clock.
	install(-9, -7)
	cfg.Now = func() time.Time { return now().AddDate(0, 0, -8) }
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
}

// TestReloadIsSafeBesideCalls gives the race detector reloads beside calls.
func TestReloadIsSafeBesideCalls(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	g := newGateway(t, config(srv))
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10 {
				if _, err := g.Refund(context.Background(), request()); err != nil {
					t.Error(err)
				}
				if err := g.ReloadCertificate(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	require.EqualValues(t, 30, srv.PaidTotal("O1"))
}

func TestNewRefusesACertificateOutOfTime(t *testing.T) {
	t.Parallel()
	cfg := config(newServer(t, wechattest.Options{}))
	for text, year := range map[string]int{
		"cert_pem: expired at ":       2199,
		"cert_pem: not valid before ": 1999,
	} {
		cfg.Now = func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		_, err := wechatv2.New(cfg)
		require.ErrorIs(t, err, order.ErrInvalid)
		require.ErrorContains(t, err, text)
	}
}

func TestGetClientCertificateIsCalledForEachConnection(t *testing.T) {
	t.Parallel()
	var seen guests
	cfg := seen.serve(t)
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	pair := func(name string, end time.Time) *tls.Certificate {
		certPEM, keyPEM := selfSigned(t, name, end)
		p, err := tls.X509KeyPair(certPEM, keyPEM)
		require.NoError(t, err)
		return &p
	}
	var next *tls.Certificate
	var nextErr error
	cfg.GetClientCertificate = func(ctx context.Context) (*tls.Certificate, error) {
		return next, errors.Join(nextErr, ctx.Err())
	}
	g := newGateway(t, cfg)
	call := func() error { _, err := g.Refund(context.Background(), request()); return err }

	next = pair("first", tomorrow())
	require.ErrorIs(t, call(), wechatv2.ErrAnswer)
	next = pair("second", tomorrow())
	require.NoError(t, g.ReloadCertificate())
	require.ErrorIs(t, call(), wechatv2.ErrAnswer)
	require.Equal(t, []string{"first", "second"}, seen.names)

	vault := errors.New("the vault is sealed")
	for _, tt := range []struct {
		name, text string
		cert       *tls.Certificate
		err        error
	}{
		{"error", "the vault is sealed", nil, vault},
		{"nothing", "there is none", nil, nil},
		{"empty", "there is none", &tls.Certificate{}, nil},
		{"garbage", "not a certificate", &tls.Certificate{Certificate: [][]byte{{1}}}, nil},
		{"expired", "expired at ", pair("third", today().Add(-time.Hour)), nil},
	} {
		next, nextErr = tt.cert, tt.err
		g.CloseIdleConnections()
		err := call()
		require.ErrorIs(t, err, refund.ErrSetup, tt.name)
		require.ErrorContains(t, err, "get the merchant's certificate: ", tt.name)
		require.ErrorContains(t, err, tt.text, tt.name)
		var setup *refund.SetupError
		require.ErrorAs(t, err, &setup)
		require.Equal(t, wechatv2.GatewayName, setup.Gateway)
		if tt.err != nil {
			require.ErrorIs(t, err, tt.err)
		}
	}
	require.Len(t, seen.names, 2)

	for _, beside := range []func(*wechatv2.Config){
		func(c *wechatv2.Config) { c.CertFile = "x" }, func(c *wechatv2.Config) { c.P12File = "x" },
	} {
		c := cfg
		beside(&c)
		_, err := wechatv2.New(c)
		require.Equal(t, []string{"get_client_certificate"}, faultyFields(err))
	}
}

// TestExpiredServerCertificateIsRefused checks that an expired certificate of the service is
// refused.
func TestExpiredServerCertificateIsRefused(t *testing.T) {
	t.Parallel()
	certPEM, keyPEM := selfSigned(t, "old service", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	web := newQuiet(t)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	web.StartTLS()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.BaseURL, cfg.RootCAs = web.URL, x509.NewCertPool()
	require.True(t, cfg.RootCAs.AppendCertsFromPEM(certPEM))
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.ErrorIs(t, err, refund.ErrSetup)
	require.ErrorContains(t, err, "check this machine's clock")
}
