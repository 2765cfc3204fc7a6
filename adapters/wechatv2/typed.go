package wechatv2

import (
	"strconv"
	"strings"
	"time"
)

// Status is a refund's refund_status (official document 4011935218). The set is open: WeChat Pay may add to it.
type Status string

// The documented statuses.
const (
	// StatusProcessing is a refund under way.
	StatusProcessing Status = "PROCESSING"
	// StatusSuccess is money returned. It is final.
	StatusSuccess Status = "SUCCESS"
	// StatusClosed is a refund that ended without paying. It is final for its number.
	StatusClosed Status = "REFUNDCLOSE"
	// StatusChange is money that left the merchant and could not reach the buyer; a person sees to it in
	// the merchant platform.
	StatusChange Status = "CHANGE"
)

// Channel is the way the money went back, refund_channel (4011935218). The set is open.
type Channel string

// The documented channels.
const (
	// ChannelOriginal is the way the buyer paid.
	ChannelOriginal Channel = "ORIGINAL"
	// ChannelBalance is the buyer's balance, because the original way did not work.
	ChannelBalance Channel = "BALANCE"
	// ChannelOtherBalance is the balance of another account of the buyer.
	ChannelOtherBalance Channel = "OTHER_BALANCE"
	// ChannelOtherBankcard is another bank card of the buyer.
	ChannelOtherBankcard Channel = "OTHER_BANKCARD"
)

// CouponType tells who paid for a coupon (4011935217). The set is open.
type CouponType string

// The documented coupon types.
const (
	// CouponCash is a coupon that was paid for.
	CouponCash CouponType = "CASH"
	// CouponNoCash is a coupon that nobody paid for: its part of a refund is not settled.
	CouponNoCash CouponType = "NO_CASH"
)

// Coupon is the part of a refund that goes back to one coupon.
type Coupon struct {
	// ID is coupon_refund_id.
	ID   string
	Type CouponType
	// RefundFee is the amount, in fen.
	RefundFee int64
}

// maxCoupons bounds the coupons of one refund, whatever their number is said to be.
const maxCoupons = 100

// coupons reads a family of coupons: coupon_refund_id_$n in the answer to a refund (prefix "_"), and
// coupon_refund_id_$n_$m in row n of the answer to a query (prefix "_$n_").
func (f fields) coupons(prefix string) []Coupon {
	var all []Coupon
	count := f.fen("coupon_refund_count" + strings.TrimSuffix(prefix, "_"))
	for n := range int64(maxCoupons) {
		suffix := prefix + strconv.FormatInt(n, 10)
		c := Coupon{
			ID: f["coupon_refund_id"+suffix], Type: CouponType(f["coupon_type"+suffix]),
			RefundFee: f.fen("coupon_refund_fee" + suffix),
		}
		if c != (Coupon{}) {
			all = append(all, c)
		} else if n >= count {
			break
		}
	}
	return all
}

// fen is an amount that decides nothing, so that one which is missing or cannot be read is 0. What decides
// is compared as text.
func (f fields) fen(name string) int64 {
	n, _ := parseNumber(f[name])
	return n
}

// parseNumber reads an amount or a count: decimal digits only, at most the largest int64.
func parseNumber(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63) // no sign, unlike ParseInt
	if err != nil {
		return 0, false
	}
	return int64(n), true
}

// public is what a host may see of an answer: all but its signature, which is nobody's business.
func (f fields) public() map[string]string {
	m := make(map[string]string, len(f))
	for name, value := range f {
		if name != "sign" && name != "nonce_str" {
			m[name] = value
		}
	}
	return m
}

// beijing reads WeChat Pay's times, which are UTC+8 all year. One that cannot be read is zero: that money
// was returned is worth more than when.
func beijing(s string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, s, time.FixedZone("UTC+8", 8*60*60))
	if err != nil || t.Format(time.DateTime) != s { // package time also takes 1:02:03 and fractions
		return time.Time{}
	}
	return t.UTC()
}
