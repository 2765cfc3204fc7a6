package order

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks that o agrees with its history: every transition is a row of the table; Seq has no
// gap; the states of the refunds and of the order are those of their last transitions; the sums are
// those of the refunds; amounts are > 0; and no refund was requested, approved or retried while the
// order had an excess. It returns every fault that it finds, joined. It is meant for audits and
// tests; Fire maintains all of this. It needs the whole history, as refund's Service.Order returns
// it.
func (m *Machine) Verify(o *Order) error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("order %s: "+format, append([]any{o.ID}, args...)...))
	}
	if err := o.Validate(); err != nil {
		fault("%w", err)
	}
	for i := range o.Refunds {
		r := &o.Refunds[i]
		if err := validateRefundNo(r.No); err != nil {
			fault("refund at %d: %w", i, err)
		}
		if r.Amount <= 0 || r.Amount > MaxAmount {
			fault("refund %s: amount %d is not from 1 to %d", r.No, r.Amount, MaxAmount)
		}
	}
	m.walk(o, fault)
	refunded, reserved, state := m.project(o, &Refund{State: StatePaid})
	if o.Refunded != refunded || o.Reserved != reserved || o.State != state {
		fault("refunded %d, reserved %d, state %s; by its refunds it is %d, %d, %s",
			o.Refunded, o.Reserved, o.State, refunded, reserved, state)
	}
	return errors.Join(errs...)
}

// walk replays the history and compares o with the result.
func (m *Machine) walk(o *Order, fault func(string, ...any)) {
	// book is the order according to the history, with the amounts of o: they never change.
	book := &Order{Total: o.Total, State: StatePaid}
	for i, t := range o.History {
		if book.index(t.RefundNo) < 0 {
			r := Refund{No: t.RefundNo, State: StatePaid}
			if known := o.Refund(t.RefundNo); known != nil {
				r.Amount = known.Amount
			}
			book.Refunds = append(book.Refunds, r)
		}
		r := book.Refund(t.RefundNo)
		if t.Seq != int64(i)+1 || t.From != r.State || t.OrderFrom != book.State {
			fault("transition %d: seq %d, refund %s from %s, order from %s does not follow %s and %s",
				i+1, t.Seq, t.RefundNo, t.From, t.OrderFrom, r.State, book.State)
		}
		if !slices.Contains(m.rows, Row{t.Event, t.From, t.To}) {
			fault("transition %d: %s from %s to %s is not in the table", i+1, t.Event, t.From, t.To)
		}
		r.State = t.To
		book.Refunded, book.Reserved, book.State = m.project(book, r)
		if t.OrderTo != book.State {
			fault("transition %d: order to %s; by its refunds it is %s", i+1, t.OrderTo, book.State)
		}
		if needsRoom(t.Event) && book.Excess() > 0 {
			fault("transition %d: %s refund %s exceeds the total by %d", i+1, t.Event, t.RefundNo, book.Excess())
		}
	}
	if o.Seq != int64(len(o.History)) {
		fault("seq is %d with %d transitions", o.Seq, len(o.History))
	}
	same := func(a, b Refund) bool { return a.No == b.No && a.State == b.State }
	if !slices.EqualFunc(o.Refunds, book.Refunds, same) {
		fault("its %d refunds differ from the %d of its history in number, order or state",
			len(o.Refunds), len(book.Refunds))
	}
}

// needsRoom reports whether ev is refused if the order has an excess or would have one.
func needsRoom(ev Event) bool {
	return ev == EventRequestRefund || ev == EventApprove || ev == EventRetry
}
