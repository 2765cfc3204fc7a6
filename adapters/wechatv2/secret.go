package wechatv2

import (
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// secret holds a text that must never be printed. The func keeps it from those who print by reflection, inside
// unexported fields, where the methods are not called.
type secret struct{ reveal func() string }

func newSecret(s string) secret { return secret{func() string { return s }} }

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
