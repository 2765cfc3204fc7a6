package sim

import "slices"

// Shrink returns the smallest Plan that it can find which breaks the same rule as p, by taking away
// Ops, faults and deliveries as long as the rule still breaks. It returns p itself if p breaks
// no rule.
func Shrink(p *Plan) *Plan { return shrink(p, nil) }

func shrink(p *Plan, b *bug) *Plan {
	_, v := run(p, b, nil)
	if v == nil {
		return p
	}
	s := &shrinker{best: p, fails: func(p *Plan) bool {
		_, got := run(p, b, nil)
		return got != nil && got.Rule == v.Rule
	}}
	for before := -1; before != s.best.size(); {
		before = s.best.size()
		s.ops()
		s.details()
	}
	return s.best
}

// size is what shrinking makes less of.
func (p *Plan) size() (n int) {
	for i := range p.Ops {
		o := &p.Ops[i]
		n += 4 + len(o.Faults) + len(o.Deliver)
		if o.For != 0 {
			n++
		}
	}
	for _, odd := range []bool{
		!p.Even, p.StoreClock, p.BadHooks, p.Provider.Wordy, p.Provider.Grumpy, p.Provider.Lag != 0,
		p.Provider.Spacing != 0, p.Provider.Most != 0,
	} {
		if odd {
			n++
		}
	}
	return n + p.Procs + len(p.Orders)
}

type shrinker struct {
	best  *Plan
	fails func(*Plan) bool
}

// try keeps what change makes of the best Plan if it still fails.
func (s *shrinker) try(change func(p *Plan)) bool {
	p := *s.best
	p.Ops, p.Orders = slices.Clone(p.Ops), slices.Clone(p.Orders)
	change(&p)
	if p.size() >= s.best.size() || !s.fails(&p) {
		return false
	}
	s.best = &p
	return true
}

// ops takes Ops away: half of them, then a quarter, down to each single one.
func (s *shrinker) ops() {
	for n := len(s.best.Ops); n > 0; n /= 2 {
		for i := 0; i < len(s.best.Ops); {
			if !s.try(func(p *Plan) { p.Ops = slices.Delete(p.Ops, i, min(i+n, len(p.Ops))) }) {
				i += n
			}
		}
	}
}

// details takes away what the Ops that are left do not need.
func (s *shrinker) details() {
	for _, plain := range []func(p *Plan){
		func(p *Plan) { p.Even = true },
		func(p *Plan) { p.StoreClock = false },
		func(p *Plan) { p.BadHooks = false },
		func(p *Plan) { p.Provider.Wordy = false },
		func(p *Plan) { p.Provider.Grumpy = false },
		func(p *Plan) { p.Provider.Lag = 0 },
		func(p *Plan) { p.Provider.Spacing = 0 },
		func(p *Plan) { p.Provider.Most = 0 },
	} {
		s.try(plain)
	}
	s.try(func(p *Plan) { p.Procs = 1 })
	s.try(func(p *Plan) { p.Procs = 2 })
	for i := len(s.best.Orders) - 1; i >= 0; i-- {
		s.try(func(p *Plan) { p.Orders = slices.Delete(p.Orders, i, i+1) })
	}
	for i := range s.best.Ops {
		for j := len(s.best.Ops[i].Faults) - 1; j >= 0; j-- {
			s.try(func(p *Plan) {
				p.Ops[i].Faults = slices.Delete(slices.Clone(p.Ops[i].Faults), j,
					j+1)
			})
		}
		for j := len(s.best.Ops[i].Deliver) - 1; j >= 0; j-- {
			s.try(func(p *Plan) {
				p.Ops[i].Deliver = slices.Delete(slices.Clone(p.Ops[i].Deliver),
					j, j+1)
			})
		}
		s.try(func(p *Plan) { p.Ops[i].For = 0 })
	}
}
