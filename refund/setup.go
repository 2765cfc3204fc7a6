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

// record takes the result of a call in and reports whether it is news that the gateway's set-up is at
// fault. A call that works proves nothing for calls of another kind. If refunds fail too, that is
// news once more, because the known fault may be that of a list which nobody has asked for since.
func (f *setupFaults) record(gateway string, op operation, failed bool) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.failed[gateway]
	if !failed {
		if was&op != 0 {
			f.failed[gateway] = was &^ op
		}
		return false
	}
	if f.failed == nil {
		f.failed = map[string]operation{}
	}
	f.failed[gateway] = was | op
	return was == 0 || op == opRefund && was&op == 0
}

// watchSetup reports a set-up fault of a gateway once, until the kind of call that failed works again.
func (s *Service) watchSetup(ctx context.Context, gateway string, op operation, err error) {
	var fault *SetupError
	if err != nil && !errors.As(err, &fault) {
		return
	}
	if !s.setup.record(gateway, op, err != nil) {
		return
	}
	report := &SetupError{Gateway: gateway, Err: fault.Err}
	s.log.ErrorContext(ctx, "gateway set-up fault", slog.String("gateway", gateway), slog.Any("error", report))
	for _, h := range s.opt.Hooks {
		if h.Setup != nil {
			s.callHook(ctx, "setup", func() { h.Setup(ctx, report) })
		}
	}
}
