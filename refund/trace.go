package refund

import (
	"context"
	"errors"
	"slices"
)

// Command is a call of the Service that [Hooks].Trace sees.
type Command struct {
	// Name is register, request, approve, reject, cancel, retry, fire, resolve, abandon,
	// approve_and_send, process, notification or sync.
	Name string
	// Ref names the refund. Its RefundNo is empty for register and sync.
	Ref
}

// errNoReturn is what end reports for a command that panicked.
var errNoReturn = errors.New("the command did not return: it panicked")

// trace calls the Trace hooks. A command defers end, which passes the command's error to them:
//
//	ctx, end := s.trace(ctx, "approve", p.Ref, &err)
//	defer end()
//
// A hook that panics or returns no context does not stop the command.
func (s *Service) trace(
	ctx context.Context, name string, ref Ref, err *error,
) (inside context.Context, end func()) {
	*err = errNoReturn // until the command returns something else
	if !slices.ContainsFunc(s.opt.Hooks, func(h Hooks) bool { return h.Trace != nil }) {
		return ctx, func() {}
	}
	return s.startTrace(ctx, Command{Name: name, Ref: ref}, err)
}

func (s *Service) startTrace(
	ctx context.Context, c Command, err *error,
) (inside context.Context, end func()) {
	var ends []func(error)
	for _, h := range s.opt.Hooks {
		if h.Trace == nil {
			continue
		}
		s.callHook(ctx, "trace", func() {
			inside, ended := h.Trace(ctx, c)
			if inside != nil {
				ctx = inside
			}
			if ended != nil {
				ends = append(ends, ended)
			}
		})
	}
	return ctx, func() {
		for _, end := range slices.Backward(ends) {
			s.callHook(ctx, "trace", func() { end(*err) })
		}
	}
}
