package wechattest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// The paths that the server answers.
const (
	PathRefund = "/secapi/pay/refund"
	PathQuery  = "/pay/refundquery"
)

// Options configure a [Server]. The zero value is ready to use.
type Options struct {
	// Addr is where to listen: a port of 127.0.0.1 or localhost, which is what the certificate is for; another
	// address is an error. Default: a free port of 127.0.0.1.
	Addr string
	// AppID, MchID and APIKey (32 bytes) are the merchant's; made-up ones by default.
	AppID  string
	MchID  string
	APIKey string
	// Balance is the merchant's money, in fen; 0 means 100 million yuan. See [Server.SetBalance].
	Balance int64
	// Now is the clock; time.Now by default. [Server.Advance] is added to it.
	Now func() time.Time
	// SettleAfter is how long an accepted refund is PROCESSING. Default 0: it ends at the first query.
	SettleAfter time.Duration
	// ProcessingQueries is the number of queries that an accepted refund answers with PROCESSING before it
	// ends, whatever the time. Default 0.
	ProcessingQueries int
	// Spacing is the least time between two refunds of one order (WeChat Pay: one minute); a refund that
	// comes sooner is answered FREQUENCY_LIMITED. Default 0: no such limit. The Service leaves that minute by
	// itself; a test that has no clock to move sets MinInterval in the gateway's Config.Limits.
	Spacing time.Duration

	// SubMchID turns the server into one for a service provider, whose AppID, MchID and APIKey the above
	// then are: every request must name this sub-merchant. SubAppID is the sub-merchant's application,
	// which a request may name. Default: none, a plain merchant.
	SubMchID string
	SubAppID string
	// OldFundFlow keeps the money of unsettled payments apart from Balance: refunds are paid from it
	// unless refund_account says otherwise. It begins with Unsettled, in fen; see [Server.SetUnsettled].
	OldFundFlow bool
	Unsettled   int64
	// NewMismatch answers a number with other amounts, and a wrong total, with INVALID_REQUEST, as the real
	// service does since about 2021, in place of REFUND_FEE_MISMATCH.
	NewMismatch bool
	// RefuseConcurrent answers BIZERR_NEED_RETRY to a refund while another one of its order is in work.
	RefuseConcurrent bool
	// BadRequests is how many bad requests within a minute are answered; what comes then is answered
	// INVALID_REQ_TOO_MUCH, until a minute has passed without one. Default 0: no such limit.
	BadRequests int

	// NotifyURL receives notifications for refunds that name no notify_url, those made with
	// [Server.RefundInConsole] among them. Default: none.
	NotifyURL string
	// NotifyClient sends the notifications, with a limit of five seconds each. Default: a client that
	// trusts the system's authorities and follows no redirects.
	NotifyClient *http.Client
}

// Server is a WeChat Pay v2 refund service on the loopback interface. It is safe for concurrent use. Close
// it when done.
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
	bad     []time.Time // of the bad requests that count against Options.BadRequests
	calls   map[string]int
	opened  int
}

// NewServer starts a server with an authority and a client certificate of its own.
func NewServer(opts Options) (*Server, error) {
	s := &Server{
		appID: opts.AppID, mchID: opts.MchID, apiKey: opts.APIKey, opts: opts,
		served: make(chan struct{}), calls: map[string]int{},
	}
	s.defaults()
	if host, _, err := net.SplitHostPort(s.opts.Addr); err != nil || host != "127.0.0.1" && host != "localhost" {
		return nil, fmt.Errorf("listen at %q: must be a port of 127.0.0.1 or localhost", s.opts.Addr)
	}
	var err error
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
			// Asked for and not verified in the handshake: like the real service, the handler answers a
			// missing or untrusted certificate with a page.
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
	balance := s.opts.Balance
	if balance == 0 {
		balance = 100_000_000_00
	}
	if s.opts.NotifyClient == nil {
		s.opts.NotifyClient = newNotifyClient()
	}
	s.book = newBook(balance, s.opts.Unsettled)
}

// countConn is called in the accept loop for a new connection, so that no connection is added once the loop
// has ended.
func (s *Server) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		s.mu.Lock()
		s.opened++
		s.mu.Unlock()
	case http.StateClosed:
		s.conns.Done()
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

// Close stops the server, cuts its connections and returns when all its goroutines have ended. It is safe
// to call it again.
func (s *Server) Close() {
	_ = s.http.Close() // reports only faults of closing sockets
	s.stop()           // only now: a call that is held must not be answered any more
	<-s.served
	s.conns.Wait()
	s.opts.NotifyClient.CloseIdleConnections()
}

// URL is the address to use in place of https://api.mch.weixin.qq.com, without a trailing slash.
func (s *Server) URL() string { return s.url }

// RootCAs holds the authority that issued the server's certificate.
func (s *Server) RootCAs() *x509.CertPool { return s.ca.pool.Clone() }

// CACertPEM is the certificate of that authority.
func (s *Server) CACertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.cert.Raw})
}

// ClientCertPEM is the merchant's certificate.
func (s *Server) ClientCertPEM() []byte { return append([]byte(nil), s.client.cert...) }

// ClientKeyPEM is the private key of the merchant's certificate.
func (s *Server) ClientKeyPEM() []byte { return append([]byte(nil), s.client.key...) }

// IssueClientCert makes another certificate for the merchant, valid from notBefore to notAfter: what a shop gets
// when it renews its own, or one that has ended.
func (s *Server) IssueClientCert(notBefore, notAfter time.Time) (certPEM, keyPEM []byte, err error) {
	pair, err := s.ca.issueClient(s.mchID, notBefore, notAfter)
	return pair.cert, pair.key, err
}

// AppID is the merchant's application.
func (s *Server) AppID() string { return s.appID }

// MchID is the merchant's number.
func (s *Server) MchID() string { return s.mchID }

// SubMchID is the sub-merchant's number; empty for a plain merchant.
func (s *Server) SubMchID() string { return s.opts.SubMchID }

// APIKey is the key that messages are signed with.
func (s *Server) APIKey() string { return s.apiKey }

// Advance moves the server's clock forward.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance += d
}

// ClearInjected empties the scripts of [Server.Inject] and [Server.InjectNotice], and returns how many faults nothing had
// taken.
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

// Calls is the number of calls to a path so far, broken ones included.
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// Connections is the number of TCP connections accepted so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// now must be called with s.mu held.
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
