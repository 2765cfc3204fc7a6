package wechatv2_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/refund"
)

// TestLogs: every record that the package can write, against the table in its documentation.
func TestLogs(t *testing.T) {
	t.Parallel()
	log := &logtest.Recorder{}
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.Logger = log.Logger()
	cfg.BackupURL = strings.Replace(srv.URL(), "127.0.0.1", "localhost", 1)
	g := newGateway(t, cfg)
	srv.Inject(wechattest.FailBefore(), wechattest.ErrCode("SYSTEMERROR", "x", true), wechattest.Body(nil))
	_, err := g.Refund(context.Background(), request())
	var apiErr *wechatv2.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, "SYSTEMERROR", apiErr.ErrorCode())
	_, err = g.Query(context.Background(), request())
	require.ErrorIs(t, err, wechatv2.ErrAnswer)
	res, err := g.Query(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
	require.Empty(t, logtest.Check(".", log.Records()))
	require.Contains(t, log.Values("wechat pay call", "err_code"), "SYSTEMERROR")
}
