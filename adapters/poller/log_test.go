package poller_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
)

// TestLogs: every record that the package can write, against the table in its documentation.
func TestLogs(t *testing.T) {
	log := &logtest.Recorder{}
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Logger = log.Logger() })
	refs := e.approve("bank", 2)
	e.store.set(func() error { return errLost }, nil)
	e.run()
	e.until(func() bool { return e.own().LookError != nil })
	e.store.set(nil, func(id string) error {
		if id == refs[0].OrderID {
			panic("update broke")
		}
		return errLost
	})
	e.until(func() bool { return e.own().Panics > 0 && e.own().Errors > e.own().Panics })
	e.store.set(nil, nil)
	e.until(func() bool { return e.count(refs, order.StateRefunded) == len(refs) })
	require.Empty(t, logtest.Check(".", log.Records()))
}

// TestLoggerDefaultsToSlogDefault: a Poller without a Logger reports trouble to slog.Default().
func TestLoggerDefaultsToSlogDefault(t *testing.T) {
	log := &logtest.Recorder{}
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(log.Logger())
	e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Logger = nil })
	e.store.set(func() error { return errLost }, nil)
	e.run()
	e.until(func() bool { return e.own().LookError != nil })
	require.Len(t, log.Values("due refunds could not be listed, trying again", "error"), 1)
}
