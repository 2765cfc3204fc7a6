package sim

import "time"

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
	if m.chance(.04) {
		m.add(Op{At: m.upTo(m.span()), Kind: OpRestore, For: m.upTo(15 * time.Minute)})
	}
	switch n := m.IntN(100); {
	case n < 15:
		m.clocks(time.Hour)
	case n < 30:
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
