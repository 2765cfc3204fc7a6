package refund

import (
	"context"
	"fmt"

	"github.com/orderfsm/orderfsm/order"
)

// JoinHooks returns Hooks that call those given, in that order, so that a host's own steps and those of an
// adapter stand side by side.
//
//   - Guard: the first veto counts, and those behind it are not asked.
//   - InTx: the first error counts, and rolls back what those before it wrote; those behind it are not called.
//   - Start: each is given the ctx that the one before it returned. Their ends are called in reverse.
//   - All others: each is called, whatever became of the one before it.
//
// Each gets a copy of the order of its own. A panic in one does what the same hook's panic does by itself,
// and nothing to the others.
func JoinHooks(hooks ...Hooks) Hooks {
	return Hooks{
		Guard:       joinSteps(hooks, func(h Hooks) step { return h.Guard }),
		InTx:        joinSteps(hooks, func(h Hooks) step { return h.InTx }),
		After:       joinAfter(hooks),
		Discrepancy: joinTold(hooks, func(h Hooks) func(context.Context, Discrepancy) { return h.Discrepancy }),
		Stuck:       joinTold(hooks, func(h Hooks) func(context.Context, Stuck) { return h.Stuck }),
		Setup:       joinTold(hooks, func(h Hooks) func(context.Context, *SetupError) { return h.Setup }),
		UnknownNotification: joinTold(hooks, func(h Hooks) func(context.Context, Notification) {
			return h.UnknownNotification
		}),
		Trace: joinStart(hooks),
	}
}

// step is a hook that can refuse.
type step = func(ctx context.Context, o *order.Order, t order.Transition) error

func joinSteps(hooks []Hooks, field func(Hooks) step) step {
	var steps []step
	for _, h := range hooks {
		if f := field(h); f != nil {
			steps = append(steps, f)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return func(ctx context.Context, o *order.Order, t order.Transition) error {
		for _, f := range steps {
			if err := f(ctx, o.Clone(), t); err != nil {
				return err
			}
		}
		return nil
	}
}

func joinAfter(hooks []Hooks) func(context.Context, *order.Order, order.Transition) {
	type news struct {
		o *order.Order
		t order.Transition
	}
	told := joinTold(hooks, func(h Hooks) func(context.Context, news) {
		if h.After == nil {
			return nil
		}
		return func(ctx context.Context, n news) { h.After(ctx, n.o.Clone(), n.t) }
	})
	if told == nil {
		return nil
	}
	return func(ctx context.Context, o *order.Order, t order.Transition) { told(ctx, news{o, t}) }
}

// joinTold joins hooks that are told something and cannot fail the command.
func joinTold[T any](hooks []Hooks, field func(Hooks) func(context.Context, T)) func(context.Context, T) {
	var all []func(context.Context, T)
	for _, h := range hooks {
		if f := field(h); f != nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(ctx context.Context, v T) {
		var p panics
		for _, f := range all {
			p.contain(func() { f(ctx, v) })
		}
		p.rethrow()
	}
}

func joinStart(hooks []Hooks) func(context.Context, Command) (context.Context, func(error)) {
	var starts []func(context.Context, Command) (context.Context, func(error))
	for _, h := range hooks {
		if h.Trace != nil {
			starts = append(starts, h.Trace)
		}
	}
	if len(starts) == 0 {
		return nil
	}
	return func(ctx context.Context, c Command) (context.Context, func(error)) {
		var p panics // told at the end, because the others have begun by then
		var ends []func(error)
		for _, start := range starts {
			p.contain(func() {
				inside, end := start(ctx, c)
				if inside != nil {
					ctx = inside
				}
				if end != nil {
					ends = append(ends, end)
				}
			})
		}
		return ctx, func(err error) {
			for i := len(ends) - 1; i >= 0; i-- {
				p.contain(func() { ends[i](err) })
			}
			p.rethrow()
		}
	}
}

// panics are those of hooks that the Service is told of once every hook was called.
type panics []any

func (p *panics) contain(call func()) {
	defer func() {
		if v := recover(); v != nil {
			*p = append(*p, v)
		}
	}()
	call()
}

func (p panics) rethrow() {
	switch len(p) {
	case 0:
	case 1:
		panic(p[0])
	default:
		panic(fmt.Sprintf("%d hooks panicked: %v", len(p), []any(p)))
	}
}
