package wechatv2

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// sendings counts how often one request may have been sent, to any host. A wrapper of the transport
// may send it again silently, so connections are counted. The request carries its sendings twice,
// in its context and in its body, because a wrapper may replace one of them.
type sendings struct {
	connections atomic.Int32
	answered    atomic.Bool
}

// once reports whether the request used exactly one connection, and got an answer on it. Nothing
// less shows that it was sent once: a wrapper may have sent it without being counted.
func (s *sendings) once() bool { return s.connections.Load() == 1 && s.answered.Load() }

// none reports whether the request used no connection. A wrapper may have sent it without being
// counted.
func (s *sendings) none() bool { return s.connections.Load() == 0 }

type sendingsKey struct{}

// trace returns a context whose requests count for s, each once.
func (s *sendings) trace(ctx context.Context) context.Context {
	if ctx.Value(sendingsKey{}) == s {
		return ctx
	}
	ctx = context.WithValue(ctx, sendingsKey{}, s)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { s.connections.Add(1) },
		GotFirstResponseByte: func() { s.answered.Store(true) },
	})
}

// request returns a POST of body that counts for s.
func (s *sendings) request(
	ctx context.Context, address string, body []byte,
) (*http.Request, error) {
	req, err := http.NewRequestWithContext(s.trace(ctx), http.MethodPost, address, nil)
	if err != nil {
		return nil, err
	}
	req.GetBody = func() (io.ReadCloser, error) {
		return &countedBody{*bytes.NewReader(body), s}, nil
	}
	req.Body, _ = req.GetBody() // never fails
	req.ContentLength = int64(len(body))
	return req, nil
}

// counted returns r with a context that counts for the sendings of its body, if it has them. The
// body becomes a plain reader: net/http sends it in one write with the header only if it knows the
// body's type.
func counted(r *http.Request) *http.Request {
	body, ok := r.Body.(*countedBody)
	if !ok {
		return r
	}
	r = r.WithContext(body.sendings.trace(r.Context()))
	r.Body = io.NopCloser(&body.Reader)
	return r
}

type countedBody struct {
	bytes.Reader
	sendings *sendings
}

// Close implements io.Closer.
func (*countedBody) Close() error { return nil }
