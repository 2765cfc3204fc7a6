package refund

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// operation is a kind of call to a gateway. Their permissions differ: WeChat Pay wants a certificate for refunds only.
type operation uint8

const (
	opRefund operation = 1 << iota
	opQuery
	opList
)

// setupFaults remembers which calls to which gateway fail because of its set-up.
type setupFaults struct {
	mu     sync.Mutex
	failed map[string]operation // by gateway, the kinds of call that fail
}

// note takes the result of a call in and reports whether it is news that the gateway's set-up is at fault. A fault is
// over once the call that failed succeeds; a refund that is sent proves the most.
func (f *setupFaults) note(gateway string, op operation, failed bool) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.failed[gateway]
	switch {
	case failed:
		if f.failed == nil {
			f.failed = map[string]operation{}
		}
		f.failed[gateway] = was | op
		return was == 0
	case op == opRefund || was == op:
		delete(f.failed, gateway)
	case was != 0:
		f.failed[gateway] = was &^ op
	}
	return false
}

// watchSetup reports a set-up fault once for each gateway, until the call that failed succeeds again.
func (s *Service) watchSetup(ctx context.Context, gateway string, op operation, err error) {
	var fault *SetupError
	if err != nil && !errors.As(err, &fault) {
		return
	}
	if !s.setup.note(gateway, op, err != nil) {
		return
	}
	report := &SetupError{Gateway: gateway, Err: fault.Err}
	s.log.ErrorContext(ctx, "gateway set-up fault", slog.String("gateway", gateway), slog.Any("error", report))
	if s.opt.Hooks.Setup != nil {
		s.notify(ctx, "setup", func() { s.opt.Hooks.Setup(ctx, report) })
	}
}
