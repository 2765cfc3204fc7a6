package wechatv2

import (
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// secret holds a text that must never be printed. The pointer keeps it from fmt even where its methods
// cannot be called, inside unexported fields.
type secret struct{ text *string }

func newSecret(s string) secret { return secret{&s} }

// reveal is for signing only.
func (s secret) reveal() string { return *s.text }

// String implements fmt.Stringer.
func (secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (secret) GoString() string { return redacted }

// Format implements fmt.Formatter.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
