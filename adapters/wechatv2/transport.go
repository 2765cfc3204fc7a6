package wechatv2

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// Bounds of an answer's body. A refund's is about 1 KiB; a query's has at most ten refunds.
const (
	maxRefundAnswer = 64 << 10
	maxQueryAnswer  = 1 << 20
)

const maxConnections = 64

// transport is the HTTP transport, which may be renewed while calls go on. It verifies the service's
// certificate, always; presents the merchant's whenever it is asked for; and uses no proxy from the environment.
type transport struct {
	current atomic.Pointer[http.Transport]
	make    func() *http.Transport
}

func newTransport(c Config, cert *certificate) *transport {
	var proxy func(*http.Request) (*url.URL, error)
	if u, err := url.Parse(c.ProxyURL); c.ProxyURL != "" && err == nil { // withDefaults has parsed it before
		proxy = http.ProxyURL(u)
	}
	dialTimeout := c.Timeout / 3 // a host that cannot be reached is given up early enough to try the other one
	t := &transport{make: func() *http.Transport {
		return &http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion:           tls.VersionTLS12,
				RootCAs:              c.RootCAs,
				GetClientCertificate: cert.forHandshake,
			},
			Proxy:                  proxy,
			DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			IdleConnTimeout:        90 * time.Second,
			MaxConnsPerHost:        maxConnections,
			MaxIdleConnsPerHost:    maxConnections,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // a small body cannot unpack into a large one
		}
	}}
	t.current.Store(t.make())
	return t
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current.Load().RoundTrip(counted(r))
}

// renew leaves the old connections to the calls that use them: no other call gets one, however busy they are.
func (t *transport) renew() { t.current.Swap(t.make()).CloseIdleConnections() }

// newClient follows no redirect, so that a signed message goes nowhere but to the configured hosts.
func newClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     rt,
	}
}

// post sends body to the first host, and to the second if the first could not be connected to or
// hung up without a byte of an answer. It returns the answer's body, at most limit bytes of it. Any
// error leaves the outcome unknown; that the first host may have acted is why the body is the same,
// refund number and all.
//
// once reports whether the answer is for the only sending of the request. If it is not, a refusal is
// no proof that nothing was paid.
func (g *Gateway) post(
	ctx context.Context, path string, body []byte, limit int64,
) (answer []byte, once bool, err error) {
	if err := g.wait(ctx, path); err != nil {
		return nil, false, err
	}
	s := &sendings{}
	answer, elsewhere, err := g.postTo(ctx, s, g.hosts[0]+path, body, limit)
	if elsewhere && len(g.hosts) > 1 && g.wait(ctx, path) == nil {
		g.log.LogAttrs(ctx, slog.LevelDebug, "wechat pay goes on at the backup host",
			slog.String("path", path), slog.String("error", err.Error()))
		first := err
		if answer, _, err = g.postTo(ctx, s, g.hosts[1]+path, body, limit); err != nil {
			err = fmt.Errorf("%w; at the backup host: %w", first, err)
		}
	}
	if err != nil {
		return nil, false, err
	}
	return answer, s.once(), nil
}

// postTo also reports whether another host may do better: this one gave no answer at all, for a
// reason that the other may not have.
func (g *Gateway) postTo(
	ctx context.Context, s *sendings, address string, body []byte, limit int64,
) (answer []byte, elsewhere bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	req, err := s.request(ctx, address, body)
	if err != nil {
		return nil, false, fmt.Errorf("make the HTTP request: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	resp, err := g.client.Do(req)
	if err != nil {
		err = g.transportError(err)
		return nil, !s.answered.Load() && ctx.Err() == nil && !errors.Is(err, refund.ErrSetup), err
	}
	defer resp.Body.Close()
	answer, err = readBody(resp, limit)
	if resp.StatusCode != http.StatusOK {
		err = g.statusError(resp.StatusCode, answer)
	}
	return answer, false, err
}

func readBody(resp *http.Response, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; 0 < n && n <= limit {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if n > limit {
		return nil, unusable("body of more than %d bytes", limit)
	}
	return b.Bytes(), nil
}

// transportError tells a fault of the set-up from one of the network, and says what to check.
func (g *Gateway) transportError(err error) error {
	if errors.Is(err, refund.ErrSetup) {
		return err // the merchant's certificate could not be had
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return g.setup(fmt.Errorf("the service's certificate cannot be trusted (%s): %w", whyUntrusted(err), err))
	}
	if strings.Contains(err.Error(), "protocol version") {
		return g.setup(fmt.Errorf("the service does not speak TLS 1.2 (check base_url, and what stands between): %w", briefError{err}))
	}
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Error(), "certificate") {
		return g.setup(fmt.Errorf("the service refused the merchant's certificate (check that it is this merchant's and has not ended): %w", err))
	}
	return fmt.Errorf("call wechat pay: %w", briefError{err})
}

// briefError bounds the text of an error that may quote what a peer sent.
type briefError struct{ error }

// Error implements error.
func (e briefError) Error() string { return clip(e.error.Error(), 512) }

// Unwrap implements what errors.Is and errors.As look for.
func (e briefError) Unwrap() error { return e.error }

// whyUntrusted says what to check.
func whyUntrusted(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "it is for another name: check base_url, and what stands between"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has ended or not begun: check this machine's clock"
	}
	return "its authority is unknown: check root_cas or the system's authorities, and what stands between"
}

// tooMany is how long the account waits after HTTP status 429, which no document of WeChat Pay v2
// describes: what stands before the service sends it.
const tooMany = time.Minute

// statusError reads the pages by which the service refuses a client certificate: they are HTML with HTTP
// status 400. No status decides anything about a refund.
func (g *Gateway) statusError(status int, page []byte) error {
	if status == http.StatusBadRequest {
		switch {
		case bytes.Contains(page, []byte("No required SSL certificate")):
			return g.setup(errors.New("the merchant's certificate did not reach the service"))
		case bytes.Contains(page, []byte("SSL certificate error")):
			return g.setup(errors.New("the service refused the merchant's certificate: wrong, expired or revoked"))
		}
	}
	err := unusable("HTTP status %d", status)
	if status == http.StatusTooManyRequests {
		return &refund.BusyError{After: tooMany, Account: true, Err: err}
	}
	return err
}

func (g *Gateway) setup(err error) error { return &refund.SetupError{Gateway: g.name, Err: err} }
