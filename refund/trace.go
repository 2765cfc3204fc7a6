package refund

import (
	"context"
	"errors"
)

// Command is a call of the Service that [Hooks].Trace is told of.
type Command struct {
	// Name is register, request, approve, reject, cancel, retry, fire, resolve, abandon, approve_and_send, process,
	// notification or sync.
	Name    string
	OrderID string
	// RefundNo is empty for register and sync.
	RefundNo string
}

// errNoReturn is the error of a command that did not return.
var errNoReturn = errors.New("the command did not return: it panicked")

// trace calls the Trace hook. A command defers end, which passes on the command's result err:
//
//	ctx, end := s.trace(ctx, Command{…}, &err)
//	defer end()
//
// Neither a panic of the hook nor what it leaves out keeps the command from being done.
func (s *Service) trace(ctx context.Context, c Command, err *error) (inside context.Context, end func()) {
	*err = errNoReturn // until the command returns something else
	if s.opt.Hooks.Trace == nil {
		return ctx, func() {}
	}
	var ended func(error)
	s.notify(ctx, "trace", func() { inside, ended = s.opt.Hooks.Trace(ctx, c) })
	if inside == nil {
		inside = ctx
	}
	return inside, func() {
		if ended != nil {
			s.notify(inside, "trace", func() { ended(*err) })
		}
	}
}
