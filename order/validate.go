package order

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the input, in bytes of UTF-8 (MaxAmount: minor units).
const (
	// MaxID bounds an order's ID and a payment ID; MaxRefundNo a refund number (WeChat takes 64).
	MaxID       = 64
	MaxRefundNo = 64
	// MaxName bounds the name of a gateway.
	MaxName = 32
	// MaxActor bounds an Actor.
	MaxActor = 128
	// MaxText bounds a reason and a note.
	MaxText = 4096
	// MaxCode bounds what the provider calls things: a refund's ProviderRefundID, Code and Recipient. MaxMessage bounds its
	// Message. Longer words of a provider are cut to these before they are stored, so that none of them
	// keeps an outcome from being booked.
	MaxCode    = 128
	MaxMessage = 500
	// MaxAmount bounds an order's total and a refund's amount, so that no sum of them overflows.
	MaxAmount int64 = 1_000_000_000_000_000
)

// ValidateRefundNo returns nil if no can be a refund number with every provider: 1 to 64 of A-Z, a-z, 0-9
// and _ - | * @ (WeChat's out_refund_no), else an [*InvalidError] for the field refund_no.
func ValidateRefundNo(no string) error {
	if no == "" || len(no) > MaxRefundNo {
		return &InvalidError{"refund_no", fmt.Sprintf("must have 1 to %d characters, has %d", MaxRefundNo, len(no))}
	}
	for i := range len(no) {
		c := no[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("_-|*@", c) < 0 {
			return &InvalidError{"refund_no", "may hold only A-Z, a-z, 0-9 and _ - | * @"}
		}
	}
	return nil
}

// Validate checks the fields that an order is registered with: ID, Gateway, PaymentID, Currency and Total.
// Its error is an [*InvalidError]. See [Machine.Verify] for the rest.
func (o *Order) Validate() error {
	if err := checkID("id", o.ID, 1); err != nil {
		return err
	}
	if err := checkID("payment_id", o.PaymentID, 0); err != nil {
		return err
	}
	if !isGatewayName(o.Gateway) {
		return &InvalidError{"gateway", fmt.Sprintf("must be 1 to %d of a-z, 0-9 and _ - .", MaxName)}
	}
	if len(o.Currency) != 3 || strings.Trim(o.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return &InvalidError{"currency", "must be an ISO 4217 code of three capitals"}
	}
	if o.Total <= 0 || o.Total > MaxAmount {
		return &InvalidError{"total", fmt.Sprintf("must be from 1 to %d minor units, is %d", MaxAmount, o.Total)}
	}
	return nil
}

func isGatewayName(s string) bool {
	return s != "" && len(s) <= MaxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == ""
}

// checkID takes printable text without spaces at its ends, which some databases do not tell apart.
func checkID(field, s string, least int) error {
	if len(s) < least || len(s) > MaxID {
		return &InvalidError{field, fmt.Sprintf("must have %d to %d bytes, has %d", least, MaxID, len(s))}
	}
	return checkLine(field, s)
}

// ascii reports whether s is nothing but printable ASCII: most input, and then there is no more to check.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func checkLine(field, s string) error {
	if ascii(s) && strings.Trim(s, " ") == s {
		return nil
	}
	if !utf8.ValidString(s) {
		return &InvalidError{field, "is not valid UTF-8"}
	}
	if strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl) {
		return &InvalidError{field, "must not contain control characters or begin or end with a space"}
	}
	return nil
}

func checkText(field, s string) error {
	if len(s) > MaxText {
		return &InvalidError{field, fmt.Sprintf("must have at most %d bytes, has %d", MaxText, len(s))}
	}
	if ascii(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return &InvalidError{field, "is not valid UTF-8"}
	}
	isBad := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
	if strings.ContainsFunc(s, isBad) {
		return &InvalidError{field, "must not contain control characters"}
	}
	return nil
}

func (f *Trigger) validate() error {
	if err := ValidateRefundNo(f.RefundNo); err != nil {
		return err
	}
	if f.Actor == "" || len(f.Actor) > MaxActor {
		return &InvalidError{"actor", fmt.Sprintf("must have 1 to %d bytes, has %d", MaxActor, len(f.Actor))}
	}
	if err := checkLine("actor", string(f.Actor)); err != nil {
		return err
	}
	if err := checkText("note", f.Note); err != nil {
		return err
	}
	if f.creates() {
		if err := checkText("reason", f.Reason); err != nil {
			return err
		}
	}
	if y := f.At.UTC().Year(); f.At.IsZero() || y < 1 || y > 9999 {
		return &InvalidError{"at", "must be set, and within the years 1 to 9999 that JSON and databases hold"}
	}
	return nil
}
