package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/orderfsm/orderfsm/refund"
)

// bank is a payment provider with a ledger. It has the bug, if bug is not empty.
type bank struct {
	bug    string
	closed chan struct{}  // ends calls that hang
	cannot map[Fault]bool // the faults that Next refuses

	mu     sync.Mutex
	orders map[string]int64 // ID → total
	slips  map[string]*slip // by refund number
	faults []Fault
}

// slip is one refund in the ledger.
type slip struct {
	number, id, orderID string
	amount              int64
	payments            int64
	status              string // processing, paid, abnormal or closed
	ends                string // the status after Settle
}

func newBank(bug string) *bank {
	return &bank{
		bug: bug, closed: make(chan struct{}), orders: map[string]int64{},
		slips: map[string]*slip{},
	}
}

func (b *bank) is(bug string) bool { return b.bug == bug }

func (b *bank) AddOrder(total int64) refund.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fmt.Sprintf("O%d", len(b.orders)+1)
	b.orders[id] = total
	return refund.Request{OrderID: id, RefundNo: id + "-", Total: total, Currency: "CNY"}
}

func (b *bank) Paid(number string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slips[number].paid()
}

func (b *bank) PaidTotal(orderID string) (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.slips {
		if s.orderID == orderID {
			sum += s.paid()
		}
	}
	return sum
}

func (s *slip) paid() int64 {
	if s == nil || s.status != "paid" {
		return 0
	}
	return s.amount * s.payments
}

func (b *bank) Settle(number string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.slips[number]; s != nil && s.status == "processing" && !b.is("never ends") {
		s.status = s.ends
	}
}

func (b *bank) Next(f Fault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cannot[f] {
		return false
	}
	b.faults = append(b.faults, f)
	return true
}

// message is a request or an answer on the wire.
type message struct {
	number, orderID string
	amount          int64
	id, status      string
	code            string // of a refusal
}

var errLost = errors.New("connection lost")

// call executes one request with the next fault.
func (b *bank) call(
	ctx context.Context, m message, execute func(message, Fault) message,
) (message, error) {
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
		answer.number += "x"
	case FaultOtherAmount:
		answer.amount += 7
	}
	return answer, nil
}

// refund executes a refund. It does not pay a number again.
func (b *bank) refund(m message, f Fault) message {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.slips[m.number]
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
	case f == FaultDecline && b.is("a refusal pays"):
		b.slips[m.number] = &slip{
			number: m.number, orderID: m.orderID, amount: m.amount, payments: 1, status: "processing",
			ends: "paid",
		}
		return message{code: "NO_FUNDS"}
	case f == FaultDecline && b.is("a refusal uses the number up"):
		b.slips[m.number] = &slip{
			number: m.number, orderID: m.orderID, amount: m.amount, status: "closed",
		}
		return message{code: "NO_FUNDS"}
	case f == FaultDecline:
		return message{code: "NO_FUNDS"}
	case held+m.amount > b.orders[m.orderID] && !b.is("no total"):
		return message{code: "TOO_MUCH"}
	case parts > 0 && b.is("one refund an order"):
		return message{code: "ONLY_ONE"}
	}
	s := b.slips[m.number]
	if s == nil {
		s = &slip{
			number: m.number, orderID: m.orderID, amount: m.amount, status: "processing", ends: "paid",
		}
		s.id = fmt.Sprintf("B%d", len(b.slips)+1)
		b.slips[m.number] = s
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
	if s := b.slips[m.number]; s != nil {
		return s.message()
	}
	return message{code: "NEVER_SEEN"}
}

func (s *slip) message() message {
	return message{
		number: s.number, orderID: s.orderID, amount: s.amount, id: s.id, status: s.status,
	}
}
