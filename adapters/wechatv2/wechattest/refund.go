package wechattest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of the service (official document 4011935217).
const (
	refundWindow = 365 * 24 * time.Hour
	maxRefunds   = 50
	pageSize     = 10
)

// funds is the refund_account that pays all refunds: the available balance.
const funds = "REFUND_SOURCE_RECHARGE_FUNDS"

// refund executes a well-formed refund request. It must be called with s.mu held.
func (s *Server) refund(m message, fault Fault) message {
	a, refusal := s.account(m)
	if a == nil {
		return refusal
	}
	amount, total := atoi(m["refund_fee"]), atoi(m["total_fee"])
	if r := s.book.refunds[m["out_refund_no"]]; r != nil {
		// Before all limits: a repeated request is the same refund.
		switch {
		case r.order != a:
			return s.fail("ERROR", "支付单号校验不一致，请核实后再试")
		case r.Amount != amount || r.total != total:
			return s.mismatch()
		}
		return s.accepted(r)
	}
	r := &record{
		Entry: Entry{OutRefundNo: m["out_refund_no"], Amount: amount},
		order: a, total: total, ends: fault.ends, notifyURL: m["notify_url"],
	}
	r.coupons = a.split(amount)
	r.cash, r.settlement = amount-sum(r.coupons, ""), amount-sum(r.coupons, noCash)
	if refusal := s.limits(r); refusal != nil {
		return refusal
	}
	s.pay(r)
	return s.accepted(r)
}

// account returns the order of a refund, or the refusal if there is none.
func (s *Server) account(m message) (*account, message) {
	a, id := s.book.orders[m["out_trade_no"]], m["transaction_id"]
	if id != "" {
		a = s.book.byID[id]
	}
	switch {
	case a == nil && strings.Trim(id, "0123456789") != "":
		return nil, s.fail("INVALID_TRANSACTIONID", "无效transaction_id")
	case a == nil:
		return nil, s.fail("ORDERNOTEXIST", "订单不存在")
	}
	return a, nil
}

func (s *Server) mismatch() message {
	return s.fail("REFUND_FEE_MISMATCH", "订单金额或退款金额与之前请求不一致，请核实后再试")
}

// limits returns the refusal of a new refund that the order or the merchant's funds do not allow.
func (s *Server) limits(r *record) message {
	switch a, now, gone := r.order, s.now(), r.order.gone(); {
	case r.total != a.TotalFee:
		return s.mismatch()
	case now.Sub(a.PaidAt) > refundWindow:
		return s.fail("TRADE_OVERDUE", "订单已经超过可退款的最大期限")
	case gone >= a.TotalFee:
		return s.fail("ERROR", "订单已全额退款")
	case gone+r.Amount > a.TotalFee:
		return s.fail("INVALID_REQUEST", "refund_fee大于可退金额")
	case len(a.refunds) > 0 &&
		now.Sub(a.refunds[len(a.refunds)-1].AcceptedAt) < s.opts.Spacing:
		return s.fail("FREQUENCY_LIMITED", "频率限制")
	case len(a.refunds) >= maxRefunds:
		return s.fail("INVALID_REQUEST", "部分退款次数超过限制")
	case s.book.balance < r.settlement:
		return s.fail("NOTENOUGH", "基本账户余额不足，请充值后重新发起")
	}
	return nil
}

// pay records a new refund and takes its money.
func (s *Server) pay(r *record) {
	if r.ends == "" {
		r.ends = StatusSuccess
	}
	r.RefundID = fmt.Sprintf("50%027d", len(s.book.ledger)+1)
	r.OutTradeNo, r.Status, r.AcceptedAt = r.order.OutTradeNo, StatusProcessing, s.now()
	r.Payments++
	s.book.balance -= r.settlement
	r.order.refunds = append(r.order.refunds, r)
	s.book.refunds[r.OutRefundNo] = r
	s.book.ledger = append(s.book.ledger, r)
}

// RefundInConsole makes a refund as a person does in the merchant's console, under a number that
// the shop does not know. amount is in fen and greater than 0. The notification says
// VENDOR_PLATFORM. If the service would answer with an err_code, the error names it.
func (s *Server) RefundInConsole(outTradeNo, outRefundNo string, amount int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.book.orders[outTradeNo]
	if a == nil || amount <= 0 || outRefundNo == "" || !wellFormed(outRefundNo, 64) ||
		s.book.refunds[outRefundNo] != nil {
		return fmt.Errorf(
			"refund order %s in the console: unknown order, or invalid amount or number", outTradeNo)
	}
	ans := s.refund(message{
		"out_trade_no": outTradeNo, "out_refund_no": outRefundNo,
		"refund_fee": itoa(amount), "total_fee": itoa(a.TotalFee),
	}, Fault{})
	if ans["result_code"] != "SUCCESS" {
		return fmt.Errorf("refund order %s in the console: %s: %s",
			outTradeNo, ans["err_code"], ans["err_code_des"])
	}
	s.book.refunds[outRefundNo].inConsole = true
	return nil
}

func (s *Server) accepted(r *record) message {
	m := s.success()
	r.order.writeOrder(m)
	m["out_refund_no"], m["refund_id"] = r.OutRefundNo, r.RefundID
	m["refund_fee"], m["cash_refund_fee"] = itoa(r.Amount), itoa(r.cash)
	m["coupon_refund_fee"], m["refund_channel"] = itoa(r.Amount-r.cash), ""
	r.write(m, "")
	return m
}

// query executes a well-formed query. It must be called with s.mu held.
func (s *Server) query(m message) message {
	rows, a, byOrder := s.find(m)
	if len(rows) == 0 {
		return s.fail("REFUNDNOTEXIST", "not exist")
	}
	ans := s.success()
	a.writeOrder(ans)
	var all, cash int64 // of all pages
	for _, r := range rows {
		all += r.Amount
		cash += r.cash
	}
	ans["refund_fee"], ans["cash_refund_fee"] = itoa(all), itoa(cash)
	ans["coupon_refund_fee"] = itoa(all - cash)
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

// find returns the refunds that a query asks about, by the documented priority of the four numbers.
func (s *Server) find(m message) (rows []*record, a *account, byOrder bool) {
	if id := m["refund_id"]; id != "" {
		for _, r := range s.book.ledger {
			if r.RefundID == id {
				return []*record{r}, r.order, false
			}
		}
		return nil, nil, false
	}
	if number := m["out_refund_no"]; number != "" {
		if r := s.book.refunds[number]; r != nil {
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

// row adds one refund to a query's answer. It first ends the refund if it is due.
func (s *Server) row(m message, n string, r *record) {
	s.endDue(r)
	m["out_refund_no_"+n], m["refund_id_"+n] = r.OutRefundNo, r.RefundID
	m["refund_fee_"+n], m["refund_status_"+n] = itoa(r.Amount), r.Status
	m["refund_channel_"+n], m["refund_account_"+n] = "ORIGINAL", funds
	m["coupon_refund_fee_"+n] = itoa(r.Amount - r.cash)
	m["refund_recv_accout_"+n] = receiver
	r.write(m, "_"+n)
	if r.Status == StatusSuccess {
		m["refund_success_time_"+n] = beijing(r.EndedAt)
	}
}

const receiver = "支付用户零钱" // refund_recv_accout, in WeChat Pay's spelling

func beijing(t time.Time) string {
	return t.In(time.FixedZone("UTC+8", 8*60*60)).Format(time.DateTime)
}
