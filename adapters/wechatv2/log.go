package wechatv2

import (
	"context"
	"log/slog"
)

// discard is the handler of a Gateway without a Logger.
type discard struct{}

// Enabled implements slog.Handler.
func (discard) Enabled(context.Context, slog.Level) bool { return false }

// Handle implements slog.Handler.
func (discard) Handle(context.Context, slog.Record) error { return nil }

// WithAttrs implements slog.Handler.
func (d discard) WithAttrs([]slog.Attr) slog.Handler { return d }

// WithGroup implements slog.Handler.
func (d discard) WithGroup(string) slog.Handler { return d }
