package order

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the input, in bytes of UTF-8 (MaxAmount: minor units).
const (
	// MaxID bounds an order's ID and a payment ID. MaxRefundNo bounds a refund number (as at
	// WeChat).
	MaxID       = 64
	MaxRefundNo = 64
	// MaxName bounds the name of a gateway.
	MaxName = 32
	// MaxActor bounds an Actor.
	MaxActor = 128
	// MaxText bounds a reason and a note.
	MaxText = 4096
	// MaxCode bounds a refund's ProviderRefundID and Code. MaxMessage bounds its Message. Longer
	// text from a provider is cut to these limits, so that it cannot stop an outcome from being
	// recorded.
	MaxCode    = 128
	MaxMessage = 500
	// MaxAmount bounds an order's total and a refund's amount, so that no sum of them overflows.
	MaxAmount int64 = 1_000_000_000_000_000
)

// validateRefundNo returns nil if number has the form of Refund.No, and otherwise an InvalidError.
func validateRefundNo(number string) error {
	if number == "" || len(number) > MaxRefundNo {
		return invalid("refund_no", "must have 1 to %d characters, has %d", MaxRefundNo, len(number))
	}
	for i := range len(number) {
		switch c := number[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		case strings.IndexByte("_-|*@", c) >= 0:
		default:
			return invalid("refund_no", "may hold only A-Z, a-z, 0-9 and _ - | * @")
		}
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Validate checks the fields that an order is registered with: ID, Gateway, PaymentID, Currency and
// Total. Its error is an [*InvalidError]. [Machine.Verify] checks the rest.
func (o *Order) Validate() error {
	if err := checkID("id", o.ID, 1); err != nil {
		return err
	}
	if err := checkID("payment_id", o.PaymentID, 0); err != nil {
		return err
	}
	if !isGatewayName(o.Gateway) {
		return invalid("gateway", "must be 1 to %d of a-z, 0-9 and _ - .", MaxName)
	}
	if len(o.Currency) != 3 || strings.Trim(o.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return invalid("currency", "must be an ISO 4217 code of three capitals")
	}
	if o.Total <= 0 || o.Total > MaxAmount {
		return invalid("total", "must be from 1 to %d minor units, is %d", MaxAmount, o.Total)
	}
	return nil
}

func isGatewayName(s string) bool {
	return s != "" && len(s) <= MaxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == ""
}

// checkID accepts printable text without leading and trailing spaces, which some databases ignore
// in comparisons.
func checkID(field, s string, least int) error {
	if len(s) < least || len(s) > MaxID {
		return invalid(field, "must have %d to %d bytes, has %d", least, MaxID, len(s))
	}
	return checkLine(field, s)
}

// isPrintableASCII is the fast path of the checks: most input needs no other.
func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func checkLine(field, s string) error {
	if isPrintableASCII(s) && strings.Trim(s, " ") == s {
		return nil
	}
	if !utf8.ValidString(s) {
		return invalid(field, "is not valid UTF-8")
	}
	if strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(field, "must not contain control characters or begin or end with a space")
	}
	return nil
}

func checkText(field, s string) error {
	if len(s) > MaxText {
		return invalid(field, "must have at most %d bytes, has %d", MaxText, len(s))
	}
	if isPrintableASCII(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return invalid(field, "is not valid UTF-8")
	}
	isControl := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	}
	if strings.ContainsFunc(s, isControl) {
		return invalid(field, "must not contain control characters")
	}
	return nil
}

func (in *Trigger) validate() error {
	if err := validateRefundNo(in.RefundNo); err != nil {
		return err
	}
	if in.Actor == "" || len(in.Actor) > MaxActor {
		return invalid("actor", "must have 1 to %d bytes, has %d", MaxActor, len(in.Actor))
	}
	if err := checkLine("actor", string(in.Actor)); err != nil {
		return err
	}
	if err := checkText("note", in.Note); err != nil {
		return err
	}
	if in.creates() {
		if err := checkText("reason", in.Reason); err != nil {
			return err
		}
	}
	if y := in.At.UTC().Year(); in.At.IsZero() || y < 1 || y > 9999 {
		return invalid("at", "must be set, and within the years 1 to 9999 that JSON and databases hold")
	}
	return nil
}
