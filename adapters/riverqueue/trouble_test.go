package riverqueue_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/orderfsm/orderfsm/adapters/riverqueue"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

// wall returns the time of the wall clock, which River uses.
func wall() time.Time { return time.Now() } //nolint:forbidigo // River has no other clock

// TestGatewayThatHangs: the calls end with their deadline, the refunds come again, and in the end
// they are paid.
func TestGatewayThatHangs(t *testing.T) {
	t.Parallel()
	b := refundtest.New()
	b.Choose(firstCalls(40, refundtest.Hang()))
	s := newShop(t, freshDSN(t), b, refund.Options{
		CallTimeout: 20 * time.Millisecond, Backoff: soon,
	})
	for i := range 15 { // more than there are places
		s.approve(strconv.Itoa(i))
	}
	s.start(riverqueue.Options{CallTimeout: 20 * time.Millisecond}, nil)
	for i := range 15 {
		s.becomes(strconv.Itoa(i), order.StateRefunded)
		requirePaid(t, b, strconv.Itoa(i))
	}
}

// TestAnswerAfterTheLease: the provider answers when another process has long since carried the
// refund to its end.
func TestAnswerAfterTheLease(t *testing.T) {
	t.Parallel()
	called, answer := make(chan struct{}), make(chan struct{})
	b := gated(called, answer)
	clock := refundtest.NewClock(wall())
	opts := patient
	opts.Now = clock.Now
	dsn := freshDSN(t)
	s := newShop(t, dsn, b, opts)
	s.approve("1")
	s.start(riverqueue.Options{CallTimeout: opts.CallTimeout, Now: clock.Now}, nil)
	<-called
	other := newShop(t, dsn, b, opts)
	process := func() order.State {
		t.Helper()
		next, err := other.svc.Process(bg, refund.Ref{OrderID: "O-1", RefundNo: "R-1"})
		require.NoError(t, err)
		return next.State
	}
	require.Equal(t, order.StateApproved, process(), "the lease holds")
	clock.Advance(opts.Lease)
	require.Equal(t, order.StateRefunded, process(),
		"another process has it when the lease has ended")
	close(answer)
	s.jobBecomes("completed")
	require.Equal(t, order.StateRefunded, s.refund("1").State)
	o, err := s.svc.Order(bg, "O-1")
	require.NoError(t, err)
	require.EqualValues(t, 60, o.Refunded)
	require.Zero(t, o.Reserved)
}

// TestClockSetBack: the clock of the only process jumps back an hour, and is put right later. What
// is approved meanwhile goes on at once. What wakes meanwhile sleeps by the wrong clock until the
// sweep finds it due.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	var behind atomic.Int64
	now := func() time.Time { return wall().Add(-time.Duration(behind.Load())) }
	var pays atomic.Bool
	b := refundtest.New()
	b.Choose(until(&pays, refundtest.PayWhenAsked()))
	s := newShop(t, freshDSN(t), b, refund.Options{
		Now: now, Backoff: func(string, int) time.Duration { return time.Hour },
	})
	s.approve("1")
	s.start(riverqueue.Options{Now: now}, nil)
	s.jobBecomes(rivertype.JobStateScheduled)
	require.Equal(t, 1, s.refund("1").Attempts, "it is accepted")
	behind.Store(int64(time.Hour))
	pays.Store(true)
	s.approve("2")
	s.becomes("2", order.StateRefunded)
	sleeping := s.list()[0]
	_, err := s.db.ExecContext(bg,
		"UPDATE river_job SET state = 'available', scheduled_at = now() WHERE id = $1", sleeping.ID)
	require.NoError(t, err)
	s.eventually(func() bool {
		return s.list()[0].ScheduledAt.After(sleeping.ScheduledAt.Add(30 * time.Minute))
	}, "what wakes when it was due by the old clock sleeps for another hour")
	require.Equal(t, order.StateApproved, s.refund("1").State)

	behind.Store(-int64(time.Hour + time.Minute)) // the clock is right, and the hour has passed
	s.eventually(func() bool {
		_, err := s.scheduler.Sweep(bg, s.svc, 100)
		require.NoError(t, err)
		return s.refund("1").State == order.StateRefunded
	}, "the sweep wakes it")
	requirePaid(t, b, "1")
	requirePaid(t, b, "2")
}

// awayVar is how long the database is away in TestDatabaseAway.
const awayVar = "ORDERFSM_RIVER_AWAY"

// TestDatabaseAway: for a while nobody can reach the database, neither the service nor River. Then
// everything goes on by itself. It is away for three seconds, and for as long as the variable says.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	away := 3 * time.Second
	if text := os.Getenv(awayVar); text != "" {
		var err error
		away, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	var pays atomic.Bool
	b := refundtest.New()
	b.Choose(until(&pays, refundtest.Fail(context.DeadlineExceeded)))
	direct := freshDSN(t)
	line := newWire(t, direct)
	book := newShop(t, direct, b, refund.Options{})
	s := newShop(t, line.dsn, b, refund.Options{CallTimeout: time.Second, Backoff: soon})
	for i := range 20 {
		s.approve(strconv.Itoa(i))
	}
	s.start(riverqueue.Options{CallTimeout: time.Second}, nil)
	book.eventually(func() bool { return book.refund("19").Attempts > 0 }, "all have been tried")
	line.cut()
	<-time.NewTimer(away).C
	line.mend()
	pays.Store(true)
	start := wall()
	s.eventually(func() bool {
		for i := range 20 {
			if book.refund(strconv.Itoa(i)).State != order.StateRefunded {
				return false
			}
		}
		return true
	}, "all are settled")
	t.Logf("away for %s, all settled %s later", away, wall().Sub(start).Round(100*time.Millisecond))
	for i := range 20 {
		requirePaid(t, b, strconv.Itoa(i))
	}
}

// wire is a connection to the database that a test can cut.
type wire struct {
	t       *testing.T
	dsn     string // through the wire
	address string
	behind  string

	mu     sync.Mutex // guards the fields below
	listen net.Listener
	ends   []net.Conn
	all    sync.WaitGroup
}

func newWire(t *testing.T, dsn string) *wire {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	w := &wire{t: t, address: "127.0.0.1:0", behind: u.Host}
	w.mend()
	u.Host = w.address
	w.dsn = u.String()
	t.Cleanup(w.cut)
	return w
}

// mend makes the database available again, at the same address.
func (w *wire) mend() {
	l, err := net.Listen("tcp", w.address)
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listen, w.address = l, l.Addr().String()
	w.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.behind)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			isCut := w.listen != l
			if !isCut {
				w.ends = append(w.ends, near, far)
			}
			w.mu.Unlock()
			if isCut { // after Accept, so that cut does not close it
				near.Close()
				far.Close()
				return
			}
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				w.all.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					pair[0].Close()
				})
			}
		}
	})
}

// cut closes all connections and refuses new ones.
func (w *wire) cut() {
	w.mu.Lock()
	if w.listen != nil {
		w.listen.Close()
	}
	for _, c := range w.ends {
		c.Close()
	}
	w.listen, w.ends = nil, nil
	w.mu.Unlock()
	w.all.Wait()
}
