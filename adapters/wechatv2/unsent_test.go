package wechatv2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// TestNotSent checks that Refund says so if the request certainly did not reach WeChat Pay, and
// never if it may have.
func TestNotSent(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	soon, cancelSoon := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancelSoon)
	sealed := errors.New("the vault is sealed")
	for name, tt := range map[string]struct {
		change  func(t *testing.T, c *wechatv2.Config)
		fault   wechattest.Fault
		ctx     context.Context //nolint:containedctx // of the case
		req     func(r *refund.Request)
		notSent bool
	}{
		"refused dial": {
			change:  func(t *testing.T, c *wechatv2.Config) { c.BaseURL = closedPort(t) },
			notSent: true,
		},
		"refused at both hosts": {
			change: func(t *testing.T, c *wechatv2.Config) {
				c.BaseURL, c.BackupURL = closedPort(t), closedPort(t)
			},
			notSent: true,
		},
		"no certificate": {
			change: func(_ *testing.T, c *wechatv2.Config) {
				c.CertPEM, c.KeyPEM = nil, nil
				c.GetClientCertificate = func(context.Context) (*tls.Certificate, error) {
					return nil, sealed
				}
			},
			notSent: true,
		},
		"untrusted host": {
			change: func(t *testing.T, c *wechatv2.Config) {
				c.BaseURL = newServer(t, wechattest.Options{}).Config().BaseURL
			},
			notSent: true,
		},
		"the context has ended": {ctx: gone, notSent: true},
		"the rate is used up": {
			change:  func(_ *testing.T, c *wechatv2.Config) { c.RefundRate = 1e-6 },
			ctx:     soon,
			notSent: true,
		},
		"bad request":             {req: func(r *refund.Request) { r.RefundNo = "R 1" }, notSent: true},
		"lost before it was read": {fault: wechattest.LoseAnswer().NotExecuted()},
		"lost answer":             {fault: wechattest.LoseAnswer()},
		"502":                     {fault: wechattest.Status(http.StatusBadGateway)},
		"garbage":                 {fault: wechattest.Body([]byte("<"))},
		"lost at the first host": {
			change: func(t *testing.T, c *wechatv2.Config) { c.BackupURL = closedPort(t) },
			fault:  wechattest.LoseAnswer(),
		},
		"a wrapper may have sent it": {
			change: func(_ *testing.T, c *wechatv2.Config) {
				c.WrapTransport = func(http.RoundTripper) http.RoundTripper {
					return failing{&net.OpError{Op: "dial", Err: errors.New("refused")}}
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, wechattest.Options{})
			cfg, req, ctx := config(srv), request(), tt.ctx
			if tt.change != nil {
				tt.change(t, &cfg)
			}
			if tt.req != nil {
				tt.req(&req)
			}
			if ctx == nil {
				ctx = context.Background()
			}
			g := newGateway(t, cfg)
			if cfg.RefundRate > 0 {
				_, err := g.Refund(ctx, req) // takes the only turn
				require.NoError(t, err)
			}
			srv.Inject(tt.fault)
			_, err := g.Refund(ctx, req)
			require.Error(t, err)
			require.Equal(t, tt.notSent, errors.Is(err, refund.ErrNotSent), "%v", err)
			if tt.notSent {
				require.Equal(t, strings.Contains(name, "rate"), srv.Paid("R1") > 0)
			}
		})
	}
}

// failing is a transport that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// TestQueryThatWasNotSent checks that a refund which was sent is not called unsent, if the query
// after its refusal was not sent.
func TestQueryThatWasNotSent(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.QueryRate = 1e-6
	g := newGateway(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, err := g.Query(ctx, request()) // takes the only turn
	require.NoError(t, err)
	srv.Inject(wechattest.ErrCode("ERROR", "x", true).On(wechattest.PathRefund))
	_, err = g.Refund(ctx, request())
	require.ErrorIs(t, err, refund.ErrBusy, "of the query")
	require.NotErrorIs(t, err, refund.ErrNotSent)
}
