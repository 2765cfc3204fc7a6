package wechatv2

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// currency is the only currency of payments in mainland China.
	currency = "CNY"
	// numberChars are allowed in order and refund numbers, besides letters and digits.
	numberChars = "_-|*@"
)

// Check implements [refund.Checker] with the forms of official document 4011935217. Its faults are
// [*order.InvalidError], joined. If PaymentID is set, it alone names the order to WeChat Pay, and
// OrderID is not compared with the answers. OrderID should still be the out_trade_no, because
// notifications name that. If it is another number, notifications match no refund, and only polling
// confirms the refund.
func (g *Gateway) Check(req refund.Request) error {
	faults := append(make([]error, 0, 4), checkSubject(req))
	if req.Total <= 0 {
		faults = append(faults, invalid("total", "must be greater than 0"))
	}
	if req.Amount <= 0 || req.Amount > req.Total {
		faults = append(faults, invalid("amount", "must be greater than 0 and not above the total"))
	}
	return errors.Join(append(faults, checkCurrency(req.Currency))...)
}

func checkCurrency(c string) error {
	if c != currency {
		return invalid("currency", "must be %s", currency)
	}
	return nil
}

// checkSubject checks the numbers that name a refund and its order.
func checkSubject(req refund.Request) error {
	err := checkOrder(req)
	if !isNumber(req.RefundNo, 64) {
		form := "must be 1 to 64 letters, digits and %s"
		err = errors.Join(invalid("refund_no", form, numberChars), err)
	}
	return err
}

// checkOrder checks the number that names an order: PaymentID, or OrderID if there is none.
func checkOrder(req refund.Request) error {
	switch {
	case req.PaymentID != "" && !isPaymentID(req.PaymentID):
		return invalid("payment_id", "must be at most 32 letters and digits")
	case req.PaymentID == "" && !isNumber(req.OrderID, 32):
		return invalid("order_id", "must be 1 to 32 letters, digits and %s", numberChars)
	}
	return nil
}

func isNumber(s string, most int) bool { return s != "" && len(s) <= most && plain(s, numberChars) }

func isPaymentID(s string) bool { return len(s) <= 32 && plain(s, "") }

// plain reports whether s has only ASCII letters, digits and the characters of extra.
func plain(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if ('0' > c || c > '9') && ('A' > c || c > 'Z') && ('a' > c || c > 'z') &&
			strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

// amount writes an amount as WeChat Pay does: in fen, decimal.
func amount(fen int64) string { return strconv.FormatInt(fen, 10) }

// maxDesc is the length of refund_desc in bytes.
const maxDesc = 80

// refundDesc makes a refund_desc of a reason: one line of at most maxDesc bytes, without characters
// that XML or WeChat Pay does not accept (those of four bytes).
func refundDesc(reason string) string {
	reason = clip(reason, 16*maxDesc) // a huge reason costs nothing
	reason = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < 0x20, r == 0x7F, r == utf8.RuneError, r >= 0xFFFE:
			return -1
		}
		return r
	}, reason)
	return strings.TrimSpace(clip(strings.TrimSpace(reason), maxDesc))
}
