package poller_test

import (
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/poller"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/refund"
)

func withLog(log *logtest.Recorder) func(*refund.Options, *poller.Options) {
	return func(_ *refund.Options, o *poller.Options) { o.Logger = log.Logger() }
}

// TestLogsAreThoseOfTheDocumentation: the test makes the package write every record of its table.
func TestLogsAreThoseOfTheDocumentation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Recorder{}
		e := newEnv(t, withLog(log))
		refs := e.approve("bank", 2)
		e.store.failLists(fail)
		e.run()
		e.until(func() bool { return e.counts().ListError != nil })
		e.store.failLists(nil)
		e.store.failUpdates(func(id string) error {
			if id == refs[0].OrderID {
				panic("update broke")
			}
			return errLost
		})
		e.until(func() bool {
			c := e.counts()
			return c.Panics > 0 && c.Errors > c.Panics
		})
		e.store.failUpdates(nil)
		e.until(e.refunded(refs))
		require.Empty(t, logtest.Check(".", log.Records()))
	})
}

// TestLoggerDefaultsToSlogDefault: a Poller without a Logger reports trouble to slog.Default().
func TestLoggerDefaultsToSlogDefault(t *testing.T) {
	log := &logtest.Recorder{}
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(log.Logger())
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(_ *refund.Options, o *poller.Options) { o.Logger = nil })
		e.store.failLists(fail)
		e.run()
		synctest.Wait()
		require.Len(t, log.Values("due refunds could not be listed, trying again", "error"), 1)
	})
}
