package wechattest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
)

// The paths that the server answers.
const (
	PathRefund = "/secapi/pay/refund"
	PathQuery  = "/pay/refundquery"
)

// Options configure a [Server]. The zero value is ready to use.
type Options struct {
	// Addr is the address to listen on: a port of 127.0.0.1 or localhost, for which the certificate
	// is made. Any other address is an error. If empty, a free port of 127.0.0.1.
	Addr string
	// AppID, MchID and APIKey (32 bytes) are the merchant's. If empty, invented ones.
	AppID  string
	MchID  string
	APIKey string
	// Now is the clock, to which [Server.Advance] adds. If nil, time.Now.
	Now func() time.Time
	// SettleAfter is how long an accepted refund is PROCESSING. If zero, it ends at the first
	// query. [Server.Settle] ends it earlier.
	SettleAfter time.Duration
	// Spacing is the least time between two refunds of one order (WeChat Pay: one minute). An
	// earlier refund is answered FREQUENCY_LIMITED. If zero, there is no such limit. The Service
	// waits that minute; a test that cannot move a clock sets MinInterval in the gateway's
	// Config.Limits.
	Spacing time.Duration

	// SubMchID makes the server one for a service provider, which owns the AppID, MchID and APIKey
	// above: every request must name this sub-merchant. SubAppID is the sub-merchant's application,
	// which a request may name. If empty, the merchant is a plain one.
	SubMchID string
	SubAppID string
	// RefuseConcurrent answers BIZERR_NEED_RETRY to a refund while another call for its order runs.
	RefuseConcurrent bool

	// NotifyURL receives the notifications of refunds that name no notify_url, for example those of
	// [Server.RefundInConsole]. If empty, they have no notification.
	NotifyURL string
	// NotifyClient sends the notifications, each with a time limit of five seconds. If nil, a
	// client that trusts the system's authorities and follows no redirects.
	NotifyClient *http.Client
}

// Server is a WeChat Pay v2 refund service on the loopback interface. It is safe for concurrent
// use. Close it when done.
type Server struct {
	appID, mchID, apiKey string
	opts                 Options
	ca                   *authority
	client               issued
	url                  string
	http                 *http.Server
	stop                 context.CancelFunc
	served               chan struct{}
	conns                sync.WaitGroup

	mu      sync.Mutex
	advance time.Duration
	book    book
	faults  []Fault
	notices []*notice
	spoils  []NoticeFault
	calls   map[string]int
}

// NewServer starts a server with a new authority and a new client certificate.
func NewServer(opts Options) (*Server, error) {
	s := &Server{
		appID: opts.AppID, mchID: opts.MchID, apiKey: opts.APIKey, opts: opts,
		served: make(chan struct{}), calls: map[string]int{},
	}
	s.defaults()
	host, _, err := net.SplitHostPort(s.opts.Addr)
	if err != nil || host != "127.0.0.1" && host != "localhost" {
		return nil, fmt.Errorf("listen at %q: must be a port of 127.0.0.1 or localhost",
			s.opts.Addr)
	}
	if s.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	serverCert, err := s.ca.issueServer()
	if err != nil {
		return nil, err
	}
	if s.client, err = s.ca.issueClient(s.mchID, time.Time{}, time.Time{}); err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.url = "https://" + ln.Addr().String()
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: time.Minute, // a busy machine must not look like a broken service
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.countConn,
		ErrorLog:          log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{serverCert},
			MinVersion:   tls.VersionTLS12,
			// The handshake does not verify the certificate: like the real service, the handler
			// answers a missing or untrusted one with a page.
			ClientAuth: tls.RequestClientCert,
		},
	}
	go func() {
		defer close(s.served)
		if err := s.http.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			stop()
		}
	}()
	return s, nil
}

func (s *Server) defaults() {
	if s.opts.Addr == "" {
		s.opts.Addr = "127.0.0.1:0"
	}
	if s.appID == "" {
		s.appID = "wx0000000000000001"
	}
	if s.mchID == "" {
		s.mchID = "1000000001"
	}
	if s.apiKey == "" {
		s.apiKey = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	if s.opts.NotifyClient == nil {
		s.opts.NotifyClient = newNotifyClient()
	}
	s.book = newBook()
}

// countConn is called in the accept loop for a new connection: no connection is added after the
// loop has ended.
func (s *Server) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed:
		s.conns.Done()
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

// Close stops the server, cuts its connections and returns when all its goroutines have ended. It
// may be called again.
func (s *Server) Close() {
	_ = s.http.Close() // reports only faults of closing sockets
	s.stop()           // after Close: a call that a fault holds must not be answered
	<-s.served
	s.conns.Wait()
	s.opts.NotifyClient.CloseIdleConnections()
}

// Config returns the configuration of a gateway that uses the server: the merchant's numbers, API
// key and certificate, BaseURL (without a trailing slash) and RootCAs. It is ready for
// [wechatv2.New]. Each call returns a copy, which the caller may change.
func (s *Server) Config() wechatv2.Config {
	return wechatv2.Config{
		AppID: s.appID, MchID: s.mchID, APIKey: s.apiKey,
		SubMchID: s.opts.SubMchID, SubAppID: s.opts.SubAppID,
		CertPEM: bytes.Clone(s.client.cert), KeyPEM: bytes.Clone(s.client.key),
		BaseURL: s.url, RootCAs: s.ca.pool.Clone(),
	}
}

// CACertPEM returns the certificate of the authority in Config's RootCAs, for a gateway in another
// process.
func (s *Server) CACertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.cert.Raw})
}

// IssueClientCert makes another certificate for the merchant, valid from notBefore to notAfter: a
// renewed one, or one that has expired.
func (s *Server) IssueClientCert(
	notBefore, notAfter time.Time,
) (certPEM, keyPEM []byte, err error) {
	pair, err := s.ca.issueClient(s.mchID, notBefore, notAfter)
	return pair.cert, pair.key, err
}

// Advance moves the server's clock forward.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance += d
}

// ClearInjected empties the scripts of [Server.Inject] and [Server.InjectNotice]. It returns the
// number of faults that were left.
func (s *Server) ClearInjected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := len(s.faults) + len(s.spoils)
	s.faults, s.spoils = nil, nil
	return left
}

// Inject appends faults to the script. Each call takes the first fault that its path allows.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Calls returns the number of calls to a path so far, broken ones included.
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// now returns the server's time. It must be called with s.mu held.
func (s *Server) now() time.Time { return s.opts.Now().Add(s.advance) }

// arrive counts a call and takes its fault from the script.
func (s *Server) arrive(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[path]++
	for i, f := range s.faults {
		if f.path == "" || f.path == path {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			return f
		}
	}
	return Fault{}
}
