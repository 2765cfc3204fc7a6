package wechatv2

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Sentinels for errors.Is. All of them leave the outcome unknown.
var (
	// ErrSignature is returned if the answer's signature is missing or wrong.
	ErrSignature = errors.New("signature of the answer is missing or wrong")
	// ErrAnswer is returned if the answer does not follow the protocol: another HTTP status, a
	// broken or oversized body, a missing field, or a status that no document names.
	ErrAnswer = errors.New("unusable answer")
)

// APIError is returned if WeChat Pay reports an error. As an error of the gateway it leaves the
// outcome unknown. Its texts are WeChat Pay's, cut to 256 bytes, and hold no secrets.
type APIError struct {
	// Code is err_code. It is empty if return_code is FAIL; such answers are not signed.
	Code string
	// Msg is err_code_des, or return_msg if return_code is FAIL.
	Msg string
}

// Error implements error.
func (e *APIError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("wechat pay did not take the message: %q", e.Msg)
	}
	return fmt.Sprintf("wechat pay answered %s: %q", e.Code, e.Msg)
}

// ErrorCode returns Code, for metrics that do not import this package.
func (e *APIError) ErrorCode() string { return e.Code }

// unusable returns an ErrAnswer with a reason.
func unusable(reason string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAnswer, fmt.Sprintf(reason, args...))
}

// clip cuts s to at most n bytes at the boundary of a character.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
