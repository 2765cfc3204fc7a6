package wechattest

import "strconv"

// The values of coupon_type (official document 4011935217).
const (
	// CouponCash is a coupon that was paid for.
	CouponCash = "CASH"
	// CouponNoCash is a coupon that nobody paid for: its part of a refund costs the merchant nothing.
	CouponNoCash = "NO_CASH"
)

// Coupon is a coupon that an order was paid with, or the part of a refund that goes back to it.
type Coupon struct {
	// ID is the coupon's number.
	ID string
	// Type is CouponCash or CouponNoCash.
	Type string
	// Fee is in fen; > 0.
	Fee int64
}

// sum adds coupons up: all of them, or those of a type.
func sum(coupons []Coupon, kind string) int64 {
	var fen int64
	for _, c := range coupons {
		if kind == "" || c.Type == kind {
			fen += c.Fee
		}
	}
	return fen
}

// fit reports whether coupons may be parts of a payment.
func fit(coupons []Coupon, total int64) bool {
	for _, c := range coupons {
		if c.Fee <= 0 || c.Fee > total {
			return false
		}
		total -= c.Fee
	}
	return true
}

// split returns the coupons' parts of a refund: their shares of the payment, rounded so that a whole payment
// gives whole coupons back.
func (a *account) split(amount int64) []Coupon {
	var parts []Coupon
	gone, rest := a.gone(), amount
	for _, c := range a.Coupons {
		fee := (gone+amount)*c.Fee/a.TotalFee - a.returned(c.ID)
		if fee = min(max(fee, 0), rest); fee > 0 {
			parts = append(parts, Coupon{ID: c.ID, Type: c.Type, Fee: fee})
			rest -= fee
		}
	}
	return parts
}

// returned is what went back to a coupon so far.
func (a *account) returned(id string) int64 {
	var fen int64
	for _, r := range a.refunds {
		if r.Status == StatusClosed {
			continue
		}
		for _, c := range r.coupons {
			if c.ID == id {
				fen += c.Fee
			}
		}
	}
	return fen
}

// write adds the coupons of a refund to an answer: suffix is empty in a refund's, "_$n" in a query's.
func (r *record) write(m message, suffix string) {
	m["coupon_refund_count"+suffix] = strconv.Itoa(len(r.coupons))
	for i, c := range r.coupons {
		n := suffix + "_" + strconv.Itoa(i)
		m["coupon_refund_id"+n], m["coupon_type"+n], m["coupon_refund_fee"+n] = c.ID, c.Type, itoa(c.Fee)
	}
	if len(r.coupons) > 0 {
		m["settlement_refund_fee"+suffix] = itoa(r.Settlement)
	}
}

// writeOrder adds what an answer says of the payment.
func (a *account) writeOrder(m message) {
	m["transaction_id"], m["out_trade_no"] = a.TransactionID, a.OutTradeNo
	m["total_fee"], m["cash_fee"] = itoa(a.TotalFee), itoa(a.TotalFee-sum(a.Coupons, ""))
	if free := sum(a.Coupons, CouponNoCash); free > 0 {
		m["settlement_total_fee"] = itoa(a.TotalFee - free)
	}
}
