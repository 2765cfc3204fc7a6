package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// bank is a payment provider with a ledger, and with one bug where it is to have one.
type bank struct {
	bug      string
	closed   chan struct{}  // ends calls that hang
	helpless map[Fault]bool // faults that it cannot do

	mu     sync.Mutex
	orders map[string]int64 // ID → total
	slips  map[string]*slip // by refund number
	faults []Fault
}

// slip is one refund at the bank.
type slip struct {
	no, id, orderID string
	amount          int64
	payments        int64
	status          string // processing, paid, abnormal or closed
	ends            string // what processing turns into
}

func newBank(bug string) *bank {
	return &bank{bug: bug, closed: make(chan struct{}), orders: map[string]int64{}, slips: map[string]*slip{}}
}

func (b *bank) is(bug string) bool { return b.bug == bug }

func (b *bank) AddOrder(total int64) refund.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fmt.Sprintf("O%d", len(b.orders)+1)
	b.orders[id] = total
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "CNY"}
}

func (b *bank) Paid(no string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slips[no].out()
}

func (b *bank) PaidTotal(orderID string) (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.slips {
		if s.orderID == orderID {
			sum += s.out()
		}
	}
	return sum
}

func (s *slip) out() int64 {
	if s == nil || s.status != "paid" {
		return 0
	}
	return s.amount * s.payments
}

func (b *bank) Settle(no string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.slips[no]; s != nil && s.status == "processing" && !b.is("never ends") {
		s.status = s.ends
	}
}

func (b *bank) Next(f Fault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.helpless[f] {
		return false
	}
	b.faults = append(b.faults, f)
	return true
}

// message is what goes over the wire, in both directions.
type message struct {
	no, orderID string
	amount      int64
	id, status  string
	code        string // of a refusal
}

var errLost = errors.New("connection lost")

// call executes one request, as far as the next fault lets it.
func (b *bank) call(ctx context.Context, m message, execute func(message, Fault) message) (message, error) {
	if err := ctx.Err(); err != nil {
		return message{}, err
	}
	b.mu.Lock()
	var f Fault
	if len(b.faults) > 0 {
		f, b.faults = b.faults[0], b.faults[1:]
	}
	b.mu.Unlock()
	switch f { //nolint:exhaustive // the others are about the answer
	case FaultFailBefore:
		return message{}, errLost
	case FaultHang:
		select {
		case <-ctx.Done():
			return message{}, ctx.Err()
		case <-b.closed:
			return message{}, errLost
		}
	}
	answer := execute(m, f)
	switch f { //nolint:exhaustive // the others are about the refund
	case FaultLoseAnswer:
		return message{}, errLost
	case FaultGarbage:
		return message{status: "<html>"}, nil
	case FaultOtherRefund:
		answer.no += "x"
	case FaultOtherAmount:
		answer.amount += 7
	}
	return answer, nil
}

// refund takes a request for a refund; a number that is there already is not paid again.
func (b *bank) refund(m message, f Fault) message {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.slips[m.no]
	if b.is("looks before it locks") {
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
	}
	if known != nil {
		return b.repeat(known, m)
	}
	var held int64
	parts := 0
	for _, s := range b.slips {
		if s.orderID == m.orderID && s.status != "closed" {
			held += s.amount
			parts++
		}
	}
	switch {
	case f == FaultDecline && b.is("a no pays"):
		b.slips[m.no] = &slip{no: m.no, orderID: m.orderID, amount: m.amount, payments: 1, status: "processing", ends: "paid"}
		return message{code: "NO_FUNDS"}
	case f == FaultDecline && b.is("a no burns the number"):
		b.slips[m.no] = &slip{no: m.no, orderID: m.orderID, amount: m.amount, status: "closed"}
		return message{code: "NO_FUNDS"}
	case f == FaultDecline:
		return message{code: "NO_FUNDS"}
	case held+m.amount > b.orders[m.orderID] && !b.is("no total"):
		return message{code: "TOO_MUCH"}
	case parts > 0 && b.is("one refund an order"):
		return message{code: "ONLY_ONE"}
	}
	s := b.slips[m.no]
	if s == nil {
		s = &slip{no: m.no, orderID: m.orderID, amount: m.amount, status: "processing", ends: "paid"}
		s.id = fmt.Sprintf("B%d", len(b.slips)+1)
		b.slips[m.no] = s
	}
	s.payments++
	switch {
	case f == FaultAbnormal:
		s.ends = "abnormal"
	case f == FaultClose && b.is("closes and pays"):
		s.ends = "paid"
	case f == FaultClose:
		s.ends = "closed"
	}
	return s.message()
}

func (b *bank) repeat(s *slip, m message) message {
	switch {
	case b.is("pays every time"):
		s.payments++
	case s.amount != m.amount && b.is("pays the difference"):
		s.amount = m.amount
	case s.amount != m.amount:
		return message{code: "OTHER_TERMS"}
	}
	return s.message()
}

func (b *bank) find(m message, _ Fault) message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.slips[m.no]; s != nil {
		return s.message()
	}
	return message{code: "NEVER_SEEN"}
}

func (s *slip) message() message {
	return message{no: s.no, orderID: s.orderID, amount: s.amount, id: s.id, status: s.status}
}

// client is the bank's gateway, with one bug where it is to have one.
type client struct {
	*bank
	mu    sync.Mutex
	calls int
	last  refund.Request
}

func (c *client) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	m := message{no: req.RefundNo, orderID: req.OrderID, amount: req.Amount}
	switch c.bug {
	case "ignores contexts":
		ctx = context.Background()
	case "accepts without sending":
		return refund.Result{Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, Amount: req.Amount}, nil
	case "a new number for each call":
		c.mu.Lock()
		c.calls++
		m.no += fmt.Sprintf("-%d", c.calls)
		c.mu.Unlock()
	case "one request for all":
		c.mu.Lock()
		c.last = req
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		req = c.last
		c.mu.Unlock()
		m = message{no: req.RefundNo, orderID: req.OrderID, amount: req.Amount}
	}
	a, err := c.call(ctx, m, c.refund)
	if c.bug == "a new number for each call" && a.no == m.no {
		a.no = req.RefundNo
	}
	if err != nil {
		return c.doubt(req, err)
	}
	if a.code != "" {
		return c.refused(req, a)
	}
	res, err := c.read(req, a)
	if err == nil && c.is("accepted is success") && res.Outcome == refund.OutcomeAccepted {
		res.Outcome = refund.OutcomeSucceeded
	}
	return res, err
}

// refused reads the bank's no.
func (c *client) refused(req refund.Request, a message) (refund.Result, error) {
	switch {
	case c.is("a no is an error"):
		return refund.Result{}, errors.New(a.code)
	case c.is("a no without its code"):
		a.code = ""
	case c.is("a no is not-found"):
		return refund.Result{Outcome: refund.OutcomeNotFound, Code: a.code}, nil
	case c.is("too much is accepted") && a.code == "TOO_MUCH", c.is("other terms are accepted") && a.code == "OTHER_TERMS":
		return refund.Result{Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, Amount: req.Amount}, nil
	}
	return refund.Result{Outcome: refund.OutcomeDeclined, Code: a.code}, nil
}

// doubt is what the client makes of a call that failed.
func (c *client) doubt(req refund.Request, err error) (refund.Result, error) {
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case c.is("a lost answer is a no"), c.is("a time-out is a no") && late:
		return refund.Result{Outcome: refund.OutcomeDeclined, Code: err.Error()}, nil
	case c.is("a lost answer is accepted"):
		return refund.Result{Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, Amount: req.Amount}, nil
	case c.is("a lost answer is nothing"):
		return refund.Result{}, nil
	case c.is("hides the cause"):
		return refund.Result{}, errors.New(err.Error())
	}
	return refund.Result{}, err
}

func (c *client) Query(ctx context.Context, req refund.Request) (refund.Result, error) {
	if c.is("ignores contexts") {
		ctx = context.Background()
	}
	a, err := c.call(ctx, message{no: req.RefundNo}, c.find)
	switch {
	case err != nil && c.is("a lost query is not-found"), a.status == "<html>" && c.is("a garbled query is not-found"):
		return refund.Result{Outcome: refund.OutcomeNotFound}, nil
	case err != nil && c.is("a late query is closed") && errors.Is(err, context.DeadlineExceeded):
		return refund.Result{Outcome: refund.OutcomeClosed, RefundNo: req.RefundNo, Amount: req.Amount}, nil
	case err != nil:
		return refund.Result{}, err
	case a.code != "" && c.is("not-found is an error"):
		return refund.Result{}, errors.New(a.code)
	case a.code != "" && c.is("not-found is a no"):
		return refund.Result{Outcome: refund.OutcomeDeclined, Code: a.code}, nil
	case a.code != "":
		return refund.Result{Outcome: refund.OutcomeNotFound, Code: a.code}, nil
	}
	return c.read(req, a)
}

// read takes an answer that is no refusal.
func (c *client) read(req refund.Request, a message) (refund.Result, error) {
	outcome, ok := map[string]refund.Outcome{
		"processing": refund.OutcomeAccepted, "paid": refund.OutcomeSucceeded,
		"abnormal": refund.OutcomeAbnormal, "closed": refund.OutcomeClosed,
	}[a.status]
	if !ok {
		switch c.bug {
		case "garbage is a no":
			return refund.Result{Outcome: refund.OutcomeDeclined, Code: "GARBAGE"}, nil
		case "garbage is accepted":
			return refund.Result{Outcome: refund.OutcomeAccepted, RefundNo: req.RefundNo, Amount: req.Amount}, nil
		}
		return refund.Result{}, fmt.Errorf("unknown status of refund %s", req.RefundNo)
	}
	if a.no != req.RefundNo && !c.is("believes any number") {
		return refund.Result{}, &refund.MismatchError{Field: "refund_no", Want: req.RefundNo, Got: a.no}
	}
	if a.amount != req.Amount && !c.is("believes any amount") {
		return refund.Result{}, &refund.MismatchError{Field: "amount", Want: fmt.Sprint(req.Amount), Got: fmt.Sprint(a.amount)}
	}
	switch {
	case c.is("abnormal is success") && outcome == refund.OutcomeAbnormal, c.is("closed is success") && outcome == refund.OutcomeClosed:
		outcome = refund.OutcomeSucceeded
	case c.is("abnormal is closed") && outcome == refund.OutcomeAbnormal:
		outcome = refund.OutcomeClosed
	}
	res := refund.Result{Outcome: outcome, RefundNo: req.RefundNo, OrderID: a.orderID, Amount: req.Amount, ProviderRefundID: a.id}
	switch {
	case c.is("forgets the amount"):
		res.Amount = 0
	case c.is("names the order by its own number"):
		res.OrderID = "bank-" + a.orderID
	case outcome == refund.OutcomeSucceeded && c.is("local times"):
		res.RefundedAt = time.Date(2026, 1, 2, 11, 0, 0, 0, time.FixedZone("UTC+8", 8*60*60))
	case outcome == refund.OutcomeSucceeded:
		res.RefundedAt = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	case c.is("a name that no book holds"):
		res.ProviderRefundID = strings.Repeat("7", order.MaxCode+1)
	case c.is("a new name each time"):
		c.mu.Lock()
		c.calls++
		res.ProviderRefundID = fmt.Sprint(c.calls)
		c.mu.Unlock()
	}
	return res, nil
}

// list is the client as a refund.Lister.
type list struct{ *client }

func (l list) List(_ context.Context, req refund.Request) ([]refund.Result, error) {
	l.bank.mu.Lock()
	defer l.bank.mu.Unlock()
	var all []refund.Result
	for _, s := range l.slips {
		if s.orderID != req.OrderID && !l.is("lists every order") || s.status != "paid" && l.is("lists only what was paid") {
			continue
		}
		one := req
		one.RefundNo, one.Amount = s.no, s.amount
		res, err := l.read(one, s.message())
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}
