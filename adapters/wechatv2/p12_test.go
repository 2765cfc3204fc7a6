package wechatv2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// p12 encodes a certificate, its key, and the certificates of chain after it.
func p12(
	t *testing.T, enc *pkcs12.Encoder, certPEM, keyPEM []byte, password string,
	chain ...*x509.Certificate,
) []byte {
	t.Helper()
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	data, err := enc.Encode(pair.PrivateKey, leaf, chain, password)
	require.NoError(t, err)
	return data
}

// TestP12IsRead checks the merchant platform's file, in the old form and in the new one, and with
// the authority's certificate after the merchant's.
func TestP12IsRead(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	authority := selfSignedCert(t, "authority")
	for name, tt := range map[string]struct {
		enc      *pkcs12.Encoder
		password string
		chain    []*x509.Certificate
	}{
		"RC2, the merchant's number":       {pkcs12.LegacyRC2, "", nil},
		"3DES, the merchant's number":      {pkcs12.LegacyDES, "", nil},
		"modern, a password of the shop":   {pkcs12.Modern2023, p12Password, nil},
		"with the authority's certificate": {pkcs12.LegacyRC2, "", []*x509.Certificate{authority}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(srv)
			cfg.P12Password = tt.password
			password := tt.password
			if password == "" {
				password = cfg.MchID
			}
			data := p12(t, tt.enc, cfg.CertPEM, cfg.KeyPEM, password, tt.chain...)
			cfg.CertPEM, cfg.KeyPEM = nil, nil
			file := cfg
			cfg.P12 = data
			file.P12File = filepath.Join(t.TempDir(), "apiclient_cert.p12")
			require.NoError(t, os.WriteFile(file.P12File, data, 0o600))
			for _, c := range []wechatv2.Config{cfg, file} {
				res, err := newGateway(t, c).Refund(context.Background(), request())
				require.NoError(t, err)
				require.Equal(t, refund.OutcomeAccepted, res.Outcome)
			}

			cfg.P12Password = "wrong-password"
			_, err := wechatv2.New(cfg)
			require.Equal(t, []string{"p12"}, faultyFields(err))
			require.ErrorContains(t, err, "p12_password")
			require.NotContains(t, err.Error(), "wrong-password")
			cfg.P12Password, cfg.P12 = tt.password, data[:len(data)/2]
			_, err = wechatv2.New(cfg)
			require.Equal(t, []string{"p12"}, faultyFields(err))
		})
	}
}

// TestP12WithTheAuthorityInFront checks that the certificate of the private key is found after the
// authority's.
func TestP12WithTheAuthorityInFront(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	pair, err := tls.X509KeyPair(cfg.CertPEM, cfg.KeyPEM)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	cfg.P12, err = pkcs12.LegacyDES.Encode(pair.PrivateKey, selfSignedCert(t, "authority"),
		[]*x509.Certificate{leaf}, cfg.MchID)
	require.NoError(t, err)
	_, err = newGateway(t, cfg).Refund(context.Background(), request())
	require.NoError(t, err)
}

// TestP12IsReloaded checks that a renewed file is used and an expired one is refused.
func TestP12IsReloaded(t *testing.T) {
	t.Parallel()
	var seen guests
	cfg := seen.serve(t)
	cfg.CertPEM, cfg.KeyPEM = nil, nil
	cfg.P12File = filepath.Join(t.TempDir(), "apiclient_cert.p12")
	install := func(name string, age int) {
		certPEM, keyPEM := selfSigned(t, name, tomorrow().AddDate(0, 0, -age))
		data := p12(t, pkcs12.LegacyRC2, certPEM, keyPEM, cfg.MchID)
		require.NoError(t, os.WriteFile(cfg.P12File, data, 0o600))
	}
	install("first", 0)
	g := newGateway(t, cfg)
	call := func() {
		_, err := g.Refund(context.Background(), request())
		require.ErrorIs(t, err, wechatv2.ErrAnswer) // the answer is empty
	}
	call()
	install("second", 0)
	require.NoError(t, g.ReloadCertificate())
	call()
	install("expired", 2)
	require.ErrorContains(t, g.ReloadCertificate(), "p12: expired at ")
	call()
	require.Equal(t, []string{"first", "second", "second"}, seen.names)
}

func selfSignedCert(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	certPEM, _ := selfSigned(t, name, tomorrow())
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}
