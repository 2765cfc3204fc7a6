// Package logtest compares the records that a package logs with the table in its documentation.
package logtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Record is one log record.
type Record struct {
	Level   slog.Level
	Message string
	Attrs   []slog.Attr
}

// Keys returns the keys of the record's attributes, as they were given.
func (r Record) Keys() (keys []string) {
	for _, a := range r.Attrs {
		keys = append(keys, a.Key)
	}
	return keys
}

// Recorder keeps every record that its Logger is given, whatever the level. The zero value is ready
// for use, and safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	records []Record // guarded by mu
}

// Logger returns a logger whose records r keeps.
func (r *Recorder) Logger() *slog.Logger { return slog.New(handler{r: r}) }

// Records returns what was recorded so far.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// Values returns, as texts, what the records with that message say under key.
func (r *Recorder) Values(message, key string) (values []string) {
	for _, rec := range r.Records() {
		for _, a := range rec.Attrs {
			if rec.Message == message && a.Key == key {
				values = append(values, fmt.Sprint(a.Value))
			}
		}
	}
	return values
}

type handler struct {
	r     *Recorder
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h handler) Handle(_ context.Context, rec slog.Record) error {
	kept := Record{Level: rec.Level, Message: rec.Message, Attrs: slices.Clone(h.attrs)}
	rec.Attrs(func(a slog.Attr) bool {
		if !a.Equal(slog.Attr{}) { // which handlers leave out
			kept.Attrs = append(kept.Attrs, a)
		}
		return true
	})
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	h.r.records = append(h.r.records, kept)
	return nil
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{r: h.r, attrs: slices.Concat(h.attrs, attrs)}
}

// WithGroup implements slog.Handler. The packages of this module use no groups.
func (h handler) WithGroup(string) slog.Handler { return h }
