package wechatv2

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Sentinels for errors.Is. All of them leave the outcome unknown.
var (
	// ErrSignature is an answer that its signature does not prove.
	ErrSignature = errors.New("signature of the answer is missing or wrong")
	// ErrAnswer is an answer that is not what the protocol describes: another HTTP status, a broken or
	// oversized body, a missing field, a status that no document names.
	ErrAnswer = errors.New("unusable answer")
)

// APIError is an answer in which WeChat Pay reports an error. As an error of the gateway it leaves the
// outcome unknown. Its texts are WeChat Pay's, cut to 256 bytes, and hold no secrets.
type APIError struct {
	// Code is err_code; empty where return_code is FAIL. Such answers are not signed.
	Code ErrorCode
	// Msg is err_code_des.
	Msg string
	// ReturnMsg is return_msg.
	ReturnMsg string
}

// Error implements error.
func (e *APIError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("wechat pay did not take the message: %q", e.ReturnMsg)
	}
	return fmt.Sprintf("wechat pay answered %s: %q", e.Code, e.Msg)
}

// ErrorCode returns Code as a text, for metrics that know nothing of this package.
func (e *APIError) ErrorCode() string { return string(e.Code) }

func apiError(f fields) *APIError {
	return &APIError{
		Code: ErrorCode(clip(f["err_code"], 64)), Msg: clip(f["err_code_des"], 256), ReturnMsg: clip(f["return_msg"], 256),
	}
}

// unusable is an ErrAnswer with its reason.
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
