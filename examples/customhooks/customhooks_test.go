package customhooks_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/orderfsm/orderfsm/adapters/memstore"
	"github.com/orderfsm/orderfsm/adapters/sqlstore"
	"github.com/orderfsm/orderfsm/examples/customhooks"
	"github.com/orderfsm/orderfsm/order"
	"github.com/orderfsm/orderfsm/refund"
	"github.com/orderfsm/orderfsm/refund/refundtest"
)

var (
	ctx   = context.Background()
	paid  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rules = customhooks.Rules{Limit: 5000, ReturnBy: 7 * 24 * time.Hour}
)

// shop is the Service on a database file, with a provider that pays at once.
type shop struct {
	t     *testing.T
	db    *sql.DB
	clock *refundtest.Clock
	gw    *refundtest.Gateway
	svc   *refund.Service

	mu       sync.Mutex
	messages []string
}

// newShop opens the shop an hour after ORDER-1 of 100.00 was paid.
func newShop(t *testing.T) *shop {
	t.Helper()
	clock := refundtest.NewClock(paid.Add(time.Hour))
	s := &shop{t: t, db: openDB(t), clock: clock, gw: refundtest.New()}
	var err error
	opt := refund.Options{Now: s.clock.Now}
	s.svc, err = customhooks.New(s.db, s.gw, rules, opt, func(orderID, text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.messages = append(s.messages, orderID+": "+text)
	})
	require.NoError(t, err)
	_, err = s.svc.Register(ctx, refund.RegisterParams{
		OrderID: "ORDER-1", Gateway: "bank", Currency: "CNY", Total: 10000, PaidAt: paid,
	})
	require.NoError(t, err)
	return s
}

func openDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// open creates the shop's database with the store's tables and the audit table.
func open(dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+
		"?_txlock=immediate&_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	_, err = db.Exec(customhooks.AuditSchema)
	return db, err
}

func (s *shop) ask(no string, amount int64) {
	s.t.Helper()
	_, err := s.svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: no}, Amount: amount, Actor: "buyer:42",
	})
	require.NoError(s.t, err)
}

func (s *shop) fire(ev order.Event, no string, by order.Actor) error {
	_, err := s.svc.Fire(ctx, refund.FireParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: no}, Event: ev, Actor: by,
		Note: "parcel shop",
	})
	return err
}

func (s *shop) approve(no string, by order.Actor) error {
	amount := s.order().Refund(no).Amount
	_, err := s.svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: no}, Amount: amount, Actor: by,
	})
	return err
}

func (s *shop) order() *order.Order {
	s.t.Helper()
	o, err := s.svc.Order(ctx, "ORDER-1")
	require.NoError(s.t, err)
	return o
}

// audited returns the rows of the audit as "event to actor". It requires that they equal the
// order's history.
func (s *shop) audited() (rows []string) {
	s.t.Helper()
	found, err := s.db.Query(`SELECT seq, event, "from", "to", actor FROM audit WHERE order_id = 'ORDER-1' ORDER BY seq`)
	require.NoError(s.t, err)
	defer found.Close()
	history := s.order().History
	for i := 0; found.Next(); i++ {
		var got order.Transition
		require.NoError(s.t, found.Scan(&got.Seq, &got.Event, &got.From, &got.To, &got.Actor))
		require.Less(s.t, i, len(history))
		want := history[i]
		require.Equal(s.t, order.Transition{
			Seq: want.Seq, Event: want.Event, From: want.From, To: want.To, Actor: want.Actor,
		}, got)
		rows = append(rows, fmt.Sprintf("%s %s %s", got.Event, got.To, got.Actor))
	}
	require.NoError(s.t, found.Err())
	require.Len(s.t, rows, len(history), "one row for each transition")
	return rows
}

// refused requires that a rule refused, that nothing changed, and that nothing was sent.
func (s *shop) refused(err error, because string) {
	s.t.Helper()
	require.ErrorIs(s.t, err, order.ErrVetoed)
	require.ErrorContains(s.t, err, because)
	require.Empty(s.t, s.gw.Calls())
	s.audited()
}

// TestWithinTheLimits checks that a small refund in time needs one person and no added state.
func TestWithinTheLimits(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 5000)
	require.NoError(t, s.approve("R1", "staff:7"))
	require.Equal(t, order.StateRefunded, s.order().Refund("R1").State)
	require.Equal(t, []string{
		"request_refund refund_requested buyer:42", "approve approved staff:7", "settle refunded provider",
	}, s.audited())
	require.Equal(t, []string{"ORDER-1: 50.00 is on your account"}, s.messages)
}

// TestSevenDays checks that the goods must be back only after the last moment of the seven days.
func TestSevenDays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 1000)
	s.ask("R2", 1000)
	s.clock.Advance(7*24*time.Hour - time.Hour)
	require.NoError(t, s.approve("R1", "staff:7"), "seven days to the second")
	calls := len(s.gw.Calls())

	s.clock.Advance(time.Second)
	for _, err := range []error{s.approve("R2", "staff:7"), s.fire(customhooks.EventPropose, "R2", "staff:7")} {
		require.ErrorIs(t, err, order.ErrVetoed)
		require.ErrorContains(t, err, "the goods must be back first")
	}
	require.Len(t, s.gw.Calls(), calls)
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R2", "staff:7"))
	require.NoError(t, s.fire(customhooks.EventGoodsArrived, "R2", "warehouse"))
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R2", "staff:7"), "the wrong goods arrived")
	require.ErrorIs(t, s.approve("R2", "staff:7"), order.ErrTransition)
	require.NoError(t, s.fire(customhooks.EventGoodsArrived, "R2", "warehouse"))
	require.NoError(t, s.approve("R2", "staff:7"))
	s.audited()
}

// TestAnotherRefundsGoods checks that the returned goods of one refund do not count for another.
func TestAnotherRefundsGoods(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.clock.Advance(30 * 24 * time.Hour)
	s.ask("R1", 1000)
	s.ask("R2", 1000)
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R1", "staff:7"))
	require.NoError(t, s.fire(customhooks.EventGoodsArrived, "R1", "warehouse"))
	s.refused(s.approve("R2", "staff:7"), "the goods must be back first")
	require.NoError(t, s.approve("R1", "staff:7"))
}

// TestNoTimeOfPayment checks that an unknown time of payment counts as too late.
func TestNoTimeOfPayment(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	m, err := customhooks.NewMachine(rules, store)
	require.NoError(t, err)
	gw := refundtest.New()
	svc, err := refund.NewService(m, store, gw, refund.Options{Now: refundtest.NewClock(paid).Now})
	require.NoError(t, err)
	_, err = svc.Register(ctx, refund.RegisterParams{
		OrderID: "O1", Gateway: "bank", Currency: "CNY", Total: 100,
	})
	require.NoError(t, err)
	_, err = svc.Request(ctx, refund.RequestParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 1, Actor: "buyer:42",
	})
	require.NoError(t, err)
	_, err = svc.ApproveAndSend(ctx, refund.ApproveParams{
		Ref: refund.Ref{OrderID: "O1", RefundNo: "R1"}, Amount: 1, Actor: "staff:7",
	})
	require.ErrorIs(t, err, order.ErrVetoed)
	require.Empty(t, gw.Calls())
}

// TestGoodsAreOut checks that nobody can approve before the goods are back, even in time, and that
// the amount stays reserved.
func TestGoodsAreOut(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 4000)
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R1", "staff:7"))
	err := s.approve("R1", "staff:8")
	var refused *order.TransitionError
	require.ErrorAs(t, err, &refused)
	require.NotContains(t, refused.Available, order.EventApprove, "approve is not offered")
	require.ErrorIs(t, s.fire(customhooks.EventPropose, "R1", "staff:8"), order.ErrTransition)
	require.Empty(t, s.gw.Calls())
	o := s.order()
	require.Equal(t, customhooks.StateGoodsReturning, o.State)
	require.EqualValues(t, 4000, o.Reserved)
	queue, err := s.svc.ListRefunds(ctx, refund.Filter{
		States: []order.State{customhooks.StateGoodsReturning},
	})
	require.NoError(t, err)
	require.Len(t, queue.Entries, 1, "the warehouse lists them")

	_, err = s.svc.Reject(ctx, refund.RejectParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Actor: "staff:7",
		Note: "they never came",
	})
	require.NoError(t, err)
	require.Zero(t, s.order().Reserved)
	require.Equal(t, []string{"ORDER-1: please send the goods back: parcel shop", "ORDER-1: we are sorry: they never came"}, s.messages)
	s.audited()
}

// TestTwoPeople checks that above the limit one person proposes and another one approves, and that
// small refunds count together.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 3000)
	s.ask("R2", 2001)
	s.refused(s.approve("R1", "staff:7"), "refunds of 5001 in total need two people")
	require.NoError(t, s.fire(customhooks.EventPropose, "R1", "staff:7"))
	s.refused(s.approve("R1", "staff:7"), "staff:7 proposed it")
	require.ErrorIs(t, s.fire(customhooks.EventPropose, "R1", "staff:8"), order.ErrTransition)
	require.NoError(t, s.approve("R1", "staff:8"))
	require.Equal(t, order.StateRefunded, s.order().Refund("R1").State)

	_, err := s.svc.Cancel(ctx, refund.CancelParams{
		Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R2"}, Actor: "buyer:42",
	})
	require.NoError(t, err)
	s.ask("R3", 2000)
	require.NoError(t, s.approve("R3", "staff:7"), "5000 in total")
	s.audited()
}

// TestConcurrentApprovals checks that one of many concurrent approvals is carried out, that it is
// not the proposer's, that the audit has it once, and that the money is paid once.
func TestConcurrentApprovals(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 9000)
	require.NoError(t, s.fire(customhooks.EventPropose, "R1", "staff:0"))
	var all sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		all.Add(1)
		go func() {
			defer all.Done()
			_, errs[i] = s.svc.ApproveAndSend(ctx, refund.ApproveParams{
				Ref: refund.Ref{OrderID: "ORDER-1", RefundNo: "R1"}, Amount: 9000,
				Actor: order.Actor(fmt.Sprintf("staff:%d", i%4)),
			})
		}()
	}
	all.Wait()
	for i, err := range errs {
		if i%4 != 0 || err != nil { // the proposer is refused, or finds it approved
			isVetoed := i%4 == 0 && errors.Is(err, order.ErrVetoed)
			require.True(t, err == nil || isVetoed, "staff:%d: %v", i%4, err)
		}
	}
	require.NoError(t, refundtest.Pass(ctx, s.clock, s.svc, time.Hour))
	o := s.order()
	require.Equal(t, order.StateRefunded, o.Refund("R1").State)
	require.NotEqual(t, order.Actor("staff:0"), o.Refund("R1").ReviewedBy)
	require.EqualValues(t, 9000, s.gw.PaidTotal("ORDER-1"))
	require.Len(t, s.audited(), 4, "request, propose, approve, settle")
}

// TestGoodsArriveWhileApproving checks both outcomes of a race between the warehouse and the person
// who approves.
func TestGoodsArriveWhileApproving(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.clock.Advance(30 * 24 * time.Hour)
	s.ask("R1", 1000)
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R1", "staff:7"))
	arrived := make(chan error)
	go func() { arrived <- s.fire(customhooks.EventGoodsArrived, "R1", "warehouse") }()
	err := s.approve("R1", "staff:8")
	require.NoError(t, <-arrived)
	if err != nil {
		require.ErrorIs(t, err, order.ErrTransition)
		require.NoError(t, s.approve("R1", "staff:8"))
	}
	require.Equal(t, []string{
		"request_refund refund_requested buyer:42", "ask_return goods_returning staff:7",
		"goods_arrived refund_requested warehouse", "approve approved staff:8", "settle refunded provider",
	}, s.audited())
}

// TestAuditIsPartOfIt checks that no transition is committed without its row, and that rows cannot
// be changed.
func TestAuditIsPartOfIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 1000)
	for _, change := range []string{`UPDATE audit SET actor = 'nobody'`, `DELETE FROM audit`} {
		_, err := s.db.Exec(change)
		require.ErrorContains(t, err, "append-only")
	}
	_, err := s.db.Exec(`ALTER TABLE audit RENAME TO elsewhere`)
	require.NoError(t, err)
	before := s.order()
	require.ErrorContains(t, s.approve("R1", "staff:7"), "in-transaction hook")
	require.Equal(t, before, s.order(), "no audit, no approval")
	require.Empty(t, s.gw.Calls())
	require.Empty(t, s.messages)
}

// TestFactsAreBooked checks that a payment by the provider is booked and audited, even if the rules
// would refuse it.
func TestFactsAreBooked(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.ask("R1", 9000)
	require.NoError(t, s.fire(customhooks.EventAskReturn, "R1", "staff:7"))
	require.NoError(t, s.gw.RefundInConsole("ORDER-1", "R1", 9000))
	_, err := s.svc.Sync(ctx, "ORDER-1")
	require.NoError(t, err)
	require.Equal(t, order.StateRefunded, s.order().Refund("R1").State)
	require.Len(t, s.audited(), 4)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := customhooks.New(nil, refundtest.New(), rules, refund.Options{}, nil)
	require.Error(t, err)
	_, err = customhooks.New(openDB(t), nil, rules, refund.Options{}, nil)
	require.ErrorIs(t, err, order.ErrInvalid)
}
