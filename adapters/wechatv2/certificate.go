package wechatv2

import (
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

// certificate holds the merchant's client certificate, which may be replaced while calls go on.
type certificate struct {
	gateway string
	now     func() time.Time
	read    func() (*tls.Certificate, error) // again, from where the Config says
	reading sync.Mutex                       // what was read last is what stays
	current atomic.Pointer[tls.Certificate]
	get     func(context.Context) (*tls.Certificate, error) // the host's, in place of the two above
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
		return nil // asked for each time
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

// forHandshake is called for each new connection whose service asks for a certificate, on a goroutine of
// net/http: a panic of the host's callback would end the process.
func (m *certificate) forHandshake(info *tls.CertificateRequestInfo) (cert *tls.Certificate, err error) {
	if m.get == nil {
		cert = m.current.Load()
		if err := complete("cert_pem", cert, m.now()); err != nil { // it ends while the process runs
			return nil, &refund.SetupError{Gateway: m.gateway, Err: err}
		}
		return cert, nil
	}
	defer func() {
		if p := recover(); p != nil {
			cert, err = nil, &refund.SetupError{Gateway: m.gateway, Err: fmt.Errorf("get the merchant's certificate: panic: %v", p)}
		}
	}()
	cert, err = m.get(info.Context())
	if err == nil && (cert == nil || len(cert.Certificate) == 0) {
		err = errors.New("there is none") // and crypto/tls would crash, or send none
	}
	if err == nil {
		err = complete("get_client_certificate", cert, m.now())
	}
	if err != nil {
		return nil, &refund.SetupError{Gateway: m.gateway, Err: fmt.Errorf("get the merchant's certificate: %w", err)}
	}
	return cert, nil
}

// ReloadCertificate reads the merchant's certificate again from the files of the Config, for a host that has
// replaced them. Calls that begin now present it; those under way go on. What does not hold together, or has
// ended, is an [*order.InvalidError] that names the field, and changes nothing. With GetClientCertificate it only
// leaves the connections that were made with an older one; given as bytes, the certificate stays what it is. Safe
// for concurrent use.
func (g *Gateway) ReloadCertificate() error {
	if err := g.cert.reload(); err != nil {
		return fmt.Errorf("reload the merchant's certificate: %w", err)
	}
	g.transport.renew()
	return nil
}

// oneSource checks that the certificate is given in one way.
func (c Config) oneSource() error {
	pair, p12 := len(c.CertPEM)+len(c.KeyPEM) > 0 || c.CertFile+c.KeyFile != "", len(c.P12) > 0 || c.P12File != ""
	if c.GetClientCertificate != nil && (pair || p12) {
		return invalid("get_client_certificate", "given beside a certificate: give one of them")
	}
	if pair && p12 {
		return invalid("p12", "given beside cert_pem and key_pem: give one of them")
	}
	if !p12 && c.P12Password != "" {
		return invalid("p12_password", "given without p12")
	}
	return nil
}

// certificate reads the merchant's client certificate from where the Config says.
func (c Config) certificate() (*tls.Certificate, error) {
	if len(c.P12) > 0 || c.P12File != "" {
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
	key, leaf, chain, err := pkcs12.DecodeChain(data, or(c.P12Password, c.MchID))
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, invalid("p12", "another password: p12_password, which is mch_id by default")
	}
	if err != nil {
		return nil, invalid("p12", "not PKCS#12 with a certificate and its private key: %v", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, invalid("p12", "its private key: %v", err)
	}
	certs := append([]*x509.Certificate{leaf}, chain...)
	if i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return ownsKey(c, key) }); i > 0 {
		certs[0], certs[i] = certs[i], certs[0] // some files have the authority's in front
	}
	var certPEM []byte
	for _, cert := range certs {
		certPEM = append(certPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return keyPair("p12", certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), c.Now())
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

// complete parses the certificate, so that no handshake has to, and checks that it has its private key and is
// valid at now.
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
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.Before(leaf.NotBefore):
		return invalid(field, "not valid before %s", leaf.NotBefore.UTC().Format(day))
	case now.After(leaf.NotAfter):
		return invalid(field, "expired at %s: renew it in the merchant platform", leaf.NotAfter.UTC().Format(day))
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
		return nil, invalid(field, "given where the name of a file belongs")
	}
	b, err := os.ReadFile(file) //nolint:gosec // the host's own configuration names it
	if err != nil {
		return nil, invalid(field, "read the file: %v", err)
	}
	return b, nil
}

// isContents reports whether the name of a file is what should be in it, and not to be shown.
func isContents(file string) bool {
	return len(file) > 1024 || strings.Contains(file, "-----BEGIN") || strings.ContainsAny(file, "\r\n\x00")
}

func invalid(field, problem string, args ...any) error {
	return &order.InvalidError{Field: field, Problem: fmt.Sprintf(problem, args...)}
}
