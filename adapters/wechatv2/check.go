package wechatv2

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/orderfsm/orderfsm/refund"
)

const (
	// currency is the only one that payments in mainland China are made in.
	currency = "CNY"
	// numberChars are allowed in order and refund numbers beside letters and digits.
	numberChars = "_-|*@"
)

// Check implements [refund.Checker]: the forms are those of official document 4011935217. Its faults are
// [*order.InvalidError], joined. Where there is a PaymentID it alone names the order to WeChat Pay, and OrderID
// is not compared with the answers: it should be the out_trade_no all the same, because notifications name
// that; without it they are unknown ones, and the refund is confirmed by polling only.
func (g *Gateway) Check(req refund.Request) error {
	faults := []error{checkSubject(req.RefundNo, req.OrderID, req.PaymentID)}
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

// checkSubject checks the numbers that name a refund.
func checkSubject(refundNo, orderID, paymentID string) error {
	var faults []error
	if refundNo == "" || len(refundNo) > 64 || !plain(refundNo, numberChars) {
		faults = append(faults, invalid("refund_no", "must be 1 to 64 letters, digits and %s", numberChars))
	}
	return errors.Join(append(faults, checkOrder(orderID, paymentID))...)
}

// checkOrder checks the number that names an order: the payment's, where there is one.
func checkOrder(orderID, paymentID string) error {
	if paymentID != "" {
		if len(paymentID) > 32 || !plain(paymentID, "") {
			return invalid("payment_id", "must be at most 32 letters and digits")
		}
		return nil
	}
	if orderID == "" || len(orderID) > 32 || !plain(orderID, numberChars) {
		return invalid("order_id", "must be 1 to 32 letters, digits and %s", numberChars)
	}
	return nil
}

// maxDesc is the length of refund_desc in bytes.
const maxDesc = 80

// describe makes a reason fit for refund_desc: without what XML cannot hold and what WeChat Pay does not
// take (characters of four bytes), in one line, cut to its length.
func describe(reason string) string {
	// Long before the cut, so that a huge reason costs nothing.
	reason = clip(reason, 16*maxDesc)
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
