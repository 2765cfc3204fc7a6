package otelrefund

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// class is a kind of error. The text of an error is not recorded, because people may have written
// into it.
type class struct {
	is   error
	name string // the value of error.type
	// refusal means that the command was refused and nothing is broken.
	refusal bool
}

// classes are in the order of the search, because an error may be of several classes.
var classes = []class{
	{refund.ErrHookPanic, "hook_panic", false},
	{order.ErrVetoed, "vetoed", true},
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
	{order.ErrRefundNotFound, "refund_not_found", true},
	{refund.ErrExists, "exists", true},
	{order.ErrAmount, "amount", true},
	{refund.ErrLimit, "limit", true},
	{order.ErrTransition, "transition", true},
	{order.ErrConflict, "conflict", true},
	{order.ErrInvalid, "invalid", true},
}

// The values of error.type for errors without a class.
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

// other replaces a code that is not recorded.
const other = "other"

// codeLetters are the characters of a code.
const codeLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// mostCodes bounds the values of orderfsm.code in metrics. WeChat Pay v2 documents about thirty.
const mostCodes = 100

// codes are the codes that metrics contain.
type codes struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// bounded returns code, or other if metrics contain mostCodes others.
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

// coded is an error with the provider's code.
type coded interface {
	error
	ErrorCode() string
}

// codeOf returns the provider's code of an answer. It returns other if it does not look like a
// code, and "" if there is none.
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
