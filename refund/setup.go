package refund

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// operation is a kind of call to a gateway. Each may need other permissions: WeChat Pay requires a
// certificate for refunds only.
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

// record stores the result of a call and reports whether the set-up fault is new. A successful call
// proves nothing about calls of another kind. A fault of refunds is new even if another kind fails
// already, because that may be a list which is hardly ever called.
func (f *setupFaults) record(gateway string, op operation, failed bool) (isNew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.failed[gateway]
	if !failed {
		if before&op != 0 {
			f.failed[gateway] = before &^ op
		}
		return false
	}
	if f.failed == nil {
		f.failed = map[string]operation{}
	}
	f.failed[gateway] = before | op
	return before == 0 || op == opRefund && before&op == 0
}

// watchSetup reports a set-up fault of a gateway once, until that kind of call succeeds again.
func (s *Service) watchSetup(ctx context.Context, gateway string, op operation, err error) {
	var fault *SetupError
	if err != nil && !errors.As(err, &fault) {
		return
	}
	if !s.setup.record(gateway, op, err != nil) {
		return
	}
	report := &SetupError{Gateway: gateway, Err: fault.Err}
	s.log.ErrorContext(ctx, "gateway set-up fault",
		slog.String("gateway", gateway), slog.Any("error", report))
	for _, h := range s.opt.Hooks {
		if h.Setup != nil {
			s.callHook(ctx, "setup", func() { h.Setup(ctx, report) })
		}
	}
}
