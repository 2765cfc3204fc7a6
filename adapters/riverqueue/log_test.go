package riverqueue_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/internal/logtest"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// TestLogs: every record that the package can write, against the table in its documentation.
func TestLogs(t *testing.T) {
	t.Parallel()
	log := &logtest.Recorder{}
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	before := *s
	before.svc = newService(t, s.db, refundtest.New(), refund.Options{})
	before.approve("1")
	s.start(riverqueue.Options{Logger: log.Logger()}, nil) // which finds it without a job
	s.becomes("1", order.StateRefunded)
	s.jobBecomes(rivertype.JobStateCompleted)

	panics := newService(t, s.db, refundtest.New(), refund.Options{
		Now: func() time.Time { panic("the host's bug") },
	})
	away := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	away.db.Close()
	for _, svc := range []*refund.Service{panics, away.svc} {
		w, err := riverqueue.NewWorker(svc, riverqueue.Options{Logger: log.Logger()})
		require.NoError(t, err)
		require.Error(t, w.Work(bg, &river.Job[riverqueue.Args]{
			JobRow: &rivertype.JobRow{},
			Args:   riverqueue.Args{Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}},
		}))
	}
	require.Empty(t, logtest.Check(".", log.Records()))
}

// TestLoggerDefaultsToSlogDefault: a Worker without a Logger reports trouble to slog.Default(). The
// test is not parallel, because it replaces slog.Default().
func TestLoggerDefaultsToSlogDefault(t *testing.T) {
	log := &logtest.Recorder{}
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(log.Logger())
	s := newShop(t, freshDSN(t), refundtest.New(), refund.Options{})
	s.db.Close()
	w, err := riverqueue.NewWorker(s.svc, riverqueue.Options{})
	require.NoError(t, err)
	require.Error(t, w.Work(bg, &river.Job[riverqueue.Args]{
		JobRow: &rivertype.JobRow{},
		Args:   riverqueue.Args{Ref: refund.Ref{OrderID: "O-1", RefundNo: "R-1"}},
	}))
	require.Equal(t, []string{"O-1"}, log.Values("refund could not be processed", "order_id"))
}
