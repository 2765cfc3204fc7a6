package wechatv2

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// certificate holds the merchant's client certificate. It may be replaced while calls run.
type certificate struct {
	gateway string
	now     func() time.Time
	read    func() (*tls.Certificate, error) // from the files or bytes of the Config
	reading sync.Mutex                       // the certificate that was read last stays
	current atomic.Pointer[tls.Certificate]
	get     func(context.Context) (*tls.Certificate, error) // the host's; if set, replaces read
}

func newCertificate(c Config) (*certificate, error) {
	m := &certificate{gateway: c.Name, now: c.Now, read: c.certificate, get: c.GetClientCertificate}
	if err := c.oneSource(); err != nil {
		return nil, err
	}
	return m, m.reload()
}

// reload reads the certificate again. After an error the old one stays.
func (m *certificate) reload() error {
	if m.get != nil {
		return nil // called for each connection
	}
	m.reading.Lock()
	defer m.reading.Unlock()
	cert, err := m.read()
	if err != nil {
		return err
	}
	m.current.Store(cert)
	return nil
}

// forHandshake is called for each new connection whose service asks for a certificate.
func (m *certificate) forHandshake(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, err := m.usable(info.Context())
	if err != nil {
		err = fmt.Errorf("get the merchant's certificate: %w", err)
		return nil, &refund.SetupError{Gateway: m.gateway, Err: err}
	}
	return cert, nil
}

// usable returns the certificate if it is complete and valid now. It recovers from a panic of the
// host's function or private key: handshakes run on goroutines of net/http, where a panic would end
// the process.
func (m *certificate) usable(ctx context.Context) (cert *tls.Certificate, err error) {
	if m.get == nil {
		cert = m.current.Load()
		return cert, complete("cert_pem", cert, m.now()) // it may have expired since New
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	cert, err = m.get(ctx)
	if err == nil && (cert == nil || len(cert.Certificate) == 0) {
		err = errors.New("there is none") // crypto/tls would crash or send none
	}
	if err == nil {
		err = complete("get_client_certificate", cert, m.now())
	}
	return cert, err
}

// ReloadCertificate reads the merchant's certificate again from the files of the Config, after the
// host has replaced them. New calls present the new certificate; running calls finish with the old
// one. An unusable or expired certificate is an [*order.InvalidError] that names the field, and the
// old one stays. With GetClientCertificate, ReloadCertificate only closes the connections that were
// made with an older certificate. A certificate that was given as bytes does not change. Safe for
// concurrent use.
func (g *Gateway) ReloadCertificate() error {
	if err := g.cert.reload(); err != nil {
		return fmt.Errorf("reload the merchant's certificate: %w", err)
	}
	g.transport.renew()
	return nil
}

// oneSource checks that the certificate is given in one way.
func (c Config) oneSource() error {
	pair := len(c.CertPEM)+len(c.KeyPEM) > 0 || c.CertFile+c.KeyFile != ""
	switch p12 := c.hasP12(); {
	case c.GetClientCertificate != nil && (pair || p12):
		return invalid("get_client_certificate", "given beside a certificate: give one of them")
	case pair && p12:
		return invalid("p12", "given beside cert_pem and key_pem: give one of them")
	case !p12 && c.P12Password != "":
		return invalid("p12_password", "given without p12")
	}
	return nil
}

func (c Config) hasP12() bool { return len(c.P12) > 0 || c.P12File != "" }

// certificate reads the merchant's client certificate from the bytes or files of the Config.
func (c Config) certificate() (*tls.Certificate, error) {
	if c.hasP12() {
		return c.fromP12()
	}
	certPEM, certErr := source("cert_pem", c.CertPEM, c.CertFile)
	keyPEM, keyErr := source("key_pem", c.KeyPEM, c.KeyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	return keyPair("cert_pem", certPEM, keyPEM, c.Now())
}

func (c Config) fromP12() (*tls.Certificate, error) {
	data, err := source("p12", c.P12, c.P12File)
	if err != nil {
		return nil, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, cmp.Or(c.P12Password, c.MchID))
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, invalid("p12", "wrong p12_password; if it is empty, mch_id is used")
	}
	if err != nil {
		return nil, invalid("p12", "not PKCS#12 with a certificate and its private key: %v", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, invalid("p12", "unusable private key: %v", err)
	}
	certs := append([]*x509.Certificate{leaf}, chain...)
	ours := func(c *x509.Certificate) bool { return ownsKey(c, key) }
	if i := slices.IndexFunc(certs, ours); i > 0 {
		certs[0], certs[i] = certs[i], certs[0] // some files have the authority's in front
	}
	var certPEM []byte
	for _, cert := range certs {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}
		certPEM = append(certPEM, pem.EncodeToMemory(block)...)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return keyPair("p12", certPEM, keyPEM, c.Now())
}

func keyPair(field string, certPEM, keyPEM []byte, now time.Time) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, invalid(field, "not a certificate with its private key: %v", err)
	}
	if err := complete(field, &pair, now); err != nil {
		return nil, err
	}
	return &pair, nil
}

// complete checks that cert has its private key and is valid at now.
func complete(field string, cert *tls.Certificate, now time.Time) error {
	leaf := cert.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return invalid(field, "not a certificate: %v", err)
		}
	}
	if !ownsKey(leaf, cert.PrivateKey) {
		return invalid(field, "has no private key, or that of another certificate")
	}
	const minute = "2006-01-02 15:04 MST"
	switch from, until := leaf.NotBefore.UTC(), leaf.NotAfter.UTC(); {
	case now.Before(from):
		return invalid(field, "not valid before %s", from.Format(minute))
	case now.After(until):
		const problem = "expired at %s: renew it in the merchant platform"
		return invalid(field, problem, until.Format(minute))
	}
	return nil
}

// ownsKey reports whether key is the private key of a certificate.
func ownsKey(cert *x509.Certificate, key any) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

func source(field string, given []byte, file string) ([]byte, error) {
	switch {
	case len(given) != 0 && file != "":
		return nil, invalid(field, "given both as bytes and as a file")
	case len(given) != 0:
		return given, nil
	case file == "":
		return nil, invalid(field, "missing: give the bytes or a file")
	}
	if isContents(file) {
		return nil, invalid(field, "given in place of the name of a file")
	}
	b, err := os.ReadFile(file) //nolint:gosec // the host's own configuration names it
	if err != nil {
		return nil, invalid(field, "read the file: %v", err)
	}
	return b, nil
}

// isContents reports whether the name of a file looks like the contents of one, which must not be
// shown.
func isContents(file string) bool {
	return len(file) > 1024 || strings.Contains(file, "-----BEGIN") ||
		strings.ContainsAny(file, "\r\n\x00")
}

func invalid(field, problem string, args ...any) error {
	return &order.InvalidError{Field: field, Problem: fmt.Sprintf(problem, args...)}
}
