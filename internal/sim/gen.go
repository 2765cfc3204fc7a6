package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/orderfsm/orderfsm/refund"
)

// maxFlight is how long a request is on its way at most, in a timely run: less than the quiet period, for that
// is what it is for.
const maxFlight = 80 * time.Second

// maxLag is how old the answer to a query is at most: the quiet period has room for both.
const maxLag = 30 * time.Second

// horizon is when the faults end.
const horizon = 25 * time.Minute

// maker makes a Plan from a seed. What it draws first are the habits of this run: which faults there are and
// how many, so that runs differ in kind and not only in detail.
type maker struct {
	*rand.Rand
	p     *Plan
	rate  float64       // how likely a call breaks
	kinds []FaultKind   // how
	late  time.Duration // how late a request arrives at most
	hot   bool          // few refunds, and much that happens to each
	lossy bool          // the store often loses the answer to a COMMIT
	ids   int
}

// NewPlan makes the Plan of a seed.
func NewPlan(seed uint64) *Plan {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 0x5eed)), p: &Plan{Seed: seed}} //nolint:gosec // reproducible on purpose
	p := m.p
	p.Procs = 1 + m.IntN(4)
	p.Provider = Habits{Echo: m.chance(.5), Grumpy: m.chance(.2)}
	if m.chance(.15) {
		p.Provider.Spacing = m.upTo(20 * time.Second)
	}
	if m.chance(.15) {
		p.Provider.Most = 1 + m.IntN(3)
	}
	if m.chance(.15) {
		p.Provider.Lag = m.upTo(maxLag)
	}
	p.Provider.Wordy, p.StoreClock, p.BadHooks = m.chance(.25), m.chance(.5), m.chance(.15)
	m.rate = []float64{0, .02, .05, .1, .2, .35}[m.IntN(6)]
	common := .6
	if m.chance(.4) { // few kinds, and often: more of what only they can do
		common = .1
	}
	for k := FaultBefore; k <= FaultPanic; k++ {
		if m.chance(common) {
			m.kinds = append(m.kinds, k)
		}
	}
	if m.lossy = m.chance(.15); m.lossy {
		for range 4 {
			m.kinds = append(m.kinds, FaultLostDone, FaultLostUndone, FaultLostHeld)
		}
	}
	if m.chance(.1) { // a transport that resends, to a provider that minds
		p.Provider.Grumpy = m.chance(.8)
		m.kinds = append(m.kinds, FaultResend, FaultResend, FaultResend)
	}
	m.late = maxFlight
	if m.chance(.15) { // an untimely run
		m.late, m.kinds = 15*time.Minute, append(m.kinds, FaultLate, FaultLate)
	} else if m.chance(.3) {
		m.kinds = append(m.kinds, FaultLate, FaultLate)
	}
	p.Balance = 1 << 40
	if m.chance(.5) {
		p.Balance = m.Int64N(300)
	}
	orders, pause := 2+m.IntN(5), 50*time.Second
	if m.hot = m.chance(.5); m.hot {
		orders, pause = 1+m.IntN(2), 25*time.Second
		if m.rate > 0 {
			m.kinds = append(m.kinds, FaultPause, FaultSlow, FaultLate, FaultPause, FaultSlow, FaultLate)
		}
	}
	for i := range orders {
		m.order(fmt.Sprintf("O%d", i))
	}
	m.machines()
	for at := m.upTo(pause); at < m.span(); at += m.upTo(pause) {
		m.add(Op{At: at, Kind: OpPoll})
	}
	return p.sorted()
}

// span is the time in which the plan has something happen.
func (m *maker) span() time.Duration {
	if m.hot {
		return horizon / 2
	}
	return horizon
}

func (m *maker) chance(p float64) bool { return m.Float64() < p }

func (m *maker) upTo(d time.Duration) time.Duration { return time.Duration(m.Int64N(int64(d))) }

// add gives an Op its ID, a process, and faults.
func (m *maker) add(o Op) {
	m.ids++
	o.ID = m.ids
	if o.Proc == 0 {
		o.Proc = m.IntN(m.p.Procs)
	}
	calls := 4
	switch o.Kind {
	case OpPoll, OpSync, OpExecute:
		calls = 10
	case OpEnd, OpFix:
		for copyNo := range o.Deliver {
			m.breakCalls(&o, 100*(copyNo*(redeliveries+1)+1), calls)
		}
		calls = 0
	case OpConsole, OpFunds, OpDeny, OpLineDown, OpDiskDown, OpCrash, OpClock:
		calls = 0
	}
	m.breakCalls(&o, 0, calls)
	m.p.Ops = append(m.p.Ops, o)
}

func (m *maker) breakCalls(o *Op, from, calls int) {
	for n := range calls {
		if len(m.kinds) == 0 || !m.chance(m.rate) {
			continue
		}
		f := Fault{Call: from + n, Kind: m.kinds[m.IntN(len(m.kinds))]}
		switch f.Kind {
		case FaultSlow:
			f.For = m.upTo(maxFlight)
		case FaultResend:
			f.For = m.upTo([]time.Duration{5 * time.Second, maxFlight}[m.IntN(2)])
		case FaultLostDone, FaultLostUndone, FaultLostHeld:
			f.For = m.upTo([]time.Duration{time.Second, 20 * time.Second, 2 * time.Minute}[m.IntN(3)])
		case FaultBusy:
			f.For = m.upTo([]time.Duration{time.Minute, 8 * time.Minute, 3 * time.Hour}[m.IntN(3)])
		case FaultLate:
			f.For = m.upTo(m.late)
		case FaultPause:
			f.For = m.upTo([]time.Duration{10 * time.Second, 80 * time.Second, 4 * time.Minute, 10 * time.Minute}[m.IntN(4)])
		case FaultCrashBefore, FaultCrashAfter, FaultCrashInside:
			f.For = m.upTo(time.Minute)
		}
		o.Faults = append(o.Faults, f)
	}
}

// order plans an order with its refunds.
func (m *maker) order(id string) {
	total := 50 + m.Int64N(150)
	m.p.Orders = append(m.p.Orders, PaidOrder{id, total})
	refunds := 1 + m.IntN(4)
	if m.hot {
		refunds = 1 + m.IntN(2)
	}
	for i := range refunds {
		m.refund(id, fmt.Sprintf("%sR%d", id, i), total)
	}
	for m.chance(.3) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpSync, Order: id})
	}
	if m.chance(.12) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpConsole, Order: id, Refund: id + "C", Amount: 1 + m.Int64N(total)})
		m.end(id, id+"C", m.upTo(m.span()))
	}
}

// near is soon after at: at times so soon that both overlap.
func (m *maker) near(at time.Duration) time.Duration {
	switch m.IntN(4) {
	case 0:
		return at + m.upTo(50*time.Millisecond)
	case 1:
		return at + m.upTo(5*time.Second)
	case 2:
		return at + m.upTo(2*time.Minute)
	default:
		return at + m.upTo(10*time.Minute)
	}
}

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
		kind = OpExecute
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
	if m.chance(.05) {
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
		m.add(Op{At: m.near(o.At), Kind: OpSync, Order: o.Order})
	}
}

// withdraw plans that a refund is cancelled, and another one takes its place, while a store looks what became of a lease.
func (m *maker) withdraw(op func(Kind, time.Duration) Op, at time.Duration) {
	p := op(OpProcess, at)
	p.Faults = []Fault{{Call: 0, Kind: FaultLostUndone, For: 10*time.Second + m.upTo(time.Minute)}}
	m.add(p)
	c := op(OpCancel, at+time.Second+m.upTo(8*time.Second))
	c.Flag = true
	m.add(c)
	for i, kind := range []Kind{OpRequest, OpExecute} {
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
		refund.OutcomeSucceeded, refund.OutcomeSucceeded, refund.OutcomeClosed, refund.OutcomeAbnormal,
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
	o := Op{At: at, Kind: OpEnd, Order: id, Refund: no, Outcome: refund.OutcomeSucceeded, Flag: m.chance(.3)}
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
		fix := Op{At: m.near(at), Kind: OpFix, Order: id, Refund: no, Outcome: refund.OutcomeSucceeded, Flag: m.chance(.5)}
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

// machines plans outages, crashes and clocks.
func (m *maker) machines() {
	down := []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}
	for m.chance(.3) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpLineDown, For: m.upTo(down[m.IntN(3)])})
	}
	for m.chance(.3) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpDiskDown, For: m.upTo(down[m.IntN(3)])})
	}
	for m.chance(.5) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpCrash, For: m.upTo(time.Minute)})
	}
	for m.chance(.4) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpFunds, Amount: m.Int64N(600)})
	}
	if m.chance(.25) || m.hot && m.chance(.3) { // the money comes and goes
		for at := m.upTo(time.Minute); at < m.span(); at += m.upTo(time.Minute) {
			m.add(Op{At: at, Kind: OpFunds, Amount: int64(m.IntN(2)) * 2000})
		}
	}
	switch n := m.IntN(100); {
	case n < 15:
		m.clocks(time.Hour)
	case n < 27:
		m.clocks(20 * 365 * 24 * time.Hour)
	}
}

// clocks plans clocks that jump by up to most, either way: for good, or for a moment.
func (m *maker) clocks(most time.Duration) {
	for range 1 + m.IntN(4) {
		o := Op{Kind: OpClock, For: m.upTo(2*most) - most}
		if m.chance(.3) {
			o.For = m.upTo(10*time.Second) - 5*time.Second
		}
		if m.chance(.6) {
			o.At = m.upTo(m.span())
		}
		m.add(o)
		if m.chance(.5) {
			back := m.p.Ops[len(m.p.Ops)-1]
			back.At, back.For = m.near(o.At), -o.For
			m.add(back)
		}
	}
}
