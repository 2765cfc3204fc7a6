package wechattest

import "strconv"

// noCash is the coupon_type of coupons that nobody paid for.
const noCash = "NO_CASH"

// Coupon is a coupon that paid a part of an order, or the part of a refund that it gets back.
type Coupon struct {
	// ID is the coupon's number.
	ID string
	// Type is the coupon_type (official document 4011935217): CASH for a coupon that somebody paid
	// for, NO_CASH for one that nobody paid for. The part of a refund that NO_CASH coupons get back
	// costs the merchant nothing.
	Type string
	// Fee is in fen, greater than 0.
	Fee int64
}

// sum returns the sum of the coupons of a type, or of all if kind is empty.
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

// split returns the coupons' parts of a refund: their shares of the payment, rounded so that the
// refund of a whole payment returns whole coupons.
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

// returned returns the amount that a coupon has got back so far.
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

// write adds the coupons of a refund to an answer. suffix is empty in the answer to a refund and
// "_$n" in the answer to a query.
func (r *record) write(m message, suffix string) {
	m["coupon_refund_count"+suffix] = strconv.Itoa(len(r.coupons))
	for i, c := range r.coupons {
		n := suffix + "_" + strconv.Itoa(i)
		m["coupon_refund_id"+n], m["coupon_type"+n] = c.ID, c.Type
		m["coupon_refund_fee"+n] = itoa(c.Fee)
	}
	if len(r.coupons) > 0 {
		m["settlement_refund_fee"+suffix] = itoa(r.settlement)
	}
}

// writeOrder adds the fields of the payment to an answer.
func (a *account) writeOrder(m message) {
	m["transaction_id"], m["out_trade_no"] = a.TransactionID, a.OutTradeNo
	m["total_fee"], m["cash_fee"] = itoa(a.TotalFee), itoa(a.TotalFee-sum(a.Coupons, ""))
	if free := sum(a.Coupons, noCash); free > 0 {
		m["settlement_total_fee"] = itoa(a.TotalFee - free)
	}
}
