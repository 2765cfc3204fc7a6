package wechatv2_test

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/wechatv2"
	"github.com/orderfsm/orderfsm/adapters/wechatv2/wechattest"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/refund"
)

// TestLogsFollowTheirTable compares every record of the package with the table in its
// documentation.
func TestLogsFollowTheirTable(t *testing.T) {
	t.Parallel()
	recorder := &logtest.Recorder{}
	srv := newServer(t, wechattest.Options{})
	cfg := config(srv)
	cfg.Logger = recorder.Logger()
	cfg.BackupURL = strings.Replace(cfg.BaseURL, "127.0.0.1", "localhost", 1)
	g := newGateway(t, cfg)
	srv.Inject(wechattest.LoseAnswer().NotExecuted(), wechattest.ErrCode("SYSTEMERROR", "x", true),
		wechattest.Body(nil))
	_, err := g.Refund(context.Background(), request())
	var apiErr *wechatv2.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, "SYSTEMERROR", apiErr.ErrorCode())
	_, err = g.Query(context.Background(), request())
	require.ErrorIs(t, err, wechatv2.ErrAnswer)
	res, err := g.Query(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, refund.OutcomeSucceeded, res.Outcome)
	require.Empty(t, logtest.Check(".", recorder.Records()))
	require.Contains(t, recorder.Values("wechat pay call", "err_code"), "SYSTEMERROR")
}

// TestNilLoggerIsTheDefaultLogger replaces the default logger of the process, so it is not
// parallel.
func TestNilLoggerIsTheDefaultLogger(t *testing.T) { //nolint:paralleltest // as it says
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	recorder := &logtest.Recorder{}
	slog.SetDefault(recorder.Logger())
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(writer) // slog.SetDefault redirects package log
		log.SetFlags(flags)
	}()
	cfg := config(newServer(t, wechattest.Options{}))
	cfg.Logger = nil
	_, err := newGateway(t, cfg).Refund(context.Background(), request())
	require.NoError(t, err)
	require.Equal(t, []string{"R1"}, recorder.Values("wechat pay call", "refund_no"))
}
