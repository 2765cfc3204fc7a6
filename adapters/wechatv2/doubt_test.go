package wechatv2_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/refund"
)

// untraced drops the request's context.
func untraced(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		return next.RoundTrip(r.WithContext(context.Background()))
	})
}

// copied drops the request's context and body, and sends a copy of the bytes.
func copied(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.WithContext(context.Background())
		r.Body = io.NopCloser(bytes.NewReader(raw))
		return next.RoundTrip(r)
	})
}

// againCopied is again with a second sending that is a copy without the request's context.
func againCopied(next http.RoundTripper) http.RoundTripper {
	return resender(next, func(r *http.Request) (*http.Request, error) {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		r = r.WithContext(context.Background())
		r.Body = io.NopCloser(body)
		return r, nil
	})
}

// again sends a request a second time after no answer or HTTP status 502.
func again(next http.RoundTripper) http.RoundTripper {
	return resender(next, func(r *http.Request) (*http.Request, error) {
		body, err := r.GetBody()
		r.Body = body
		return r, err
	})
}

// againUntraced is again with a second sending that does not have the request's context.
func againUntraced(next http.RoundTripper) http.RoundTripper {
	return resender(next, func(r *http.Request) (*http.Request, error) {
		body, err := r.GetBody()
		r = r.WithContext(context.Background())
		r.Body = body
		return r, err
	})
}

func resender(
	next http.RoundTripper, second func(*http.Request) (*http.Request, error),
) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && resp.StatusCode != http.StatusBadGateway {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
		}
		if r, err = second(r); err != nil {
			return nil, err
		}
		return next.RoundTrip(r)
	})
}

// canned answers every refund but the first with the service's answer to the first, without a call.
func canned(next http.RoundTripper) http.RoundTripper {
	var answer []byte
	return tripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != wechattest.PathRefund || answer == nil {
			resp, err := next.RoundTrip(r)
			if err != nil || r.URL.Path != wechattest.PathRefund {
				return resp, err
			}
			defer resp.Body.Close()
			if answer, err = io.ReadAll(resp.Body); err != nil {
				return nil, err
			}
		}
		body := io.NopCloser(bytes.NewReader(answer))
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: r}, nil
	})
}

// TestRefusalCountsOnlyIfSentOnce checks that a refusal is believed only if the request reached one
// host once. If another sending may have paid, through any host or wrapper, the number is queried.
// A query that does not find it decides nothing: the other sending may still be on its way.
func TestRefusalCountsOnlyIfSentOnce(t *testing.T) {
	t.Parallel()
	type wrapper = func(http.RoundTripper) http.RoundTripper
	type script = []wechattest.Fault
	notEnough := wechattest.ErrCode("NOTENOUGH", "x", false)
	echo := wechattest.ErrCode("ERROR", "x", false)
	lose, hangUp := wechattest.LoseAnswer(), wechattest.LoseAnswer().NotExecuted()
	unseen := notFound()
	bad := wechattest.Status(http.StatusBadGateway) // after it has paid
	const (
		one    = iota // there is no backup host
		backup        // there is one, and the first host answers
		dead          // the first host has no listener
	)
	const (
		unknown   = refund.OutcomeUnknown // an error
		declined  = refund.OutcomeDeclined
		succeeded = refund.OutcomeSucceeded
	)
	for name, tt := range map[string]struct {
		hosts  int
		wrap   wrapper
		script script
		want   refund.Outcome
	}{
		"one host, sent once":         {one, nil, script{notEnough}, declined},
		"one host, sent once, echo":   {one, nil, script{echo}, declined},
		"one host, a wrapper at rest": {one, again, script{notEnough}, declined},
		"one host, lost, sent again":  {one, again, script{lose, notEnough}, succeeded},
		"one host, lost, sent again, not seen yet": {
			one, again, script{lose, notEnough, unseen}, unknown,
		},
		"one host, 502, sent again, not seen yet": {
			one, again, script{bad, notEnough, unseen}, unknown,
		},
		"one host, lost, sent again untraced, not seen yet": {
			one, againUntraced, script{lose, notEnough, unseen}, unknown,
		},
		"one host, 502, sent again untraced, not seen yet": {
			one, againUntraced, script{bad, notEnough, unseen}, unknown,
		},
		"one host, lost, a copy sent again": {one, againCopied, script{lose, notEnough}, succeeded},
		"one host, lost, a copy sent again, not seen yet": {
			one, againCopied, script{lose, notEnough, unseen}, unknown,
		},
		"one host, untraced":            {one, untraced, script{notEnough}, declined},
		"one host, untraced and copied": {one, copied, script{notEnough}, unknown},
		"one host, untraced, lost, sent again": {
			one, func(next http.RoundTripper) http.RoundTripper { return again(untraced(next)) },
			script{lose, notEnough},
			succeeded,
		},

		"lost, then NOTENOUGH": {backup, nil, script{lose, notEnough}, succeeded},
		"lost, then the echo":  {backup, nil, script{lose, echo}, succeeded},
		"lost, then NOTENOUGH, not seen yet": {
			backup, nil, script{lose, notEnough, unseen}, unknown,
		},
		"lost, then the echo, not seen yet": {backup, nil, script{lose, echo, unseen}, unknown},
		"lost, then NOTENOUGH, query lost": {
			backup, nil, script{lose, notEnough, wechattest.Status(502)}, unknown,
		},
		"lost, then NOTENOUGH, untraced": {
			backup, untraced, script{lose, notEnough, unseen}, unknown,
		},
		"lost, then NOTENOUGH, sent again": {
			backup, again, script{lose, notEnough, unseen}, unknown,
		},
		"hung up, then NOTENOUGH": {backup, nil, script{hangUp, notEnough}, unknown},
		"first host twice, then NOTENOUGH": {
			backup, again, script{lose, hangUp, notEnough, unseen}, unknown,
		},
		"not connected, then NOTENOUGH":       {dead, nil, script{notEnough}, declined},
		"not connected twice, then NOTENOUGH": {dead, again, script{notEnough}, declined},
		"not connected, then ERROR":           {dead, nil, script{echo}, declined},
		"not connected, untraced, NOTENOUGH":  {dead, untraced, script{notEnough}, declined},
		"not connected, lost, sent again":     {dead, again, script{lose, notEnough}, succeeded},
		"not connected, lost, again, unseen": {
			dead, again, script{lose, notEnough, unseen}, unknown,
		},
		"not connected, lost, again, untraced": {
			dead, againUntraced, script{lose, notEnough, unseen}, unknown,
		},
		"not connected, 502, again, unseen": {
			dead, again, script{bad, notEnough, unseen}, unknown,
		},
		"not connected, lost, again, the echo":  {dead, again, script{lose, echo, unseen}, unknown},
		"not connected, hung up, again, unseen": {dead, again, script{hangUp, notEnough}, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, wechattest.Options{})
			cfg := config(srv)
			cfg.WrapTransport = tt.wrap
			if tt.hosts != one {
				cfg.BackupURL = strings.Replace(cfg.BaseURL, "127.0.0.1", "localhost", 1)
			}
			if tt.hosts == dead {
				cfg.BaseURL = closedPort(t)
			}
			srv.Inject(tt.script...)
			res, err := newGateway(t, cfg).Refund(context.Background(), request())
			require.Equal(t, tt.want, res.Outcome, err)
			require.Equal(t, tt.want == unknown, err != nil, err)
			if err != nil {
				require.ErrorContains(t, err, "sent once: wechat pay answered ")
			}
		})
	}
}

// TestAnswerFromNowhere checks that an answer without a connection does not prove that the request
// was sent once.
func TestAnswerFromNowhere(t *testing.T) {
	t.Parallel()
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.WrapTransport = canned
	g := newGateway(t, cfg)
	srv.Inject(wechattest.ErrCode("NOTENOUGH", "x", false))
	res, err := g.Refund(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeDeclined, res.Outcome)
	res, err = g.Refund(context.Background(), request())
	require.ErrorContains(t, err, "sent once: wechat pay answered NOTENOUGH")
	require.Zero(t, res)
	require.Equal(t, 1, srv.Calls(wechattest.PathRefund))
}
