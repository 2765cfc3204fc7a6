package wechattest

import (
	"fmt"
	"strconv"
	"time"
)

// Limits of the service (official document 4011935217).
const (
	refundWindow = 365 * 24 * time.Hour
	maxRefunds   = 50
	pageSize     = 10
)

// refund executes a well-formed refund request. It must be called with s.mu held.
func (s *Server) refund(m message, ends string) message {
	a := s.book.orders[m["out_trade_no"]]
	if id := m["transaction_id"]; id != "" {
		a = s.book.byID[id]
	}
	if a == nil {
		return s.fail("ORDERNOTEXIST", "订单不存在")
	}
	amount, total := atoi(m["refund_fee"]), atoi(m["total_fee"])
	if r := s.book.refunds[m["out_refund_no"]]; r != nil {
		// Before every limit: the same refund asked for again is the same refund.
		switch {
		case r.order != a:
			return s.fail("ERROR", "支付单号校验不一致，请核实后再试")
		case r.Amount != amount || r.total != total:
			return s.fail("REFUND_FEE_MISMATCH", "订单金额或退款金额与之前请求不一致，请核实后再试")
		}
		return s.accepted(r)
	}
	if refusal := s.limits(a, amount, total); refusal != nil {
		return refusal
	}
	if ends == "" {
		ends = StatusSuccess
	}
	r := &record{
		Entry: Entry{
			OutRefundNo: m["out_refund_no"], RefundID: fmt.Sprintf("50%027d", len(s.book.ledger)+1),
			OutTradeNo: a.OutTradeNo, Amount: amount, Status: StatusProcessing, AcceptedAt: s.now(),
		},
		order: a, total: total, ends: ends,
	}
	s.book.balance -= amount
	r.Payments++
	a.refunds = append(a.refunds, r)
	s.book.refunds[r.OutRefundNo] = r
	s.book.ledger = append(s.book.ledger, r)
	return s.accepted(r)
}

// limits answers a new refund that the order or the merchant's funds do not allow.
func (s *Server) limits(a *account, amount, total int64) message {
	switch now, gone := s.now(), a.gone(); {
	case total != a.TotalFee:
		return s.fail("REFUND_FEE_MISMATCH", "订单金额或退款金额与之前请求不一致，请核实后再试")
	case now.Sub(a.PaidAt) > refundWindow:
		return s.fail("TRADE_OVERDUE", "订单已经超过可退款的最大期限")
	case gone >= a.TotalFee:
		return s.fail("ERROR", "订单已全额退款")
	case gone+amount > a.TotalFee:
		return s.fail("INVALID_REQUEST", "refund_fee大于可退金额")
	case len(a.refunds) > 0 && now.Sub(a.refunds[len(a.refunds)-1].AcceptedAt) < s.opts.Spacing:
		return s.fail("FREQUENCY_LIMITED", "频率限制")
	case len(a.refunds) >= maxRefunds:
		return s.fail("INVALID_REQUEST", "部分退款次数超过限制")
	case s.book.balance < amount:
		return s.fail("NOTENOUGH", "基本账户余额不足，请充值后重新发起")
	}
	return nil
}

func (s *Server) accepted(r *record) message {
	m := s.success()
	m["transaction_id"], m["out_trade_no"] = r.order.TransactionID, r.OutTradeNo
	m["out_refund_no"], m["refund_id"] = r.OutRefundNo, r.RefundID
	m["refund_fee"], m["total_fee"] = itoa(r.Amount), itoa(r.order.TotalFee)
	m["cash_fee"], m["cash_refund_fee"] = m["total_fee"], m["refund_fee"]
	m["coupon_refund_count"], m["coupon_refund_fee"], m["refund_channel"] = "0", "0", ""
	return m
}

// query executes a well-formed query. It must be called with s.mu held.
func (s *Server) query(m message) message {
	rows, a, byOrder := s.find(m)
	if len(rows) == 0 {
		return s.fail("REFUNDNOTEXIST", "not exist")
	}
	ans := s.success()
	ans["transaction_id"], ans["out_trade_no"] = a.TransactionID, a.OutTradeNo
	ans["total_fee"], ans["cash_fee"] = itoa(a.TotalFee), itoa(a.TotalFee)
	var sum int64
	for _, r := range rows {
		sum += r.Amount
	}
	ans["refund_fee"] = itoa(sum) // of all pages
	if byOrder {
		offset := 0
		if m["offset"] != "" {
			offset = int(min(atoi(m["offset"]), int64(len(rows)+1)))
		}
		if offset > len(rows) {
			return s.fail("PARAM_ERROR", "offset参数错误")
		}
		if len(rows) > pageSize || m["offset"] != "" {
			ans["total_refund_count"] = strconv.Itoa(len(rows))
		}
		rows = rows[offset:min(offset+pageSize, len(rows))]
	}
	for i, r := range rows {
		s.row(ans, strconv.Itoa(i), r)
	}
	ans["refund_count"] = strconv.Itoa(len(rows))
	return ans
}

// find follows the documented priority of the four numbers.
func (s *Server) find(m message) (rows []*record, a *account, byOrder bool) {
	if id := m["refund_id"]; id != "" {
		for _, r := range s.book.ledger {
			if r.RefundID == id {
				return []*record{r}, r.order, false
			}
		}
		return nil, nil, false
	}
	if no := m["out_refund_no"]; no != "" {
		if r := s.book.refunds[no]; r != nil {
			return []*record{r}, r.order, false
		}
		return nil, nil, false
	}
	a = s.book.orders[m["out_trade_no"]]
	if id := m["transaction_id"]; id != "" {
		a = s.book.byID[id]
	}
	if a == nil {
		return nil, nil, true
	}
	return a.refunds, a, true
}

// row writes one refund of a query's answer. Being asked for is what ends a refund.
func (s *Server) row(m message, n string, r *record) {
	if r.Status == StatusProcessing && r.queries >= s.opts.ProcessingQueries &&
		s.now().Sub(r.AcceptedAt) >= s.opts.SettleAfter {
		s.end(r, r.ends)
	}
	r.queries++
	m["out_refund_no_"+n], m["refund_id_"+n] = r.OutRefundNo, r.RefundID
	m["refund_fee_"+n], m["refund_status_"+n] = itoa(r.Amount), r.Status
	m["refund_channel_"+n], m["refund_account_"+n] = "ORIGINAL", "REFUND_SOURCE_UNSETTLED_FUNDS"
	m["refund_recv_accout_"+n] = "支付用户零钱" // spelled so on the wire
	if r.Status == StatusSuccess {
		beijing := time.FixedZone("UTC+8", 8*60*60)
		m["refund_success_time_"+n] = r.EndedAt.In(beijing).Format(time.DateTime)
	}
}
