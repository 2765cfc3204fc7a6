package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// maxFlight is how long a request is on its way at most, in a timely run: less than the quiet
// period, for that is what it is for.
const maxFlight = 80 * time.Second

// maxLag is how old the answer to a query is at most: the quiet period has room for both.
const maxLag = 30 * time.Second

// horizon is when the faults end.
const horizon = 25 * time.Minute

// maker makes a Plan from a seed. What it draws first are the habits of this run: which faults
// there are and how many, so that runs differ in kind and not only in detail.
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
	m.habits()
	m.faults()
	p.Balance = 1 << 40
	if m.chance(.5) {
		p.Balance = m.Int64N(300)
	}
	orders, pause := 2+m.IntN(5), 50*time.Second
	if m.hot {
		orders, pause = 1+m.IntN(2), 25*time.Second
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

// habits decides what the provider, the store and the host are like.
func (m *maker) habits() {
	p := m.p
	p.Provider = Habits{Echo: m.chance(.5), Grumpy: m.chance(.2), Wordy: m.chance(.25)}
	if m.chance(.15) {
		p.Provider.Spacing = m.upTo(20 * time.Second)
	}
	if m.chance(.15) {
		p.Provider.Most = 1 + m.IntN(3)
	}
	if m.chance(.15) {
		p.Provider.Lag = m.upTo(maxLag)
	}
	p.StoreClock, p.BadHooks = m.chance(.35), m.chance(.15)
	m.hot, m.lossy = m.chance(.5), m.chance(.15)
}

// faults decides which faults there are, and how many.
func (m *maker) faults() {
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
	more := func(times int, kinds ...FaultKind) {
		for range times {
			m.kinds = append(m.kinds, kinds...)
		}
	}
	if m.lossy {
		more(4, FaultLostDone, FaultLostUndone, FaultLostHeld)
	}
	if m.chance(.1) { // a transport that resends, to a provider that minds
		m.p.Provider.Grumpy = m.chance(.8)
		more(3, FaultResend)
	}
	m.late = maxFlight
	if m.chance(.15) { // an untimely run
		m.late = 15 * time.Minute
		more(2, FaultLate)
	} else if m.chance(.3) {
		more(2, FaultLate)
	}
	if m.hot && m.rate > 0 {
		more(2, FaultPause, FaultSlow, FaultLate)
	}
}

// span is the time in which the plan has events.
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
	case OpPoll, OpSync, OpApproveAndSend:
		calls = 10
	case OpEnd, OpFix:
		for copyNo := range o.Deliver {
			m.breakCalls(&o, 100*(copyNo*(redeliveries+1)+1), calls)
		}
		calls = 0
	case OpConsole, OpFunds, OpDeny, OpLineDown, OpDiskDown, OpCrash, OpClock, OpRestore:
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
			f.For = m.upTo([]time.Duration{
				time.Second, 20 * time.Second,
				2 * time.Minute,
			}[m.IntN(3)])
		case FaultBusy:
			f.For = m.upTo([]time.Duration{time.Minute, 8 * time.Minute, 3 * time.Hour}[m.IntN(3)])
		case FaultLate:
			f.For = m.upTo(m.late)
		case FaultPause:
			f.For = m.upTo([]time.Duration{
				10 * time.Second, 80 * time.Second, 4 * time.Minute,
				10 * time.Minute,
			}[m.IntN(4)])
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
		m.add(Op{
			At: m.upTo(m.span()), Kind: OpConsole, Order: id, Refund: id + "C",
			Amount: 1 + m.Int64N(total),
		})
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
