package sim

import (
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// refund plans the life of a refund: what its people mean to do, and what goes wrong with that.
func (m *maker) refund(id, no string, total int64) {
	amount := 1 + m.Int64N(total)
	if m.chance(.3) {
		amount = total
	}
	op := func(k Kind, at time.Duration) Op {
		return Op{At: at, Kind: k, Order: id, Refund: no, Amount: amount}
	}
	asked := m.upTo(m.span() / 2)
	m.add(op(OpRequest, asked))
	if m.chance(.15) {
		m.add(op(OpRequest, m.near(asked)))
	}
	if m.chance(.05) {
		o := op(OpRequest, m.near(asked))
		o.Amount++
		m.add(o)
	}
	decided := m.near(asked + 20*time.Millisecond)
	kind := OpApprove
	switch m.IntN(10) {
	case 0:
		kind = OpReject
	case 1:
		kind = OpCancel
	case 2, 3:
		kind = OpApproveAndSend
	}
	m.add(op(kind, decided))
	m.afterwards(decided, op)
	for ends := 0; m.chance(.75) && (m.hot || ends == 0) && ends < 4; ends++ {
		m.end(id, no, m.near(decided))
	}
	for m.chance(.25) {
		m.forge(op(OpForge, m.near(decided)))
	}
	if m.chance(.12) {
		m.deny(op(OpDeny, m.near(decided)))
	}
	if m.chance(.08) {
		m.transfer(op(OpTransfer, m.near(decided)))
	}
	if m.lossy && m.chance(.4) {
		m.withdraw(op, decided+m.upTo(time.Minute))
	}
}

// transfer plans that a person pays a refund which the provider may pay too.
func (m *maker) transfer(o Op) {
	m.add(o)
	m.end(o.Order, o.Refund, m.near(o.At))
	for range m.IntN(4) {
		s := Op{At: m.near(o.At), Kind: OpSync, Order: o.Order}
		if m.chance(.3) { // its process dies between the commit and the alert
			s.Faults = []Fault{{
				Call: 3 + 2*m.IntN(2), Kind: FaultCrashAfter,
				For: m.upTo(time.Minute),
			}}
		}
		m.add(s)
	}
}

// withdraw plans that a refund is cancelled, and another one takes its place, while a store looks
// what became of a lease.
func (m *maker) withdraw(op func(Kind, time.Duration) Op, at time.Duration) {
	p := op(OpProcess, at)
	p.Faults = []Fault{{Call: 0, Kind: FaultLostUndone, For: 10*time.Second + m.upTo(time.Minute)}}
	m.add(p)
	c := op(OpCancel, at+time.Second+m.upTo(8*time.Second))
	c.Flag = true
	m.add(c)
	for i, kind := range []Kind{OpRequest, OpApproveAndSend} {
		o := op(kind, c.At+time.Duration(i+1)*time.Second)
		o.Refund += "b"
		m.add(o)
	}
}

// deny plans that the provider denies a refund which it has accepted.
func (m *maker) deny(o Op) {
	o.Amount, o.Flag = 0, m.chance(.6)
	o.For = []time.Duration{time.Minute, 10 * time.Minute, 0}[m.IntN(3)]
	m.add(o)
	if o.For == 0 && m.chance(.7) { // it lasts: let nothing else end the refund
		return
	}
	m.end(o.Order, o.Refund, m.near(o.At))
}

// afterwards plans who does what else once a refund is decided.
func (m *maker) afterwards(decided time.Duration, op func(Kind, time.Duration) Op) {
	times := 1
	if m.hot {
		times = 3
	}
	for _, often := range []struct {
		kind   Kind
		chance float64
	}{
		{OpApprove, .2},
		{OpReject, .08},
		{OpCancel, .15},
		{OpProcess, .5},
		{OpProcess, .5},
		{OpRetry, .5},
		{OpRetry, .3},
		{OpAbandon, .25},
		{OpAbandon, .1},
		{OpResolve, .15},
		{OpResolve, .1},
	} {
		for range times {
			if m.chance(often.chance) {
				o := op(often.kind, m.near(decided))
				o.Flag = m.chance(.5)
				m.add(o)
			}
		}
	}
}

// forge adds a notification with a claim that may be false, or about something else.
func (m *maker) forge(o Op) {
	o.Outcome = []refund.Outcome{
		refund.OutcomeSucceeded, refund.OutcomeSucceeded, refund.OutcomeClosed,
		refund.OutcomeAbnormal,
	}[m.IntN(4)]
	switch m.IntN(6) {
	case 0:
		o.Amount++
	case 1:
		o.Refund = "X" + o.Refund
	case 2:
		o.Order = "X" + o.Order
	}
	o.Flag = m.chance(.2)
	m.add(o)
}

// end plans how the provider ends a refund.
func (m *maker) end(id, no string, at time.Duration) {
	o := Op{
		At: at, Kind: OpEnd, Order: id, Refund: no, Outcome: refund.OutcomeSucceeded,
		Flag: m.chance(.3),
	}
	switch n := m.IntN(10); {
	case n < 2 || m.hot && n < 5:
		o.Outcome = refund.OutcomeClosed
	case n < 3 || m.hot && n < 6:
		o.Outcome = refund.OutcomeAbnormal
	}
	if m.chance(.6) {
		o.For = m.upTo(3 * time.Minute)
	}
	o.Deliver = m.deliveries()
	m.add(o)
	if o.Outcome == refund.OutcomeAbnormal && m.chance(.6) {
		fix := Op{
			At: m.near(at), Kind: OpFix, Order: id, Refund: no,
			Outcome: refund.OutcomeSucceeded, Flag: m.chance(.5),
		}
		if m.chance(.5) {
			fix.Outcome = refund.OutcomeClosed
		}
		fix.Deliver = m.deliveries()
		m.add(fix)
		for m.chance(.4) {
			m.add(Op{At: m.near(fix.At), Kind: OpResolve, Order: id, Refund: no})
		}
		for m.chance(.3) {
			m.add(Op{At: m.near(fix.At), Kind: OpSync, Order: id})
		}
	}
}

// deliveries are none, one or several, in any order.
func (m *maker) deliveries() (at []time.Duration) {
	for m.chance(.55) && len(at) < 4 {
		at = append(at, m.near(0))
	}
	return at
}
