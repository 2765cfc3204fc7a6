package otelrefund

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/orderfsm/orderfsm/refund"
)

// class is what kind of error an error is. Its text is never shown: it may hold what people wrote.
type class struct {
	is   error
	name string // the value of error.type
	// refusal reports that the caller was told no: nothing is broken.
	refusal bool
}

// classes in the order in which they are looked for: an error may be of several.
var classes = []class{
	{refund.ErrHookPanic, "hook_panic", false},
	{refund.ErrVetoed, "vetoed", true},
	{refund.ErrSetup, "setup", false},
	{refund.ErrBusy, "busy", false},
	{refund.ErrMismatch, "mismatch", false},
	{refund.ErrNotification, "bad_notification", false},
	{context.DeadlineExceeded, typeTimeout, false},
	{context.Canceled, "canceled", false},
	{refund.ErrInTx, "in_tx", false},
	{refund.ErrUnknownGateway, "unknown_gateway", false},
	{refund.ErrUnsupported, "unsupported", true},
	{refund.ErrUnsettled, "unsettled", true},
	{refund.ErrOrderNotFound, "order_not_found", true},
	{refund.ErrRefundNotFound, "refund_not_found", true},
	{refund.ErrExists, "exists", true},
	{refund.ErrAmount, "amount", true},
	{refund.ErrLimit, "limit", true},
	{refund.ErrTransition, "transition", true},
	{refund.ErrConflict, "conflict", true},
	{refund.ErrInvalid, "invalid", true},
}

// The values of error.type for what is no error of a class.
const (
	typeOther      = "_OTHER"
	typePanic      = "panic"
	typeNoOutcome  = "no_outcome"
	typeTimeout    = "timeout"
	typeConnection = "connection"
)

func classify(err error) class {
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c
		}
	}
	var network net.Error
	switch {
	case !errors.As(err, &network):
		return class{name: typeOther}
	case network.Timeout():
		return class{name: typeTimeout}
	}
	return class{name: typeConnection}
}

// other stands for a code that is not shown.
const other = "other"

// codeLetters are what a code is made of.
const codeLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// mostCodes bounds the values of orderfsm.code in metrics. WeChat Pay v2 documents about thirty.
const mostCodes = 100

// codes are those that metrics have been told of.
type codes struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// bounded returns code, or other where there are too many of them.
func (c *codes) bounded(code string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case code == "" || c.seen[code]:
		return code
	case len(c.seen) >= mostCodes:
		return other
	case c.seen == nil:
		c.seen = map[string]bool{}
	}
	c.seen[code] = true
	return code
}

// coded is an error that knows the provider's code.
type coded interface {
	error
	ErrorCode() string
}

// codeOf returns the provider's code for an answer, other where it is not of the form of one, "" where there is none.
func codeOf(res refund.Result, err error) string {
	code := res.Code
	if c := coded(nil); errors.As(err, &c) {
		code = c.ErrorCode()
	}
	if len(code) > 64 || strings.Trim(code, codeLetters) != "" {
		return other
	}
	return code
}
