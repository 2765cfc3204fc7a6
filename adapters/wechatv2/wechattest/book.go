package wechattest

import (
	"errors"
	"fmt"
	"time"
)

// The values of refund_status (official document 4011935218).
const (
	// StatusProcessing means that the refund is on its way.
	StatusProcessing = "PROCESSING"
	// StatusSuccess means that the money is with the buyer.
	StatusSuccess = "SUCCESS"
	// StatusClosed means that the refund ended without paying: the merchant has the money again.
	StatusClosed = "REFUNDCLOSE"
	// StatusChange means that the money left the merchant and could not reach the buyer.
	StatusChange = "CHANGE"
)

// Order is a paid order.
type Order struct {
	// OutTradeNo is the merchant's order number, at most 32 characters.
	OutTradeNo string
	// TransactionID is the service's number. If empty, an invented one.
	TransactionID string
	// TotalFee is the amount that the buyer paid, in fen. It must be greater than 0.
	TotalFee int64
	// PaidAt is the time of the payment. If zero, the server's time.
	PaidAt time.Time
	// Coupons are parts of TotalFee that the buyer paid with coupons.
	Coupons []Coupon
}

// Entry is one refund in the server's ledger.
type Entry struct {
	// OutRefundNo and RefundID name the refund, OutTradeNo its order.
	OutRefundNo string
	RefundID    string
	OutTradeNo  string
	// Amount of the refund, in fen.
	Amount int64
	// Status is PROCESSING, SUCCESS, REFUNDCLOSE or CHANGE.
	Status string
	// Payments is how often money left the merchant under this number.
	Payments int
	// AcceptedAt and EndedAt are by the server's clock; EndedAt is zero while the refund is
	// PROCESSING.
	AcceptedAt time.Time
	EndedAt    time.Time
}

// out returns the money that left the merchant and did not come back, in fen.
func (e *Entry) out() int64 {
	if e.Status == StatusClosed {
		return 0
	}
	return e.Amount * int64(e.Payments)
}

type account struct {
	Order
	refunds []*record
	busy    bool // a call for a refund is running; with Options.RefuseConcurrent
}

// gone returns the sum of the order's refunds, in fen.
func (a *account) gone() int64 {
	var sum int64
	for _, r := range a.refunds {
		sum += r.out()
	}
	return sum
}

type record struct {
	Entry
	order      *account
	coupons    []Coupon // the part of each
	cash       int64    // the part without coupons, in fen
	settlement int64    // the cost for the merchant: all except coupons that nobody paid for
	total      int64    // total_fee of the request
	ends       string   // the status after PROCESSING
	notifyURL  string
	inConsole  bool // a refund of Server.RefundInConsole
}

// book is the merchant's account. Server.mu guards it.
type book struct {
	balance int64
	orders  map[string]*account // by out_trade_no
	byID    map[string]*account // by transaction_id
	refunds map[string]*record  // by out_refund_no
	ledger  []*record           // oldest first
}

func newBook() book {
	return book{
		balance: 100_000_000_00,
		orders:  map[string]*account{}, byID: map[string]*account{}, refunds: map[string]*record{},
	}
}

// AddOrder registers a paid order. It returns an error if the order is incomplete or one of its
// numbers is taken.
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
		return fmt.Errorf("add order %s: coupons must be greater than 0 and in sum at most the total",
			o.OutTradeNo)
	case s.book.orders[o.OutTradeNo] != nil || s.book.byID[o.TransactionID] != nil:
		return fmt.Errorf("add order %s: number is taken", o.OutTradeNo)
	}
	o.Coupons = append([]Coupon(nil), o.Coupons...)
	a := &account{Order: o}
	s.book.orders[o.OutTradeNo], s.book.byID[o.TransactionID] = a, a
	return nil
}

// SetBalance sets the merchant's money, in fen. A new server has 100 million yuan.
func (s *Server) SetBalance(fen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.balance = fen
}

// Balance returns the merchant's money, in fen.
func (s *Server) Balance() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.balance
}

// Ledger returns every refund, oldest first.
func (s *Server) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make([]Entry, 0, len(s.book.ledger))
	for _, r := range s.book.ledger {
		entries = append(entries, r.Entry)
	}
	return entries
}

// Paid returns the money, in fen, that left the merchant under a refund number and did not come
// back.
func (s *Server) Paid(outRefundNo string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.book.refunds[outRefundNo]; r != nil {
		return r.out()
	}
	return 0
}

// PaidTotal returns the money, in fen, that left the merchant for an order and did not come back.
func (s *Server) PaidTotal(outTradeNo string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.book.orders[outTradeNo]; a != nil {
		return a.gone()
	}
	return 0
}

// Settle ends a refund now, as [StatusSuccess], [StatusClosed] or [StatusChange]. It also moves a
// refund from CHANGE to SUCCESS or REFUNDCLOSE, as a person does in the merchant's console.
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
		return fmt.Errorf("settle refund %s: it has ended as %s", outRefundNo, r.Status)
	}
	s.end(r, status)
	return nil
}

// end ends a refund and queues its notification. It must be called with s.mu held.
func (s *Server) end(r *record, status string) {
	if status == StatusClosed {
		s.book.balance += r.settlement
	}
	r.Status, r.EndedAt = status, s.now()
	s.announce(r)
}

// endDue ends a refund that is due. It must be called with s.mu held.
func (s *Server) endDue(r *record) {
	if r.Status == StatusProcessing && s.now().Sub(r.AcceptedAt) >= s.opts.SettleAfter {
		s.end(r, r.ends)
	}
}
