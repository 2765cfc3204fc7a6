package wechatv2_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
)

// TestNothingLeaks causes every kind of failure and looks for secrets, signatures and bodies in the
// gateway's errors, in every form, and in its log.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const reason = "reason-of-the-buyer"
	ctx := context.Background()
	srv := newServer(t, wechattest.Options{})
	var said bytes.Buffer
	cfg := config(srv)
	cfg.Logger = slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g := newGateway(t, cfg)
	signs := sentSigns{}
	spy := signs.record(t, cfg.Logger)
	ask := func(g *wechatv2.Gateway) {
		req := request()
		req.Reason = reason
		res, err := g.Refund(ctx, req)
		fmt.Fprintf(&said, "%v %+v %#v %v\n", err, err, err, res)
		res, err = g.Query(ctx, req)
		fmt.Fprintf(&said, "%v %+v %#v %v\n", err, err, err, res)
	}
	failures := 0
	for _, tt := range doubtful() {
		srv.Inject(tt.fault, tt.fault)
		ask(g)
		failures++
	}
	for _, tt := range codeTests {
		fault := wechattest.ErrCode(tt.code, "x", false)
		srv.Inject(fault, fault)
		ask(g)
		failures++
	}
	for range 3 {
		ask(newGateway(t, spy))
	}
	require.Len(t, signs.seen, 6)
	out := said.String()
	require.Contains(t, out, `"refund_no":"R1"`, "the log says what was called")
	require.Greater(t, failures, 60)
	requireNoSecret(t, cfg, out)
	requireNoSecret(t, spy, out)
	for _, part := range append(signs.seen, reason, "</", "nonce_str", "<sign>", "key=") {
		if i := strings.Index(out, part); i >= 0 {
			t.Fatalf("%s is shown: %s", part, out[max(0, i-100):i+len(part)])
		}
	}
}

// sentSigns holds the signatures and nonces that a server has received.
type sentSigns struct {
	mu   sync.Mutex
	seen []string
}

// record returns a Config whose server answers with the request's body, which must not leak either.
func (s *sentSigns) record(t *testing.T, log *slog.Logger) wechatv2.Config {
	t.Helper()
	mirror := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		_, rest, _ := strings.Cut(body.String(), "<sign>")
		sign, _, _ := strings.Cut(rest, "</sign>")
		s.mu.Lock()
		s.seen = append(s.seen, sign)
		s.mu.Unlock()
		_, _ = w.Write(body.Bytes())
	})
	mirror.Logger = log
	return mirror
}
