package logtest

import (
	"log/slog"
	"os"
	"testing"
)

// Silence discards what goes to slog.Default(). Services and adapters without a Logger log to it.
func Silence() { slog.SetDefault(slog.New(slog.DiscardHandler)) }

// Main is the TestMain of a package whose tests are silent.
func Main(m *testing.M) {
	Silence()
	os.Exit(m.Run())
}
