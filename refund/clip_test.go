package refund

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClip: what is fit to be stored stays as it is, and of the rest no more is lost than must be.
func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "1234567890": "1234567890", "12345678901": "1234567890", "a b~": "a b~",
		"a\x00b": "a b", "a\x1fb": "a b", "a\x7fb": "a b", "a\u0080b": "a b", "a\u009fb": "a b", "a\u00a0b": "a\u00a0b",
		"a\xff\xfeb": "a?b", "退款退款": "退款退", "123456789退": "123456789", "12345678é": "12345678é",
		strings.Repeat("\x80", 100): "?", strings.Repeat("x", 100): "xxxxxxxxxx",
	} {
		require.Equal(t, want, clip(text, 10), "%q", text)
	}
	require.Equal(t, "CODE words", note(Result{Code: "CODE", Message: "words"}))
	require.Equal(t, "words", note(Result{Message: "words"}))
	require.Equal(t, "CODE", note(Result{Code: "CODE"}))
}
