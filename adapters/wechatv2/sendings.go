package wechatv2

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// sendings counts how often one request may have left, to whichever host. What wraps the transport
// may send it again without a word, so the count is taken where connections are handed out. The
// request carries it twice, in its context and in its body, because a wrapper may replace one of
// them.
type sendings struct {
	connections atomic.Int32
	answered    atomic.Bool
}

// once reports whether exactly one connection was given to the request, and brought an answer. No
// other request is known to have been sent once: a wrapper may have sent it past the count.
func (s *sendings) once() bool { return s.connections.Load() == 1 && s.answered.Load() }

type sendingsKey struct{}

// trace returns a context whose requests count for s. It does not count them twice.
func (s *sendings) trace(ctx context.Context) context.Context {
	if ctx.Value(sendingsKey{}) == s {
		return ctx
	}
	return httptrace.WithClientTrace(context.WithValue(ctx, sendingsKey{}, s), &httptrace.ClientTrace{
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
	req.GetBody = func() (io.ReadCloser, error) { return &countedBody{bytes.NewReader(body), s}, nil }
	req.Body, err = req.GetBody()
	req.ContentLength = int64(len(body))
	return req, err
}

// counted returns r with a context that counts, if its own does not and its body tells for what.
func counted(r *http.Request) *http.Request {
	body, ok := r.Body.(*countedBody)
	if !ok {
		return r
	}
	return r.WithContext(body.sendings.trace(r.Context()))
}

type countedBody struct {
	*bytes.Reader
	sendings *sendings
}

// Close implements io.Closer.
func (*countedBody) Close() error { return nil }
