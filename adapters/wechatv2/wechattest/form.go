package wechattest

import (
	"strconv"
	"strings"
)

// checkForm returns the service's text for a missing or malformed field, or an empty one (official
// documents 4011935217 for the refund, 4011935218 for the query).
func checkForm(path string, m message) string {
	for _, name := range []string{"appid", "mch_id", "nonce_str", "sign"} {
		if m[name] == "" {
			return "缺少参数" + name
		}
	}
	if t := m["sign_type"]; len(m["nonce_str"]) > 32 || (t != "" && t != signMD5 && t != signHMAC) {
		return "参数格式校验错误"
	}
	if path == PathQuery {
		if m["refund_id"]+m["out_refund_no"]+m["transaction_id"]+m["out_trade_no"] == "" {
			return "缺少参数"
		}
		if offset := m["offset"]; offset != "" && atoi(offset) < 0 {
			return "参数格式校验错误"
		}
		return ""
	}
	return checkRefundForm(m)
}

func checkRefundForm(m message) string {
	switch {
	case m["transaction_id"]+m["out_trade_no"] == "":
		return "缺少参数out_trade_no"
	case m["out_refund_no"] == "":
		return "缺少参数out_refund_no"
	case len(m["transaction_id"]) > 32, !wellFormed(m["out_trade_no"], 32),
		!wellFormed(m["out_refund_no"], 64), len(m["refund_desc"]) > 80, len(m["op_user_id"]) > 32,
		len(m["notify_url"]) > 256, strings.Contains(m["notify_url"], "?"),
		atoi(m["total_fee"]) <= 0, atoi(m["refund_fee"]) <= 0,
		m["refund_fee_type"] != "" && m["refund_fee_type"] != "CNY":
		return "参数格式校验错误"
	}
	switch m["refund_account"] {
	case "", "REFUND_SOURCE_UNSETTLED_FUNDS", "REFUND_SOURCE_RECHARGE_FUNDS":
		return ""
	}
	return "参数格式校验错误"
}

// wellFormed reports whether a number is empty or has only the documented characters.
func wellFormed(number string, most int) bool {
	return len(number) <= most && strings.Trim(number,
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-|*@") == ""
}

// atoi reads a count or an amount in fen. It returns -1 if s is neither.
func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return -1
	}
	return n
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
