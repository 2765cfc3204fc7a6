package logtest_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/internal/logtest"
)

const source = `package p

func f(s *service) {
	s.log.InfoContext(ctx, "paid", slog.String("order_id", id))
	s.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "late, again", attrs...)
	s.log.Error("lost")
	s.other.Error("not a log record")
}
`

const doc = "// Package p logs:\n//\n" +
	"//\tINFO   paid         order_id\n//\tWARN   late, again  order_id, [error]\n//\tERROR  lost\npackage p\n"

func TestCheck(t *testing.T) {
	log := func(do func(l *slog.Logger)) func(l *slog.Logger) { return do }
	id := slog.String("order_id", "O1")
	right := log(func(l *slog.Logger) {
		l.With(id).Info("paid")
		l.Warn("late, again", id, slog.String("error", "e"))
		l.Warn("late, again", id)
		l.Error("lost")
	})
	for name, c := range map[string]struct {
		doc, source string
		log         func(l *slog.Logger)
		want        []string
	}{
		"all agree": {doc, source, right, nil},
		"no table":  {"package p\n", source, right, []string{"has no table"}},
		"new in the source": {
			doc, source + "\nfunc g(s *service) { s.log.Warn(\"new\") }\n", right,
			[]string{`"new" is in the source and not in the table`},
		},
		"gone from the source": {doc, "package p\n", right, []string{
			`"paid" is in the table and not in the source`, `"late, again" is in the table and not in the source`,
			`"lost" is in the table and not in the source`,
		}},
		"other keys and levels": {doc, source, log(func(l *slog.Logger) {
			l.Info("paid", slog.String("refund_no", "R1"))
			l.Warn("late, again", id)
			l.Warn("lost")
		}), []string{
			`"paid" is logged without order_id`, `"paid" is logged with refund_no, which the table does not have`,
			`"late, again": error was not logged`, `"lost" is logged as WARN, the table says ERROR`,
		}},
		"never logged": {doc, source, log(func(l *slog.Logger) {
			l.Info("paid", id)
			l.Error("lost")
		}), []string{`"late, again" was not logged`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "doc.go"), []byte(c.doc), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "p.go"), []byte(c.source), 0o600))
			var r logtest.Recorder
			c.log(r.Logger())
			got := logtest.Check(dir, r.Records())
			require.Len(t, got, len(c.want), "%q", got)
			for i, want := range c.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestRecorderValues(t *testing.T) {
	var r logtest.Recorder
	l := r.Logger()
	require.True(t, l.Enabled(context.Background(), slog.LevelDebug))
	l.Info("paid", slog.Int("amount", 5))
	l.Info("paid", slog.Int("amount", 6))
	l.Info("lost", slog.Int("amount", 7))
	require.Equal(t, []string{"5", "6"}, r.Values("paid", "amount"))
}
