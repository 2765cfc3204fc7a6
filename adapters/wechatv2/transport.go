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

const maxConnections = 64

// transport is the HTTP transport. It may be renewed while calls run. It always verifies the
// service's certificate, presents the merchant's whenever the service asks for it, and reads no
// proxy from the environment.
type transport struct {
	current atomic.Pointer[http.Transport]
	make    func() *http.Transport
}

func newTransport(c Config, cert *certificate) *transport {
	var proxy func(*http.Request) (*url.URL, error)
	if u, err := url.Parse(c.ProxyURL); c.ProxyURL != "" && err == nil { // checked by isWeb
		proxy = http.ProxyURL(u)
	}
	dialTimeout := c.Timeout / 3 // leaves time to try the other host
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &transport{make: func() *http.Transport {
		return &http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion:           tls.VersionTLS12,
				RootCAs:              c.RootCAs,
				GetClientCertificate: cert.forHandshake,
			},
			Proxy:                  proxy,
			DialContext:            dialer.DialContext,
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

// renew closes the idle connections. Calls that use the others finish on them; no new call gets
// one.
func (t *transport) renew() { t.current.Swap(t.make()).CloseIdleConnections() }

// newClient follows no redirect: a signed message goes to the configured hosts only.
func newClient(rt http.RoundTripper) *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{CheckRedirect: stay, Transport: rt}
}

// post sends body to the first host, and to the second if the first could not be connected to or
// hung up without a byte of an answer. It returns the answer's body. Any error leaves the outcome
// unknown. The first host may have acted, so the second gets the same body with the same refund
// number.
//
// once reports whether the request was sent once. If not, a refusal does not prove that nothing was
// paid. The error is an [*unsentError] if there never was a connection to send it on.
func (g *Gateway) post(
	ctx context.Context, to *endpoint, body []byte,
) (answer []byte, once bool, err error) {
	s := &sendings{}
	if err := to.wait(ctx); err != nil {
		return nil, false, &unsentError{err}
	}
	answer, elsewhere, err := g.postTo(ctx, g.hosts[0], to, body, s)
	if elsewhere && len(g.hosts) > 1 && to.wait(ctx) == nil {
		g.log.LogAttrs(ctx, slog.LevelDebug, "wechat pay goes on at the backup host",
			slog.String("path", to.path), slog.String("error", err.Error()))
		first := err
		if answer, _, err = g.postTo(ctx, g.hosts[1], to, body, s); err != nil {
			err = fmt.Errorf("%w; at the backup host: %w", first, err)
		}
	}
	switch {
	case err == nil:
		return answer, s.once(), nil
	case !g.isWrapped && s.none():
		return nil, false, &unsentError{err}
	}
	return nil, false, err
}

// unsentError is the error of a request that certainly was not sent.
type unsentError struct{ error }

// Unwrap returns the cause.
func (e *unsentError) Unwrap() error { return e.error }

// postTo posts to one host. elsewhere reports whether the other host may succeed: this one gave no
// answer at all, for a reason that the other may not have.
func (g *Gateway) postTo(
	ctx context.Context, host string, to *endpoint, body []byte, s *sendings,
) (answer []byte, elsewhere bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	req, err := s.request(ctx, host+to.path, body)
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
	answer, err = readBody(resp.Body, resp.ContentLength, to.maxAnswer)
	if err == nil && int64(len(answer)) > to.maxAnswer {
		answer, err = nil, unusable("body of more than %d bytes", to.maxAnswer)
	}
	if resp.StatusCode != http.StatusOK {
		err = g.statusError(resp.StatusCode, answer)
	}
	return answer, false, err
}

// readBody reads a body of about size bytes, up to limit and one byte.
func readBody(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if 0 < size && size <= limit {
		b.Grow(int(size) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return b.Bytes(), nil
}

// transportError returns a SetupError, with advice, if err is a fault of the set-up and not of the
// network.
func (g *Gateway) transportError(err error) error {
	if errors.Is(err, refund.ErrSetup) {
		return err // of forHandshake
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return g.setup(fmt.Errorf("the service's certificate cannot be trusted (%s): %w",
			whyUntrusted(err), err))
	}
	if strings.Contains(err.Error(), "protocol version") {
		return g.setup(fmt.Errorf("the service does not support TLS 1.2 "+
			"(check base_url and any proxy): %w", briefError{err}))
	}
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" &&
		strings.Contains(remote.Error(), "certificate") {
		return g.setup(fmt.Errorf("the service refused the merchant's certificate "+
			"(check that it is this merchant's and has not expired): %w", err))
	}
	return fmt.Errorf("call wechat pay: %w", briefError{err})
}

// briefError bounds the text of an error that may quote what a peer sent.
type briefError struct{ error }

// Error implements error.
func (e briefError) Error() string { return clip(e.error.Error(), 512) }

// Unwrap returns the whole error.
func (e briefError) Unwrap() error { return e.error }

// whyUntrusted returns what to check.
func whyUntrusted(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "it is for another name: check base_url and any proxy"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired or is not valid yet: check this machine's clock"
	}
	return "its authority is unknown: check root_cas, the system's authorities and any proxy"
}

// tooManyRequests is how long the account waits after HTTP status 429. No document of WeChat Pay v2
// describes the status; a proxy in front of the service sends it.
const tooManyRequests = time.Minute

// statusError recognizes the pages by which the service refuses a client certificate: HTML with
// HTTP status 400. No status decides anything about a refund.
func (g *Gateway) statusError(status int, page []byte) error {
	err := unusable("HTTP status %d", status)
	switch {
	case status == http.StatusTooManyRequests:
		return &refund.BusyError{After: tooManyRequests, Account: true, Err: err}
	case status != http.StatusBadRequest:
	case bytes.Contains(page, []byte("No required SSL certificate")):
		return g.setup(errors.New("the merchant's certificate did not reach the service"))
	case bytes.Contains(page, []byte("SSL certificate error")):
		return g.setup(errors.New(
			"the service refused the merchant's certificate: wrong, expired or revoked"))
	}
	return err
}

func (g *Gateway) setup(err error) error { return &refund.SetupError{Gateway: g.name, Err: err} }
