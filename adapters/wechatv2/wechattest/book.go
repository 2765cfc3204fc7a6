package wechattest

import (
	"errors"
	"fmt"
	"time"
)

// The values of refund_status (official document 4011935218).
const (
	// StatusProcessing is a refund under way.
	StatusProcessing = "PROCESSING"
	// StatusSuccess is money returned to the buyer.
	StatusSuccess = "SUCCESS"
	// StatusClosed is a refund that ended without paying: the money is the merchant's again.
	StatusClosed = "REFUNDCLOSE"
	// StatusChange is money that left the merchant and could not reach the buyer.
	StatusChange = "CHANGE"
)

// Order is a paid order that refunds may be made of.
type Order struct {
	// OutTradeNo is the merchant's order number, at most 32 characters.
	OutTradeNo string
	// TransactionID is the service's number; made up where it is empty.
	TransactionID string
	// TotalFee is what the buyer paid, in fen; > 0.
	TotalFee int64
	// PaidAt is when; the server's now where it is zero.
	PaidAt time.Time
	// Coupons are parts of TotalFee that the buyer paid with coupons.
	Coupons []Coupon
	// NotReady has refunds answered ORDER_NOT_READY, AccountClosed USER_ACCOUNT_ABNORMAL; see
	// [Server.ChangeOrder].
	NotReady      bool
	AccountClosed bool
}

// Entry is one refund in the server's ledger.
type Entry struct {
	// OutRefundNo and RefundID name the refund, OutTradeNo its order.
	OutRefundNo string
	RefundID    string
	OutTradeNo  string
	// Amount of the refund, in fen. CashFee is its part without coupons, Settlement what it costs the
	// merchant: all but coupons that nobody paid for.
	Amount     int64
	CashFee    int64
	Settlement int64
	// Account is the funds that it was paid from, REFUND_SOURCE_RECHARGE_FUNDS or
	// REFUND_SOURCE_UNSETTLED_FUNDS.
	Account string
	// InConsole is a refund made with [Server.RefundInConsole].
	InConsole bool
	// Status is PROCESSING, SUCCESS, REFUNDCLOSE or CHANGE.
	Status string
	// Payments counts the times that money left the merchant under this number.
	Payments int
	// AcceptedAt and EndedAt are by the server's clock; EndedAt is zero while the refund is PROCESSING.
	AcceptedAt time.Time
	EndedAt    time.Time
}

// out is the money that left the merchant and did not come back, in fen.
func (e *Entry) out() int64 {
	if e.Status == StatusClosed {
		return 0
	}
	return e.Amount * int64(e.Payments)
}

type account struct {
	Order
	refunds []*record
	busy    bool // a refund is in work; with Options.RefuseConcurrent
}

// gone is the sum of the order's refunds, in fen.
func (a *account) gone() int64 {
	var sum int64
	for _, r := range a.refunds {
		sum += r.out()
	}
	return sum
}

type record struct {
	Entry
	order     *account
	coupons   []Coupon // the part that goes back to each
	total     int64    // total_fee of the request
	ends      string   // the state that PROCESSING turns into
	notifyURL string
	queries   int
}

// book is the merchant's account: it is guarded by Server.mu.
type book struct {
	balance   int64
	unsettled int64
	orders    map[string]*account // by out_trade_no
	byID      map[string]*account // by transaction_id
	refunds   map[string]*record  // by out_refund_no
	ledger    []*record           // oldest first
}

func newBook(balance, unsettled int64) book {
	return book{
		balance: balance, unsettled: unsettled, orders: map[string]*account{}, byID: map[string]*account{}, refunds: map[string]*record{},
	}
}

// AddOrder registers a paid order. It is an error if the order is incomplete or a number is taken.
func (s *Server) AddOrder(o Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.TransactionID == "" {
		o.TransactionID = fmt.Sprintf("42%026d", len(s.book.orders)+1)
	}
	if o.PaidAt.IsZero() {
		o.PaidAt = s.now()
	}
	switch {
	case o.OutTradeNo == "" || !wellFormed(o.OutTradeNo, 32):
		return fmt.Errorf("add order %q: not an order number", o.OutTradeNo)
	case o.TotalFee <= 0:
		return fmt.Errorf("add order %s: total fee must be greater than 0", o.OutTradeNo)
	case !fit(o.Coupons, o.TotalFee):
		return fmt.Errorf("add order %s: coupons must be above 0 and at most the total together", o.OutTradeNo)
	case s.book.orders[o.OutTradeNo] != nil || s.book.byID[o.TransactionID] != nil:
		return fmt.Errorf("add order %s: number is taken", o.OutTradeNo)
	}
	o.Coupons = append([]Coupon(nil), o.Coupons...)
	a := &account{Order: o}
	s.book.orders[o.OutTradeNo], s.book.byID[o.TransactionID] = a, a
	return nil
}

// ChangeOrder changes what stands in the way of an order's refunds.
func (s *Server) ChangeOrder(outTradeNo string, notReady, accountClosed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.book.orders[outTradeNo]
	if a == nil {
		return fmt.Errorf("change order %s: there is none", outTradeNo)
	}
	a.NotReady, a.AccountClosed = notReady, accountClosed
	return nil
}

// SetUnsettled sets the money of unsettled payments, in fen; it matters with Options.OldFundFlow.
func (s *Server) SetUnsettled(fen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.unsettled = fen
}

// SetBalance sets the merchant's money, in fen.
func (s *Server) SetBalance(fen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.balance = fen
}

// TopUp adds to the merchant's money, in fen.
func (s *Server) TopUp(fen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.balance += fen
}

// Balance is the merchant's money, in fen.
func (s *Server) Balance() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.balance
}

// Ledger lists every refund, oldest first.
func (s *Server) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make([]Entry, 0, len(s.book.ledger))
	for _, r := range s.book.ledger {
		entries = append(entries, r.Entry)
	}
	return entries
}

// Paid is the money, in fen, that left the merchant under a refund number and did not come back.
func (s *Server) Paid(outRefundNo string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.book.refunds[outRefundNo]; r != nil {
		return r.out()
	}
	return 0
}

// PaidTotal is the money, in fen, that left the merchant for an order and did not come back.
func (s *Server) PaidTotal(outTradeNo string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.book.orders[outTradeNo]; a != nil {
		return a.gone()
	}
	return 0
}

// Settle ends a refund now, as [StatusSuccess], [StatusClosed] or [StatusChange]. It also moves a refund
// from CHANGE to SUCCESS or REFUNDCLOSE, as a person does in the merchant's console.
func (s *Server) Settle(outRefundNo, status string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.book.refunds[outRefundNo]
	switch {
	case r == nil:
		return fmt.Errorf("settle refund %s: not in the ledger", outRefundNo)
	case status != StatusSuccess && status != StatusClosed && status != StatusChange:
		return errors.New("settle refund " + outRefundNo + ": not a final status: " + status)
	case r.Status != StatusProcessing && r.Status != StatusChange:
		return fmt.Errorf("settle refund %s: has ended as %s", outRefundNo, r.Status)
	}
	s.end(r, status)
	return nil
}

// end must be called with s.mu held.
func (s *Server) end(r *record, status string) {
	if status == StatusClosed {
		*s.book.funds(r.Account) += r.Settlement
	}
	r.Status, r.EndedAt = status, s.now()
	s.announce(r)
}

// endDue ends a refund whose time has come. It must be called with s.mu held.
func (s *Server) endDue(r *record) {
	if r.Status == StatusProcessing && r.queries >= s.opts.ProcessingQueries &&
		s.now().Sub(r.AcceptedAt) >= s.opts.SettleAfter {
		s.end(r, r.ends)
	}
}

// funds is where refunds from an account are paid from.
func (b *book) funds(account string) *int64 {
	if account == accountUnsettled {
		return &b.unsettled
	}
	return &b.balance
}
