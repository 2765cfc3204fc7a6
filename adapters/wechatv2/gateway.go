package wechatv2

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderfsm/orderfsm/refund"
)

var (
	_ refund.RefundGateway      = (*Gateway)(nil)
	_ refund.Checker            = (*Gateway)(nil)
	_ refund.Lister             = (*Gateway)(nil)
	_ refund.Limiter            = (*Gateway)(nil)
	_ refund.NotificationReader = (*Gateway)(nil)
)

// Gateway returns money through WeChat Pay v2. It is safe for concurrent use and keeps its
// connections open between calls. It shows none of its secrets if it is printed, logged or
// marshalled.
type Gateway struct {
	name, appID, mchID string
	subAppID, subMchID string
	opUserID           string
	notifyURL          string
	refundAccount      RefundAccount
	signer             *signer
	infoCipher         func() cipher.Block // of notifications; a func for the reason in signer
	hosts              []string
	timeout, total     time.Duration
	limits             refund.Limits
	refunds, queries   endpoint
	cert               *certificate
	transport          *transport
	client             *http.Client
	isWrapped          bool // by Config.WrapTransport
	log                *slog.Logger
	shown              string
}

// endpoint is one of the calls of WeChat Pay.
type endpoint struct {
	path      string
	maxAnswer int64 // bytes of an answer's body
	pace      *rate.Limiter
}

// New makes a Gateway. It reads the certificate and makes no call. Its error joins all faults of
// the Config, each an [*order.InvalidError] that names the field in snake_case.
func New(c Config) (*Gateway, error) {
	g, err := newGateway(c)
	if err != nil {
		return nil, fmt.Errorf("configure the wechat pay gateway: %w", err)
	}
	return g, nil
}

func newGateway(c Config) (*Gateway, error) {
	c, err := c.withDefaults()
	cert, certErr := newCertificate(c)
	if err := errors.Join(err, certErr); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(infoKey(c.APIKey))
	if err != nil {
		return nil, err
	}
	transport := newTransport(c, cert)
	rt := http.RoundTripper(transport)
	if c.WrapTransport != nil {
		if rt = c.WrapTransport(transport); rt == nil {
			return nil, invalid("wrap_transport", "returned nil")
		}
	}
	return &Gateway{
		name: c.Name, appID: c.AppID, mchID: c.MchID, subAppID: c.SubAppID, subMchID: c.SubMchID,
		opUserID: c.OpUserID, notifyURL: c.NotifyURL, refundAccount: c.RefundAccount,
		signer: newSigner(c.APIKey, c.SignType), infoCipher: func() cipher.Block { return block },
		hosts: c.hosts(), timeout: c.Timeout, total: c.TotalTimeout, limits: *c.Limits,
		// A refund's answer has about 1 KiB, a query's at most ten refunds.
		refunds: endpoint{"/secapi/pay/refund", 64 << 10, newPace(c.RefundRate)},
		queries: endpoint{"/pay/refundquery", 1 << 20, newPace(c.QueryRate)},
		cert:    cert, transport: transport, client: newClient(rt), log: c.Logger,
		isWrapped: c.WrapTransport != nil,
		shown:     "wechatv2.Gateway{" + c.shown() + "}",
	}, nil
}

// call signs m and sends it. It returns the verified fields of the answer and post's once.
func (g *Gateway) call(
	ctx context.Context, to *endpoint, m message, req refund.Request,
) (f fields, once bool, err error) {
	for i := range m {
		if m[i].name == "sign" {
			m[i].value = g.signer.sign(m)
		}
	}
	answer, once, err := g.post(ctx, to, encode(m))
	if err == nil {
		f, err = g.verify(answer)
	}
	if g.log.Enabled(ctx, slog.LevelDebug) {
		attrs := []slog.Attr{
			slog.String("path", to.path),
			slog.String("refund_no", req.RefundNo), slog.String("order_id", req.OrderID),
			slog.String("result_code", clip(f["result_code"], 32)),
			slog.String("err_code", clip(f["err_code"], 64)),
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		g.log.LogAttrs(ctx, slog.LevelDebug, "wechat pay call", attrs...)
	}
	return f, once, err
}

// CloseIdleConnections closes the connections that are not in use. The Gateway stays usable.
func (g *Gateway) CloseIdleConnections() { g.transport.current.Load().CloseIdleConnections() }

// Format implements [fmt.Formatter]. For every verb it writes the Gateway without its secrets.
func (g *Gateway) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(g.shown)) }

// MarshalText returns the text that Format writes. Loggers and JSON show this text.
func (g *Gateway) MarshalText() ([]byte, error) { return []byte(g.shown), nil }
