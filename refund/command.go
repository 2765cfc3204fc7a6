package refund

import (
	"context"
	"errors"
)

// Command is a call of the Service that [Hooks].Start is told of.
type Command struct {
	// Name is register, request, approve, reject, cancel, retry, fire, resolve, abandon, execute, process,
	// notification or sync.
	Name    string
	OrderID string
	// RefundNo is empty for register and sync.
	RefundNo string
}

// errNoReturn is what the end of a command is told where it panicked.
var errNoReturn = errors.New("the command did not return: it panicked")

// run carries out a command between the Start hook and its end.
func run[P, T any](
	ctx context.Context, s *Service, c Command, p P, do func(ctx context.Context, p P) (T, error),
) (out T, err error) {
	if s.opt.Hooks.Start == nil {
		return do(ctx, p)
	}
	ctx, end := s.start(ctx, c)
	err = errNoReturn
	defer func() { s.notify(ctx, "start", func() { end(err) }) }()
	out, err = do(ctx, p)
	return out, err
}

// start calls the Start hook. Neither its panic nor what it leaves out keeps the command from being done.
func (s *Service) start(ctx context.Context, c Command) (inside context.Context, end func(err error)) {
	s.notify(ctx, "start", func() { inside, end = s.opt.Hooks.Start(ctx, c) })
	if inside == nil {
		inside = ctx
	}
	if end == nil {
		end = func(error) {}
	}
	return inside, end
}
